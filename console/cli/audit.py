"""`andon audit`: who did what, and whether anybody changed that since."""

from __future__ import annotations

import click

from console.cli.options import Refused, Settings, common_options
from console.cli.output import json_option, print_json, say, table
from console.widgets import figures


@click.command("audit")
@click.argument("what", type=click.Choice(["list", "verify"]), default="list")
@json_option
@common_options
def audit_command(settings: Settings, what: str, as_json: bool) -> int:
    """List the audit rows, or `verify` their hash chain (exit 1 names the first bad row)."""
    from store.control import Control

    if not settings.folder.control.exists():
        raise Refused(f"there is no control.db in {settings.folder.path}: nobody has decided anything here yet", 1)
    with Control(settings.folder, read_only=True) as control:
        rows = control.audit_rows()
        bad = control.verify_audit() if what == "verify" else None
    from console.cli.schemas import AuditRowShape, AuditShape, AuditVerifyShape

    if what == "verify":
        if as_json:
            seq, why = (bad.seq, bad.why) if bad else (None, None)
            print_json(AuditVerifyShape(ok=bad is None, rows=len(rows), bad_seq=seq, problem=why))
        elif bad is None:
            say(f"{figures.plural(len(rows), 'audit row')}: the chain is whole")
        else:
            say(f"audit row {bad.seq}: {bad.why}")
        return 0 if bad is None else 1
    if as_json:
        shapes = [
            AuditRowShape(seq=r.seq, at=r.at_ns, by=r.by, action=r.action, subject=r.subject, hash=r.hash) for r in rows
        ]
        print_json(AuditShape(rows=shapes))
    else:
        table(
            ["row", "when", "by", "action", "subject", "hash"],
            [(str(r.seq), figures.day_clock(r.at_ns), r.by, r.action, r.subject, r.hash[:12]) for r in rows],
            right=(0,),
        )
    return 0
