"""Stop and start again. A stop: file, then audit. A re-arming: audit, then file."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import secrets
import time
from dataclasses import replace
from pathlib import Path

from andon_guard import switches as guard_view

from runbooks.switches import emergency
from runbooks.switches.atomic import create, publish, publisher_lock, with_reserve, write_marker
from runbooks.switches.document import kills_of
from runbooks.switches.folder import SwitchError, SwitchFolder, prepare_folders
from runbooks.switches.model import VERBS, Kill
from store.control import Actor, Control, SwitchRow
from store.folder import StoreError, StoreFolder
from store.record.scope import Scope, ScopeError

AUDIT_WAIT_S = 1.0  # of a stop; longer, and the emergency file takes the row
REARM_WAIT_S = 5.0
REASON_CHARS = 500
_log = logging.getLogger("andon.switches")


def initialise(folder: StoreFolder, *, switches: SwitchFolder | None = None) -> bool:
    """Make the switch folder where there is none; True where switches.json was made.

    A switches.json that is gone comes back with every kill that control.db knows as standing: a kill
    outlives its file. SwitchError where that history exists and cannot be read.
    """
    where = SwitchFolder.of(folder, switches)
    known: tuple[Kill, ...] = ()
    if not os.path.lexists(where.file) and folder.control.exists() and folder.control.stat().st_size:
        try:
            with Control(folder, wait_s=AUDIT_WAIT_S, read_only=True) as control:
                known = standing_in_history(control)
        except StoreError as error:
            raise SwitchError(f"{where.file} is gone, and what it stopped cannot be looked up: {error}") from None
    return create(where, known)


def standing_in_history(control: Control) -> tuple[Kill, ...]:
    """Kills that control.db holds and nobody re-armed there; STOP is a file and only that."""
    return tuple(
        Kill(row.kill_id, row.scope, row.verb, row.by, row.at_ns, row.reason)
        for row in control.switch_history()
        if row.rearmed_ns is None and not is_stop_file(row.kill_id)
    )


def is_stop_file(kill_id: str) -> bool:
    """True for the kill that the file STOP is."""
    return kill_id.startswith(f"{guard_view.STOP}-")


def standing(folder: StoreFolder, *, switches: SwitchFolder | None = None) -> list[Kill]:
    """Every kill that stands, oldest first, the file STOP included. SwitchError where guards block as unverified."""
    kills = kills_of(SwitchFolder.of(folder, switches).read().rules)
    return [replace(kill, by=_owner(kill.by)) if is_stop_file(kill.kill_id) else kill for kill in kills]


def stop(
    folder: StoreFolder,
    scope: Scope,
    *,
    verb: str = "halt",
    actor: Actor,
    reason: str,
    raw_scope: Scope | None = None,
    switches: SwitchFolder | None = None,
) -> tuple[Kill, float]:
    """Write a kill and return it with how long that took (ms). It never waits for control.db.

    `scope` is what is stored and audited; `raw_scope` the same with its personal values as agents know them,
    where they differ: only the switch file has those. SwitchError: it could not be written, NOTHING WAS STOPPED.
    """
    if verb not in VERBS:
        raise SwitchError(f"{verb!r} is no verb: use {' or '.join(VERBS)}; nothing was stopped.")
    began = time.monotonic()
    at_ns = time.time_ns() // 1000 * 1000  # the file keeps microseconds
    raw = str(raw_scope or scope)
    shown = None if raw == str(scope) else str(scope)
    kill = Kill(f"k-{secrets.token_hex(6)}", raw, verb, actor.label, at_ns, one_line(reason), shown)
    where = SwitchFolder.of(folder, switches)
    _write(folder, where, kill)
    written_ms = (time.monotonic() - began) * 1000
    _record(folder, kill, actor, at_ns + int(written_ms * 1e6))
    return kill, written_ms


def rearm(
    folder: StoreFolder,
    target: Scope | str,
    actor: Actor,
    reason: str,
    *,
    switches: SwitchFolder | None = None,
) -> tuple[Kill, ...]:
    """Take back the kills that stand now for a scope, or one by its kill id; returns them.

    Compare-and-set on kill ids: a kill that comes in meanwhile stands, for the same scope too. SwitchError:
    no reason, nothing stands there, the audit row cannot be written, or the file could not be changed; then
    all of it still stands.
    """
    reason = one_line(reason)
    if not reason:
        raise SwitchError("re-arming needs a reason; nothing was changed.")
    where = SwitchFolder.of(folder, switches)
    chosen = _chosen(standing(folder, switches=where), target)
    ids = [kill.kill_id for kill in chosen]
    subject = chosen[0].shown or chosen[0].scope
    try:
        with Control(folder, wait_s=REARM_WAIT_S) as control:
            control.audit(actor, "rearm", subject, {"kill_ids": ids, "reason": reason})
            try:
                taken = _take_back(where, chosen)
            except (SwitchError, OSError) as error:
                control.audit(actor, "rearm.failed", subject, {"kill_ids": ids, "error": str(error)})
                raise SwitchError(f"not re-armed, all of it still stands: {error}") from None
            now_ns = time.time_ns()
            for kill in taken:
                control.record_rearmed(kill.kill_id, actor.label, reason, now_ns)
    except SwitchError:
        raise
    except StoreError as error:
        raise SwitchError(f"no audit row, no re-arming: {error}") from None
    if not taken:
        raise SwitchError(f"{', '.join(ids)} no longer stands: someone else re-armed it meanwhile.")
    return taken


def one_line(text: str) -> str:
    """A reason as it is stored: one line, printable, at most REASON_CHARS."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:REASON_CHARS]


