"""At each start: bring the switch folder and what was recorded of it together. Stricter wins."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbooks.switches import emergency
from runbooks.switches.atomic import publish
from runbooks.switches.folder import SwitchError, SwitchFolder
from runbooks.switches.model import Kill
from runbooks.switches.publish import initialise, is_stop_file, standing, standing_in_history
from runbooks.switches.tidy import prune
from store.control import Actor, Control, SwitchRow
from store.folder import StoreFolder

_TOKEN = re.compile(r"<[\w-]+:[0-9a-f]{12}>")  # what redaction puts in place of a personal value


@dataclass(frozen=True, slots=True)
class Reconciled:
    """`merged` lines of the emergency file; `recorded` kills that had no audit row; `restored` kills that were
    gone from the file though nobody re-armed them; `trouble` what could not be done, in words.
    """

    merged: int = 0
    recorded: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    trouble: str | None = None


def reconcile(folder: StoreFolder, actor: Actor, *, switches: SwitchFolder | None = None) -> Reconciled:
    """Make the switch folder where it is missing, merge emergency rows, audit every kill that stands.

    StoreError where control.db cannot be written; the switch folder is initialised by then.
    """
    where = SwitchFolder.of(folder, switches)
    try:
        initialise(folder, switches=where)
        # before the history: whatever was re-armed before this look has its audit row by then
        kills: list[Kill] | None = standing(folder, switches=where)
        trouble = None
    except SwitchError as error:
        kills, trouble = None, str(error)
    with Control(folder) as control:
        merged = emergency.merge(folder, lambda entry: _take(control, actor, entry))
        if kills is None:
            return Reconciled(merged, trouble=trouble)
        known = {row.kill_id for row in control.switch_history()}
        recorded = [kill for kill in kills if kill.kill_id not in known]
        for kill in recorded:
            detail = {"by": kill.by, "found": "standing without an audit row"}
            # under an id of its own: where the stop is only just being audited, its own row comes too
            found = f"found:{kill.kill_id}"
            control.record_kill(actor, _row(kill), action="kill.found", entry_id=found, detail=detail)
        restored = _restore(control, where, actor, kills)
    prune(folder, time.time_ns(), switches=where)
    blind = [kill.kill_id for kill in (*kills, *restored) if _TOKEN.search(kill.scope)]
    return Reconciled(
        merged,
        tuple(kill.kill_id for kill in recorded),
        tuple(kill.kill_id for kill in restored),
        f"{', '.join(blind)}: only the lost file knew the value it stops; stop it anew" if blind else None,
    )


def _restore(control: Control, where: SwitchFolder, actor: Actor, kills: list[Kill]) -> tuple[Kill, ...]:
    """A kill that is gone without a re-arming comes back: only a person re-arms, and leaves a row (K1, K11)."""
    present = {kill.kill_id for kill in kills}
    rearmed: dict[str, tuple[str, str, int]] = {}
    gone = [kill for kill in standing_in_history(control) if kill.kill_id not in present]
    removed_stops = [
        row
        for row in control.switch_history()
        if is_stop_file(row.kill_id) and row.rearmed_ns is None and row.kill_id not in present
    ]
    for stop in removed_stops:  # that is how a STOP is meant to end
        control.audit(actor, "stop.removed", "all", {"kill_id": stop.kill_id}, entry_id=f"removed:{stop.kill_id}")
        control.record_rearmed(stop.kill_id, "unknown", "the file STOP was removed", time.time_ns())
    if not gone:
        return ()
    for row in control.audit_rows():
        if row.action == "rearm":
            for kill_id in row.detail.get("kill_ids", ()):
                rearmed[kill_id] = (row.by, str(row.detail.get("reason", "")), row.at_ns)
    restored = []
    written_meanwhile = {rule.kill_id for rule in where.read().rules}
    for kill in gone:
        if kill.kill_id in written_meanwhile:
            continue
        if kill.kill_id in rearmed:  # the process ended between the file and the history
            control.record_rearmed(kill.kill_id, *rearmed[kill.kill_id])
            continue
        publish(where, add=[kill])
        control.audit(actor, "kill.restored", kill.scope, {"kill_id": kill.kill_id, "found": "gone from the file"})
        restored.append(kill)
    return tuple(restored)


def _take(control: Control, actor: Actor, entry: Mapping[str, Any]) -> None:
    """One emergency line. Taken twice (a crash before the file was removed) it changes nothing."""
    try:
        row = SwitchRow(
            str(entry["kill_id"]),
            str(entry["scope"]),
            str(entry["verb"]),
            str(entry["by"]),
            int(entry["at_ns"]),
            str(entry["reason"]),
            int(entry["written_ns"]),
            None,
            None,
            None,
        )
        who = dict(entry["actor"])
    except (KeyError, TypeError, ValueError):
        control.audit(actor, "emergency.unreadable", "emergency", {"line": dict(entry)})
        return
    control.record_kill(who, row, detail={"merged": "from the emergency file"}, at_ns=row.at_ns)


def _row(kill: Kill) -> SwitchRow:
    scope = kill.shown or kill.scope
    return SwitchRow(kill.kill_id, scope, kill.verb, kill.by, kill.at_ns, kill.reason, None, None, None, None)
