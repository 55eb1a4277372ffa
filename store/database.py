"""Open one of the two databases: ours, the right version, the right mode, never half migrated.

What both share is here: application id, schema number in `user_version`, migrations inside one BEGIN IMMEDIATE, mode
0600, and errors as one line. What differs (tables, journal, who writes) is a `Kind`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from store.folder import StoreError, private_file

if TYPE_CHECKING:
    from sqlite_utils import Migrations

MIGRATION_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """`version` is the number of its migrations, which are made only where one is due: sqlite-utils is slow to import.

    `missing` says what to do where a reader finds no such database.
    """

    application_id: int
    version: int
    journal_mode: str
    synchronous: str
    missing: str
    migrations: Callable[[], Migrations]
    page_bytes: int = 4096  # of a database that is made; one that exists keeps its own


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection in autocommit mode. `message` says why it can only be read, where that is so.

    `newer`: because a newer Andon wrote it, not because the caller asked for no more.
    """

    connection: sqlite3.Connection
    message: str | None
    newer: bool = False


def open_database(path: Path, kind: Kind, *, wait_s: float, read_only: bool = False) -> Opened:
    """Open, and make or bring up to date where needed; every statement commits by itself unless BEGIN is said.

    `wait_s` is how long a statement waits for another writer. Read-only is a pragma, because `mode=ro` fails on a hot
    journal; so is a database of a newer Andon. StoreError, in one line: corrupt, foreign, locked or not to be opened.
    """
    with plain_errors(path):
        if path.is_symlink():
            raise StoreError(f"{path} is a symbolic link; nothing was changed. Put the file itself there.")
        if not read_only:
            _make_private(path)
        elif not path.exists():
            raise StoreError(f"there is no {path.name} in {path.parent} yet; {kind.missing}")
        connection = sqlite3.connect(path, isolation_level=None, timeout=wait_s)
    try:
        with plain_errors(path):
            number = _prepare(connection, path, kind, wait_s, read_only=read_only)
        newer, message = number > kind.version, None
        if newer:
            message = f"{path.name} was written by a newer Andon: it is read, not changed. Upgrade this one."
        elif read_only:
            message = f"{path.name} is open for reading only"
        return Opened(connection, message, newer)
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
            f"{path} is damaged or no database ({error}); it was left as it is. Move it aside, or restore a backup."
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}; nothing was changed.") from None


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[int]:
    """One write transaction; yields the wall clock (ns) of its begin, after any wait. All of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield time.time_ns()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: Path, kind: Kind, wait_s: float, *, read_only: bool) -> int:
    """Bring the database up to date, or let it only be read; the schema number that was found."""
    number = _schema_number(connection, path, kind)
    if not read_only and number <= kind.version:
        if number == 0:
            connection.execute(f"PRAGMA page_size = {kind.page_bytes}").fetchall()
        connection.execute(f"PRAGMA journal_mode = {kind.journal_mode}").fetchall()
        connection.execute(f"PRAGMA synchronous = {kind.synchronous}")
        if number < kind.version:
            _migrate(connection, path, kind, wait_s)
    elif number == 0:
        raise StoreError(f"{path} is empty; {kind.missing}")
    elif number < kind.version:
        raise StoreError(
            f"{path} was written by an older Andon (schema {number}, this one has {kind.version}); nothing was "
            "changed. Open it once without --read-only, or start andon collect, to bring it up to date."
        )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    if read_only or number > kind.version:
        connection.execute("PRAGMA query_only = ON")
    return number


def _schema_number(connection: sqlite3.Connection, path: Path, kind: Kind) -> int:
    """The number of a database that is ours, 0 of an empty file. StoreError for anybody else's."""
    application = int(connection.execute("PRAGMA application_id").fetchall()[0][0])
    number = int(connection.execute("PRAGMA user_version").fetchall()[0][0])
    if application == kind.application_id:
        return number
    if application or number or connection.execute("SELECT count(*) FROM sqlite_master").fetchall()[0][0]:
        raise StoreError(f"{path} is a database of something else; it was left as it is. Name another with --store.")
    return 0


def _migrate(connection: sqlite3.Connection, path: Path, kind: Kind, wait_s: float) -> None:
    """In one transaction, so that of two processes that race one does it and the other finds it done."""
    import sqlite_utils  # 150 to 400 ms: only where there is something to do

    connection.execute(f"PRAGMA busy_timeout = {int(min(MIGRATION_WAIT_S, max(wait_s, 0.1)) * 1000)}")
    with transaction(connection):
        if _schema_number(connection, path, kind) < kind.version:
            kind.migrations().apply(sqlite_utils.Database(connection))
            connection.execute(f"PRAGMA application_id = {kind.application_id}")
            connection.execute(f"PRAGMA user_version = {kind.version}")


def _make_private(path: Path) -> None:
    try:
        private_file(path)
    except OSError:
        if not path.is_file():  # on a read-only disk what is there can still be read
            raise
