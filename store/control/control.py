"""What people decided: the audit chain, the switches' history, incidents with their steps and notes."""

from __future__ import annotations

import contextlib
import logging
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

from store.control import audit
from store.control.actor import Actor
from store.control.audit import AuditRow, BadRow
from store.control.schema import open_control
from store.database import plain_errors, transaction
from store.folder import StoreError, StoreFolder

_log = logging.getLogger("andon.control")
SEVERITIES = ("SEV1", "SEV2", "SEV3")
WAIT_S = 5.0
_INCIDENT = "id, scope, agent, session, severity, title, runbook, opened_by, opened_ns, closed_ns"
_SWITCH = "kill_id, scope, verb, by, at_ns, reason, written_ns, rearmed_by, rearmed_ns, rearmed_reason"


@dataclass(frozen=True, slots=True)
class Incident:
    id: int
    scope: str
    agent: str | None
    session: str | None
    severity: str
    title: str
    runbook: str | None
    opened_by: str
    opened_ns: int
    closed_ns: int | None


@dataclass(frozen=True, slots=True)
class Note:
    at_ns: int
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """A ticked step. One that was unticked again keeps both names."""

    step: int
    done_by: str
    done_ns: int
    undone_by: str | None
    undone_ns: int | None

    @property
    def done(self) -> bool:
        return self.undone_ns is None


@dataclass(frozen=True, slots=True)
class SwitchRow:
    """History of one kill. `rearmed_ns` None: nobody recorded a re-arming of it."""

    kill_id: str
    scope: str
    verb: str
    by: str
    at_ns: int
    reason: str
    written_ns: int | None
    rearmed_by: str | None
    rearmed_ns: int | None
    rearmed_reason: str | None


