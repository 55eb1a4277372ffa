"""`andon doctor`: what is wrong, one line each, and what to do about it."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from console.cli.options import Refused, Settings, common_options
from console.cli.output import json_option, print_json, say
from console.widgets import figures
from store.folder import StoreError
from store.liveness import collector_heartbeat

if TYPE_CHECKING:
    from store.telemetry.reader import Reader


class Check(NamedTuple):
    area: str
    message: str
    ok: bool = True


@click.command("doctor")
@click.option("--recount", is_flag=True, help="Compute every total anew from the rows and compare (reads all of it).")
@json_option
@common_options
def doctor_command(settings: Settings, recount: bool, as_json: bool) -> int:
    """Look at installation, paths, registry, store, sources, switches and audit; exit 1 where something is wrong."""
    checks = [*_installation(), *_paths(settings), *_registry(settings), *_store(settings, recount=recount)]
    checks += [*_switches(settings), *_audit(settings)]
    well = all(check.ok for check in checks)
    if as_json:
        from console.cli.schemas import CheckShape, DoctorShape

        shapes = [CheckShape(area=c.area, ok=c.ok, message=c.message) for c in checks]
        print_json(DoctorShape(ok=well, checks=shapes))
    else:
        for check in checks:
            say(f"{'✔' if check.ok else '✖'} {check.area:12} {check.message}")
    return 0 if well else 1


def _installation() -> Iterator[Check]:
    from console.packages import misplaced

    wrong = misplaced()
    yield Check(
        "installation", wrong or f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}", ok=not wrong
    )


def _paths(settings: Settings) -> Iterator[Check]:
    folder = settings.folder.path
    if not folder.is_dir():
        yield Check("store", f"{folder} does not exist yet; andon collect PATH makes it")
        return
    loose = [
        path.name
        for path in (folder, *sorted(folder.iterdir()))
        if path.lstat().st_uid == os.getuid() and stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]
    message = f"readable by others: {', '.join(loose)}; chmod go= them" if loose else f"{folder} is private"
    yield Check("paths", message, ok=not loose)
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    yield Check("disk", f"{free / 2**30:.1f} GiB free", ok=free > 1 << 30)


def _registry(settings: Settings) -> Iterator[Check]:
    try:
        registry = settings.registry()
        config = settings.config()
    except Refused as error:
        yield Check("registry", error.format_message(), ok=False)
        return
    path: Path = settings.registry_path
    where = str(path) if path.exists() else f"no {path}"
    yield Check("registry", f"{where}: {figures.plural(len(registry.agents), 'agent')} declared")
    for name, agent in sorted(registry.agents.items()):
        missing = [what for what in ("owner", "on_call", "runbook") if getattr(agent, what) is None]
        if missing:
            yield Check("registry", f"agent {name}: no {', no '.join(missing)}", ok=False)
    yield Check("sources", f"{figures.plural(len(config.source), 'source')} configured")


def _store(settings: Settings, *, recount: bool) -> Iterator[Check]:
    if not settings.folder.telemetry.exists():
        yield Check("telemetry", "nothing collected yet")
        return
    try:
        with settings.reader() as reader:
            yield from _telemetry(settings, reader, recount=recount)
    except (StoreError, sqlite3.Error) as error:
        yield Check("telemetry", str(error), ok=False)


def _telemetry(settings: Settings, reader: Reader, *, recount: bool) -> Iterator[Check]:
    found = reader.check()
    yield Check("telemetry", "SQLite's quick check is ok" if found == "ok" else found, ok=found == "ok")
    cover = reader.coverage()
    heartbeat = collector_heartbeat(settings.folder)
    if heartbeat.alive:
        yield Check("collector", f"alive, pid {heartbeat.pid}")
    else:
        since = "" if heartbeat.seen_ns is None else f" for {figures.age(time.time_ns() - heartbeat.seen_ns)}"
        yield Check("collector", f"nobody collects{since}; start andon collect", ok=False)
    yield Check("rejects", f"{figures.plural(cover.rejects, 'line')} could not be read", ok=cover.rejects == 0)
    for reject in reader.rejects(3):
        yield Check("rejects", f"{reject.path} at byte {reject.offset}: {reject.reason}", ok=False)
    yield Check("gaps", f"{figures.plural(cover.gaps, 'gap')}, {cover.gap_bytes:,} bytes lost", ok=cover.gaps == 0)
    for source in reader.sources():
        if source.state in {"missing", "unreadable", "failing"}:
            yield Check("sources", f"{source.path}: {source.state}, {source.message or 'no reason known'}", ok=False)
    unknown = reader.unknown_types()
    if unknown:
        some = ", ".join(f"{name} {count}x" for name, count in list(unknown.items())[:5])
        yield Check("formats", f"row types passed over: {some}")
    if recount:
        result = reader.recount()
        examples = f": {', '.join(result.examples[:5])}" if result.examples else ""
        text = f"{result.compared:,} totals compared with the rows, {result.differing:,} differ{examples}"
        yield Check("recount", text, ok=result.exact)


def _switches(settings: Settings) -> Iterator[Check]:
    from runbooks.switches.folder import SwitchError, SwitchFolder
    from runbooks.switches.guards import guards
    from runbooks.switches.publish import standing

    if not SwitchFolder.of(settings.folder).file.exists():
        yield Check("switches", "not initialised yet; andon, andon collect or andon switches init does it")
        return
    try:
        kills = list(standing(settings.folder))
    except SwitchError as error:
        yield Check("switches", str(error), ok=False)
        return
    lives = [guard.life for guard in guards(settings.folder, time.time_ns())]
    alive, silent = lives.count("alive"), lives.count("silent")
    message = f"{figures.plural(len(kills), 'standing stop')}; {alive} guards alive, {silent} silent"
    yield Check("switches", message, ok=silent == 0)


def _audit(settings: Settings) -> Iterator[Check]:
    from store.control import Control

    if not settings.folder.control.exists():
        return
    try:
        with Control(settings.folder, read_only=True) as control:
            bad = control.verify_audit()
            rows = len(control.audit_rows())
    except StoreError as error:
        yield Check("audit", str(error), ok=False)
        return
    whole = f"{figures.plural(rows, 'row')}, the chain is whole"
    yield Check("audit", whole if bad is None else f"row {bad.seq}: {bad.why}", ok=bad is None)
