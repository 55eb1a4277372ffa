"""The one read interface of the telemetry store.

It reads no clock: every answer is as of a moment that the caller names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from store.folder import StoreFolder
from store.record.scope import Scope
from store.record.tools import ToolMap
from store.record.window import Window
from store.telemetry.board import read_board, read_coverage
from store.telemetry.effects import read_activity, read_effects, read_tool_uses, scope_condition
from store.telemetry.recount import Recount, recount
from store.telemetry.schema import open_telemetry_reader
from store.telemetry.sessions import list_sessions
from store.telemetry.trace import read_parts, read_trace
from store.telemetry.views import (
    Board,
    Coverage,
    EffectRow,
    RejectRow,
    ScopeActivity,
    SessionFilter,
    SessionRow,
    SourceRow,
    ToolUse,
    Trace,
)

SPAN_LIMIT = 20_000


class Reader:
    """Read-only, one connection, one thread. StoreError where there is no store, or it is foreign or corrupt."""

    def __init__(self, folder: StoreFolder) -> None:
        self._folder = folder
        opened = open_telemetry_reader(folder)
        self._connection = opened.connection
        self.warning = opened.message if opened.newer else None  # what an operator should know of this store
        self._identity = _identity(folder)

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
        try:
            yield
        finally:
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
        return read_coverage(self._connection, self._folder)

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
        return read_effects(self._connection, scope, as_of_ns, tool_map, window)

    def tool_uses(self, scope: Scope, as_of_ns: int, window: Window | None = None) -> tuple[ToolUse, ...]:
        return read_tool_uses(self._connection, scope, as_of_ns, window)

    def activity(self, scope: Scope, as_of_ns: int, tool_map: ToolMap) -> ScopeActivity:
        return read_activity(self._connection, scope, as_of_ns, tool_map)

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
        rows = self._connection.execute(
            "SELECT path, format, state, message, offset, size_bytes, lines, rejected, seen_ns "
            "FROM source ORDER BY path"
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