def _write(folder: StoreFolder, where: SwitchFolder, kill: Kill) -> None:
    """In the file, else as a marker beside it."""
    try:
        if not os.path.lexists(where.file):
            initialise(folder, switches=where)
        publish(where, add=[kill])
        return
    except SwitchError as error:
        first: Exception = error
    except OSError as error:
        first = error
        if with_reserve(where, error):
            with contextlib.suppress(SwitchError, OSError):  # the marker below is tried next
                publish(where, add=[kill])
                return
    _log.warning("switches.json could not be written (%s): writing a marker", first)
    with contextlib.suppress(SwitchError):  # where the folders cannot be made, the marker says so
        prepare_folders(where)
    try:
        write_marker(where, kill)
    except OSError as error:
        raise SwitchError(
            f"NOT STOPPED: neither {where.file} ({first}) nor a marker in {where.kills} ({error.strerror}) can be "
            f"written. Try: touch {where.stop_file} - it stops everything. Or end the process yourself."
        ) from None


def _record(folder: StoreFolder, kill: Kill, actor: Actor, written_ns: int) -> None:
    """Audit and history of a stop that is already written: control.db, else the emergency file, else the log."""
    row = SwitchRow(
        kill.kill_id,
        kill.shown or kill.scope,
        kill.verb,
        kill.by,
        kill.at_ns,
        kill.reason,
        written_ns,
        None,
        None,
        None,
    )
    try:
        with Control(folder, wait_s=AUDIT_WAIT_S) as control:
            control.record_kill(actor, row)
        return
    except StoreError as error:
        _log.warning("the stop is written; its audit row goes to the emergency file: %s", error)
    entry = {
        "kind": "kill",
        "kill_id": row.kill_id,
        "scope": row.scope,
        "verb": row.verb,
        "by": row.by,
        "at_ns": row.at_ns,
        "reason": row.reason,
        "written_ns": written_ns,
        "actor": actor.as_json(),
    }
    try:
        emergency.append(folder, entry)
    except OSError as error:  # the next start finds a kill without an audit row, and adds one
        _log.error("the stop is written, its audit row is not: %s", error)


def _chosen(kills: list[Kill], target: Scope | str) -> list[Kill]:
    chosen = [kill for kill in kills if kill.kill_id == target]
    if not chosen:
        try:
            text = str(target if isinstance(target, Scope) else Scope.parse(target))
        except ScopeError as error:
            raise SwitchError(f"{target!r} is no kill that stands, and no scope: {error}") from None
        chosen = [kill for kill in kills if text in {kill.scope, kill.shown}]
    if not chosen:
        raise SwitchError(f"nothing stands for {target}; `andon switches` lists what does.")
    return chosen


def _take_back(where: SwitchFolder, chosen: list[Kill]) -> tuple[Kill, ...]:
    entries = [kill.kill_id for kill in chosen if not is_stop_file(kill.kill_id)]
    taken = publish(where, remove=entries) if entries else ()
    for kill in chosen:
        if is_stop_file(kill.kill_id) and _remove_stop(where, kill.kill_id):
            taken = (*taken, kill)
    return taken


def _remove_stop(where: SwitchFolder, kill_id: str) -> bool:
    """Remove the STOP that was looked at. One that was touched again since is another stop, and stays."""
    aside = where.path / f".{guard_view.STOP}.{secrets.token_hex(4)}"
    with publisher_lock(where):
        if _stop_id(where.stop_file) != kill_id:
            return False
        where.stop_file.rename(aside)  # from here a new touch makes a new STOP
        if _stop_id(aside) != kill_id:  # touched in between
            aside.rename(where.stop_file)
            return False
        try:
            if aside.is_dir() and not aside.is_symlink():
                aside.rmdir()
            else:
                aside.unlink()
        except OSError:  # a folder with something in it
            aside.rename(where.stop_file)
            raise
        return True


def _stop_id(path: Path) -> str | None:
    try:
        return f"{guard_view.STOP}-{path.lstat().st_mtime_ns}"
    except FileNotFoundError:
        return None


def _owner(by: str) -> str:
    """`uid 1000` of a STOP file, with the name where there is one."""
    try:
        return f"{pwd.getpwuid(int(by.removeprefix('uid '))).pw_name} (owner of STOP)"
    except (KeyError, ValueError):
        return f"{by} (owner of STOP)"
