"""The one read interface of the telemetry store.

It reads no clock: every answer is as of a moment that the caller names.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from store.folder import StoreFolder
from store.record.scope import Scope
from store.record.tools import ToolMap
from store.record.window import Window
from store.telemetry.board import read_board, read_coverage
from store.telemetry.effects import read_activity, read_effects, read_tool_uses, scope_condition
from store.telemetry.findings import read_findings
from store.telemetry.recount import Recount, recount
from store.telemetry.schema import open_telemetry_reader
from store.telemetry.sessions import list_sessions
from store.telemetry.trace import read_parts, read_trace
from store.telemetry.uptime import Uptime, read_uptime
from store.telemetry.views import (
    Board,
    Coverage,
    EffectRow,
    FindingFlow,
    RejectRow,
    ScopeActivity,
    SessionFilter,
    SessionRow,
    SourceRow,
    ToolUse,
    Trace,
)

SPAN_LIMIT = 20_000
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: a few milliseconds


class Reader:
    """Read-only, one connection, one thread. StoreError where there is no store, or it is foreign or corrupt.

    `limit_s`: an answer that takes longer is given up with sqlite3.OperationalError ("interrupted"). A reader at work
    keeps the writer from starting its log anew, so one that asks again and again, as a console does, has a limit.
    """

    def __init__(self, folder: StoreFolder, *, limit_s: float | None = None) -> None:
        self._folder = folder
        opened = open_telemetry_reader(folder)
        self._connection = opened.connection
        self.warning = opened.message if opened.newer else None  # what an operator should know of this store
        self._identity = _identity(folder)
        self._limit_s = limit_s
        self._late_s = math.inf
        if limit_s is not None:
            self._connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)

    def _is_late(self) -> bool:
        return time.monotonic() > self._late_s

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def is_current(self) -> bool:
        """False where the database file was replaced under us: open a new reader."""
        return self._identity == _identity(self._folder)

    def version(self) -> int:
        """A number that changes whenever the store changes; cheap enough to ask ten times a second."""
        return int(self._connection.execute("PRAGMA data_version").fetchall()[0][0])

    def interrupt(self) -> None:
        """End a running query from another thread."""
        self._connection.interrupt()

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """Several queries that see the same commit, so that the sums of one answer agree with each other."""
        self._connection.execute("BEGIN")
        self._late_s = math.inf if self._limit_s is None else time.monotonic() + self._limit_s
        try:
            yield
        finally:
            self._late_s = math.inf
            self._connection.execute("ROLLBACK")

    def latest_ns(self) -> int | None:
        """The newest event not more than 5 minutes ahead of its ingest: what `--as-of latest` means."""
        row = self._connection.execute(
            "SELECT at_ns FROM span WHERE future = 0 AND at_ns IS NOT NULL ORDER BY at_ns DESC LIMIT 1"
        ).fetchall()
        return int(row[0][0]) if row else None

    def board(self, window: Window, as_of_ns: int, today_from_ns: int) -> Board:
        with self._one_moment():
            return read_board(self._connection, self._folder, window, as_of_ns, today_from_ns)

    def coverage(self) -> Coverage:
        with self._one_moment():
            return read_coverage(self._connection, self._folder)

    def uptime(self, window: Window, as_of_ns: int, step_ns: int) -> tuple[Uptime, ...]:
        with self._one_moment():
            return read_uptime(self._connection, window, as_of_ns, step_ns)

    def sessions(self, wanted: SessionFilter, as_of_ns: int) -> tuple[SessionRow, ...]:
        with self._one_moment():
            return list_sessions(self._connection, wanted, as_of_ns)

    def trace(self, session: str, as_of_ns: int, limit: int = SPAN_LIMIT) -> Trace | None:
        with self._one_moment():
            return read_trace(self._connection, session, as_of_ns, limit)

    def parts(self, namespace: str, span_id: str) -> dict[str, str]:
        return read_parts(self._connection, namespace, span_id)

    def effects(
        self, scope: Scope, as_of_ns: int, tool_map: ToolMap, window: Window | None = None
    ) -> tuple[EffectRow, ...]:
        with self._one_moment():
            return read_effects(self._connection, scope, as_of_ns, tool_map, window)

    def tool_uses(self, scope: Scope, as_of_ns: int, window: Window | None = None) -> tuple[ToolUse, ...]:
        with self._one_moment():
            return read_tool_uses(self._connection, scope, as_of_ns, window)

    def activity(self, scope: Scope, as_of_ns: int, tool_map: ToolMap) -> ScopeActivity:
        with self._one_moment():
            return read_activity(self._connection, scope, as_of_ns, tool_map)

    def findings(self, window: Window, as_of_ns: int) -> tuple[FindingFlow, ...]:
        """What personal data and secrets were found in the window, how they were handled and where they ended up."""
        return read_findings(self._connection, window, as_of_ns)

    def guard_actions(self, instance: str, after: int, scope: Scope | None = None) -> tuple[int, ...]:
        """Numbers of the actions, in `scope` where one is given, that this guard's agent logged after `after`."""
        condition, values = scope_condition(scope or Scope())
        rows = self._connection.execute(
            f"SELECT guard_action FROM span WHERE guard_instance = ? AND guard_action > ? AND {condition} "
            "ORDER BY guard_action LIMIT 100",
            (instance, after, *values),
        ).fetchall()
        return tuple(row[0] for row in rows)

    def knows(self, scope: Scope) -> bool:
        """True where any span lies in the scope."""
        condition, values = scope_condition(scope)
        return bool(self._connection.execute(f"SELECT 1 FROM span WHERE {condition} LIMIT 1", values).fetchall())

    def agents(self) -> tuple[str, ...]:
        rows = self._connection.execute("SELECT DISTINCT agent FROM session WHERE agent IS NOT NULL ORDER BY agent")
        return tuple(row[0] for row in rows.fetchall())

    def sources(self) -> tuple[SourceRow, ...]:
        """Files, receivers and pulls. Of the latter two the name stands for the path and `lines` are records."""
        rows = self._connection.execute(
            "SELECT path, format, state, message, offset, size_bytes, lines, rejected, seen_ns "
            "FROM source UNION ALL SELECT feed, format, state, message, 0, 0, records, rejected, seen_ns FROM feed "
            "ORDER BY 1"
        ).fetchall()
        return tuple(SourceRow(*row) for row in rows)

    def rejects(self, limit: int = 100) -> tuple[RejectRow, ...]:
        rows = self._connection.execute(
            "SELECT path, offset, length, reason, sample, at_ns FROM reject ORDER BY at_ns DESC, offset DESC LIMIT ?",
            (limit,),
        ).fetchall()
        return tuple(RejectRow(*row) for row in rows)

    def unknown_types(self) -> dict[str, int]:
        return dict(self._connection.execute("SELECT type, count FROM unknown_type ORDER BY count DESC").fetchall())

    def recount(self) -> Recount:
        with self._one_moment():
            return recount(self._connection)

    def check(self) -> str:
        """SQLite's own look at the file: `ok`, or what it found first."""
        try:
            return str(self._connection.execute("PRAGMA quick_check(1)").fetchall()[0][0])
        except sqlite3.DatabaseError as error:
            return str(error)


def _identity(folder: StoreFolder) -> tuple[int, int] | None:
    try:
        stat = folder.telemetry.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
