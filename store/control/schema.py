"""control.db: its tables, and how it is opened so that no console ever keeps another out."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.folder import StoreError, private_file

if TYPE_CHECKING:
    from sqlite_utils import Database

SCHEMA_VERSION = 1
APPLICATION_ID = 0x414E4443  # "ANDC"
MIGRATION_WAIT_S = 30.0
PATIENT_S = 5.0  # who waits as long as this for a write, waits MIGRATION_WAIT_S for a migration
_NEW, _CURRENT, _OLDER, _NEWER = "new", "current", "older", "newer"

_TABLES = (
    """CREATE TABLE audit (
        seq INTEGER PRIMARY KEY, entry_id TEXT NOT NULL UNIQUE, at_ns INTEGER NOT NULL, actor TEXT NOT NULL,
        action TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX audit_action ON audit (action, subject)",
    """CREATE TABLE switch (
        kill_id TEXT PRIMARY KEY, scope TEXT NOT NULL, verb TEXT NOT NULL, by TEXT NOT NULL, at_ns INTEGER NOT NULL,
        reason TEXT NOT NULL, written_ns INTEGER, rearmed_by TEXT, rearmed_ns INTEGER, rearmed_reason TEXT
    ) STRICT""",
    """CREATE TABLE incident (
        id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, agent TEXT, session TEXT,
        severity TEXT NOT NULL CHECK (severity IN ('SEV1', 'SEV2', 'SEV3')), title TEXT NOT NULL, runbook TEXT,
        opened_by TEXT NOT NULL, opened_ns INTEGER NOT NULL, closed_ns INTEGER
    ) STRICT""",
    """CREATE TABLE note (
        id INTEGER PRIMARY KEY, incident_id INTEGER NOT NULL REFERENCES incident (id), at_ns INTEGER NOT NULL,
        by TEXT NOT NULL, text TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX note_incident ON note (incident_id)",
    """CREATE TABLE step (
        id INTEGER PRIMARY KEY, incident_id INTEGER NOT NULL REFERENCES incident (id), step INTEGER NOT NULL,
        done_by TEXT NOT NULL, done_ns INTEGER NOT NULL, undone_by TEXT, undone_ns INTEGER
    ) STRICT""",
    "CREATE UNIQUE INDEX step_done ON step (incident_id, step) WHERE undone_ns IS NULL",
)


@dataclass(frozen=True, slots=True)
class Opened:
    connection: sqlite3.Connection
    message: str | None  # why it is read-only, where it is


def open_control(path: Path, wait_s: float, *, read_only: bool = False) -> Opened:
    """Open, and make or bring up to date where needed; every statement commits by itself unless BEGIN is said.

    `wait_s` is how long a statement waits for another writer. A database of a newer Andon is opened with
    `query_only` and a message. StoreError, in one line: corrupt, foreign, locked or not to be opened.
    """
    with plain_errors(path):
        if path.is_symlink():
            raise StoreError(f"{path} is a symbolic link; nothing was changed. Put the file itself there.")
        if not read_only:
            _make_private(path)
        elif not path.exists():
            raise StoreError(f"{path} does not exist and nothing may be written: open it once without --read-only.")
        connection = sqlite3.connect(path, isolation_level=None, timeout=wait_s)
    try:
        with plain_errors(path):
            # uri mode=ro would fail on a hot journal, so read-only is a pragma (DESIGN.md, Files)
            connection.execute("PRAGMA journal_mode = PERSIST").fetchall()
            connection.execute("PRAGMA synchronous = FULL")
            state = _state(connection, path)
            if state in {_NEW, _OLDER} and not read_only:
                _migrate(connection, path, wait_s)
            elif state == _NEW:
                raise StoreError(f"{path} is empty and nothing may be written: open it once without --read-only.")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            message = None
            if state == _NEWER:
                message = f"{path.name} was written by a newer Andon: it is read, not changed. Upgrade this one."
            elif read_only:
                message = f"{path.name} is open for reading only"
            if message:
                connection.execute("PRAGMA query_only = ON")
        return Opened(connection, message)
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into one line that says what, what was kept and what to do."""
    try:
        yield
    except sqlite3.ProgrammingError:  # a mistake of ours: a closed connection, or another thread's
        raise
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            raise StoreError(
                f"{path} is locked by another process; nothing was changed. Try again, or end what holds it."
            ) from None
        raise StoreError(f"{path} cannot be used: {text}; nothing was changed.") from None
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} is damaged or no database ({error}); it was left as it is. "
            "Move it aside, or restore it: andon store restore."
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}; nothing was changed.") from None


def _make_private(path: Path) -> None:
    try:
        private_file(path)
    except OSError:
        if not path.is_file():  # on a read-only disk what is there can still be read
            raise


def _state(connection: sqlite3.Connection, path: Path) -> str:
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application == APPLICATION_ID:
        if version == SCHEMA_VERSION:
            return _CURRENT
        return _NEWER if version > SCHEMA_VERSION else _OLDER
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchall()[0][0] or application or version:
        raise StoreError(f"{path} is a database of something else; it was left as it is. Name another with --store.")
    return _NEW


def _migrate(connection: sqlite3.Connection, path: Path, wait_s: float) -> None:
    """In one transaction, so that of two processes that race one does it and the other finds it done."""
    from sqlite_utils import Database, Migrations  # 150 to 400 ms: only where there is something to do

    migrations = Migrations("control")

    @migrations()
    def m001_tables(db: Database) -> None:
        for statement in _TABLES:
            db.conn.execute(statement)

    # a stop, which asks for a short wait, keeps it: its row has another place to go
    patience_s = wait_s if wait_s < PATIENT_S else max(wait_s, MIGRATION_WAIT_S)
    connection.execute(f"PRAGMA busy_timeout = {int(patience_s * 1000)}")
    begin_immediate(connection)
    try:
        if _state(connection, path) in {_NEW, _OLDER}:
            database: Any = Database(connection)
            migrations.apply(database)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
        connection.execute(f"PRAGMA busy_timeout = {int(wait_s * 1000)}")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def begin_immediate(connection: sqlite3.Connection) -> None:
    """BEGIN IMMEDIATE; a writer that only just let go is waited for by SQLite's own busy timeout."""
    connection.execute("BEGIN IMMEDIATE")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[int]:
    """One short write transaction; yields the wall clock (ns) of its begin, after any wait."""
    begin_immediate(connection)
    try:
        yield time.time_ns()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