class Control:
    """One connection to control.db, for one thread. Reads fetch all rows; writes are one short transaction each.

    `wait_s` is how long a write waits for another process. Every method raises StoreError, in one line, where
    the database is locked, damaged, foreign or read-only.
    """

    def __init__(self, folder: StoreFolder, *, wait_s: float = WAIT_S, read_only: bool = False) -> None:
        self.path = folder.control
        self._head = folder.path / audit.HEAD_NAME
        opened = open_control(self.path, wait_s, read_only=read_only)
        self._connection = opened.connection
        self.message = opened.message

    @property
    def read_only(self) -> bool:
        """True where `message` says why nothing can be changed."""
        return self.message is not None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- audit ---

    def audit(
        self,
        actor: Actor | Mapping[str, object],
        action: str,
        subject: str,
        detail: Mapping[str, object] | None = None,
        *,
        entry_id: str | None = None,
        at_ns: int | None = None,
    ) -> int:
        """Add a row to the chain and return its number. An `entry_id` that is already there adds nothing."""
        with self._write() as write:
            return write.audit(actor, action, subject, detail or {}, entry_id, at_ns)

    def audit_rows(self) -> tuple[AuditRow, ...]:
        with plain_errors(self.path):
            return audit.rows(self._connection)

    def verify_audit(self) -> BadRow | None:
        """The first row that was edited, deleted, moved or cut off; None where the chain is whole."""
        with plain_errors(self.path):
            return audit.verify(self._connection, self._head)

    # --- switches ---

    def record_kill(
        self,
        actor: Actor | Mapping[str, object],
        row: SwitchRow,
        *,
        action: str = "kill",
        entry_id: str | None = None,
        detail: Mapping[str, object] | None = None,
        at_ns: int | None = None,
    ) -> None:
        """History and audit row of a kill, together. Repeated with the same kill id it changes nothing."""
        told = {"kill_id": row.kill_id, "verb": row.verb, "reason": row.reason, "at_ns": row.at_ns, **(detail or {})}
        with self._write() as write:
            write.execute(
                f"INSERT INTO switch ({_SWITCH}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (kill_id) DO UPDATE SET written_ns = coalesce(written_ns, excluded.written_ns)",
                (row.kill_id, row.scope, row.verb, row.by, row.at_ns, row.reason, row.written_ns, None, None, None),
            )
            write.audit(actor, action, row.scope, told, entry_id or f"kill:{row.kill_id}", at_ns)

    def record_rearmed(self, kill_id: str, by: str, reason: str, at_ns: int) -> None:
        """Close the history of a kill; the audit row of the re-arming was written before."""
        with self._write() as write:
            write.execute(
                "UPDATE switch SET rearmed_by = ?, rearmed_ns = ?, rearmed_reason = ?"
                " WHERE kill_id = ? AND rearmed_ns IS NULL",
                (by, at_ns, reason, kill_id),
            )

    def switch_history(self) -> tuple[SwitchRow, ...]:
        """Every kill that was recorded, oldest first."""
        return tuple(SwitchRow(*row) for row in self._all(f"SELECT {_SWITCH} FROM switch ORDER BY at_ns, kill_id"))

    # --- incidents ---

    def open_incident(
        self,
        actor: Actor,
        *,
        scope: str,
        severity: str,
        title: str,
        agent: str | None = None,
        session: str | None = None,
        runbook: str | None = None,
    ) -> Incident:
        """`scope` is canonical text. ValueError for a severity that is not SEV1 to SEV3."""
        if severity not in SEVERITIES:
            raise ValueError(f"{severity!r} is no severity: use {', '.join(SEVERITIES)}")
        values = (scope, agent, session, severity, title, runbook, actor.label)
        with self._write() as write:
            number = write.execute(
                "INSERT INTO incident (scope, agent, session, severity, title, runbook, opened_by, opened_ns)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, write.now_ns),
            )
            told = {"severity": severity, "title": title, "runbook": runbook, "scope": scope}
            write.audit(actor, "incident.open", f"incident:{number}", told)
            return Incident(number, *values, write.now_ns, None)

    def close_incident(self, incident_id: int, actor: Actor) -> None:
        """A closed incident stays closed; StoreError where there is none of that number."""
        with self._write() as write:
            write.require_incident(incident_id)
            write.execute(
                "UPDATE incident SET closed_ns = ? WHERE id = ? AND closed_ns IS NULL", (write.now_ns, incident_id)
            )
            write.audit(actor, "incident.close", f"incident:{incident_id}", {})

    def incidents(self) -> tuple[Incident, ...]:
        """Newest first."""
        return tuple(Incident(*row) for row in self._all(f"SELECT {_INCIDENT} FROM incident ORDER BY id DESC"))

    def incident(self, incident_id: int) -> Incident | None:
        found = self._all(f"SELECT {_INCIDENT} FROM incident WHERE id = ?", (incident_id,))
        return Incident(*found[0]) if found else None

    def tick(self, incident_id: int, step: int, actor: Actor) -> Step:
        """Mark a runbook step done. Done already: whoever was first stays, and is returned."""
        with self._write() as write:
            write.require_incident(incident_id)
            known = write.fetch(
                "SELECT step, done_by, done_ns, undone_by, undone_ns FROM step"
                " WHERE incident_id = ? AND step = ? AND undone_ns IS NULL",
                (incident_id, step),
            )
            if known:
                return Step(*known[0])
            write.execute(
                "INSERT INTO step (incident_id, step, done_by, done_ns) VALUES (?, ?, ?, ?)",
                (incident_id, step, actor.label, write.now_ns),
            )
            write.audit(actor, "step.done", f"incident:{incident_id}", {"step": step})
            return Step(step, actor.label, write.now_ns, None, None)

    def untick(self, incident_id: int, step: int, actor: Actor) -> None:
        """Take the mark back; who had set it is kept. Not done: nothing happens."""
        with self._write() as write:
            write.require_incident(incident_id)
            changed = write.change(
                "UPDATE step SET undone_by = ?, undone_ns = ? WHERE incident_id = ? AND step = ? AND undone_ns IS NULL",
                (actor.label, write.now_ns, incident_id, step),
            )
            if changed:
                write.audit(actor, "step.undone", f"incident:{incident_id}", {"step": step})

    def steps(self, incident_id: int) -> dict[int, Step]:
        """Step number -> its newest mark (look at `.done`). A step nobody touched is not in it."""
        found = self._all(
            "SELECT step, done_by, done_ns, undone_by, undone_ns FROM step WHERE incident_id = ? ORDER BY id",
            (incident_id,),
        )
        return {row[0]: Step(*row) for row in found}

    def note(self, incident_id: int, text: str, actor: Actor) -> Note:
        """Add to the timeline; notes are never changed."""
        with self._write() as write:
            write.require_incident(incident_id)
            write.execute(
                "INSERT INTO note (incident_id, at_ns, by, text) VALUES (?, ?, ?, ?)",
                (incident_id, write.now_ns, actor.label, text),
            )
            write.audit(actor, "note", f"incident:{incident_id}", {"text": text})
            return Note(write.now_ns, actor.label, text)

    def notes(self, incident_id: int) -> tuple[Note, ...]:
        """Oldest first."""
        found = self._all("SELECT at_ns, by, text FROM note WHERE incident_id = ? ORDER BY id", (incident_id,))
        return tuple(Note(*row) for row in found)

    # --- below ---

    def _all(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]  # sqlite rows
        with plain_errors(self.path):
            return self._connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _write(self) -> Iterator[_Write]:
        if self.message:
            raise StoreError(f"{self.message}; nothing was changed.")
        with plain_errors(self.path):
            with transaction(self._connection) as now_ns:
                write = _Write(self._connection, now_ns)
                yield write
            # After the commit: a head that is ahead of the chain would be a false alarm, one behind is only late.
            if write.head is not None:
                try:
                    audit.write_head(self._head, *write.head)
                except OSError as error:  # the row is written; only a cut tail would now go unnoticed
                    _log.warning("%s could not be moved on: %s", self._head, error)


class _Write:
    """What one transaction does; `head` is the newest audit row it added."""

    def __init__(self, connection: sqlite3.Connection, now_ns: int) -> None:
        self._connection = connection
        self.now_ns = now_ns
        self.head: tuple[int, str] | None = None

    def execute(self, sql: str, values: tuple[object, ...]) -> int:
        """Returns the id of an inserted row."""
        return self._connection.execute(sql, values).lastrowid or 0

    def change(self, sql: str, values: tuple[object, ...]) -> int:
        """Returns how many rows were changed."""
        return self._connection.execute(sql, values).rowcount

    def fetch(self, sql: str, values: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg]  # sqlite rows
        return self._connection.execute(sql, values).fetchall()

    def require_incident(self, incident_id: int) -> None:
        if not self.fetch("SELECT 1 FROM incident WHERE id = ?", (incident_id,)):
            raise StoreError(f"there is no incident {incident_id}; nothing was changed.")

    def audit(
        self,
        actor: Actor | Mapping[str, object],
        action: str,
        subject: str,
        detail: Mapping[str, object],
        entry_id: str | None = None,
        at_ns: int | None = None,
    ) -> int:
        if entry_id is not None:
            known = self.fetch("SELECT seq FROM audit WHERE entry_id = ?", (entry_id,))
            if known:
                return int(known[0][0])
        seq, digest = audit.append(
            self._connection,
            entry_id=entry_id or secrets.token_hex(12),
            at_ns=self.now_ns if at_ns is None else at_ns,
            actor=actor.as_json() if isinstance(actor, Actor) else actor,
            action=action,
            subject=subject,
            detail=detail,
        )
        self.head = (seq, digest)
        return seq
