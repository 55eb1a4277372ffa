"""The write-ahead log of telemetry.db: kept within bounds, and missed where somebody takes it away.

A reader that stays in one transaction keeps SQLite from starting the log anew, so that it would grow until the disk
is full. The writer, which alone checkpoints, waits instead: the lines stay in their files and are read later.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

MAX_WAL_BYTES = 224 << 20  # checked before a batch, which adds 16 MiB of lines at most: it stays below 256 MiB
KEPT_WAL_BYTES = 32 << 20  # what is left of a file that grew
CACHE_BYTES = 16 << 20  # a batch's pages: with less they would be written, and read again, before its commit
CHECKPOINT_PAGES = 4_000  # 16 MB: a page that many batches change is copied to the database once
_WAIT_MS = 200  # for readers that are about to end


class WriteAheadLog:
    """Looks after the log of one connection that writes."""

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        self._connection = connection
        self._files = [database.with_name(database.name + suffix) for suffix in ("-wal", "-shm")]
        self._seen: list[tuple[int, int]] | None = None
        connection.execute(f"PRAGMA journal_size_limit = {KEPT_WAL_BYTES}").fetchall()
        connection.execute(f"PRAGMA cache_size = -{CACHE_BYTES >> 10}").fetchall()
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchall()

    def make_room(self) -> None:
        """Start the log anew where it is at its limit. sqlite3.OperationalError where a reader does not let go."""
        try:
            size_bytes = self._files[0].stat().st_size
        except FileNotFoundError:
            return
        if size_bytes < MAX_WAL_BYTES:
            return
        connection = self._connection
        (before_ms,) = connection.execute("PRAGMA busy_timeout").fetchall()[0]
        connection.execute(f"PRAGMA busy_timeout = {_WAIT_MS}").fetchall()
        try:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
        finally:
            connection.execute(f"PRAGMA busy_timeout = {before_ms}").fetchall()
        if busy:
            raise sqlite3.OperationalError(
                f"its write-ahead log has come to {size_bytes >> 20} MiB, and a reader that is still at work keeps it"
            )

    def was_taken_away(self) -> bool:
        """True where the files that this connection writes are not those of that name any more."""
        return self._seen is not None and self._identities() != self._seen

    def note(self) -> None:
        """After a commit: these files are ours."""
        if self._seen is None:
            self._seen = self._identities()

    def _identities(self) -> list[tuple[int, int]] | None:
        """None where one of the files is not there: before anything was written, that is as it should be."""
        try:
            found = [path.stat() for path in self._files]
        except FileNotFoundError:
            return None
        return [(stat.st_dev, stat.st_ino) for stat in found]
