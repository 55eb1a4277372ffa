"""Open one of the two databases: ours, the right version, the right mode, never half migrated.

Both share this: application id, schema number in `user_version`, migrations inside one BEGIN IMMEDIATE, 0600.
What differs (journal, synchronous, who writes) is a `Kind`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from store.folder import StoreError, private_file

if TYPE_CHECKING:
    from sqlite_utils.migrations import Migrations

MIGRATE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """`version` is the number of migrations that make the schema; `migrations` is called only when one is due."""

    name: str
    application_id: int
    version: int
    journal_mode: str
    synchronous: str
    migrations: Callable[[], Migrations]


class NewerStoreError(StoreError):
    """A newer Andon wrote this database: it can be read, not written."""


def open_writer(path: Path, kind: Kind, *, busy_timeout_s: float = 5.0) -> sqlite3.Connection:
    """A connection in autocommit mode with the schema up to date.

    StoreError where the file is locked, foreign, corrupt or not writable; NewerStoreError where a newer Andon wrote it.
    """
    try:
        private_file(path)
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}; nothing was changed") from None
    except sqlite3.Error as error:
        raise _explained(path, error) from None
    try:
        if _check(connection, path, kind) < kind.version:
            _migrate(connection, path, kind)
        connection.execute(f"PRAGMA journal_mode={kind.journal_mode}").fetchall()
        connection.execute(f"PRAGMA synchronous={kind.synchronous}")
    except sqlite3.Error as error:
        connection.close()
        raise _explained(path, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, kind: Kind, *, busy_timeout_s: float = 2.0) -> sqlite3.Connection:
    """A read-only connection: opened read-write with `query_only`, because `mode=ro` fails on a hot journal.

    A newer store can be read. StoreError where there is no such database, or it is foreign or corrupt.
    """
    if not path.exists():
        raise StoreError(f"there is no {path.name} in {path.parent} yet; collect something first: andon collect PATH")
    mode = "rw" if os.access(path, os.W_OK) else "ro"
    try:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
    except sqlite3.Error as error:
        raise _explained(path, error) from None
    try:
        connection.execute("PRAGMA query_only=1")
        found = _check(connection, path, kind, may_be_newer=True)
        if found == 0:
            raise StoreError(f"{path} is empty: nothing has been collected into it yet")
        if found < kind.version:
            raise StoreError(
                f"{path} was written by an older Andon (schema {found}, this one needs {kind.version}); "
                "nothing was changed. Start andon collect once to bring it up to date."
            )
    except sqlite3.Error as error:
        connection.close()
        raise _explained(path, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def schema_number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchall()[0][0])


def _check(connection: sqlite3.Connection, path: Path, kind: Kind, *, may_be_newer: bool = False) -> int:
    """The schema number of a database that is ours; 0 for an empty file."""
    application_id = int(connection.execute("PRAGMA application_id").fetchall()[0][0])
    number = schema_number(connection)
    if application_id != kind.application_id:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()[0][0]
        if application_id or tables:
            raise StoreError(
                f"{path} is a database of something else, not Andon's {kind.name}; it was left as it is. "
                "Name another store with --store or ANDON_STORE."
            )
    if number > kind.version and not may_be_newer:
        raise NewerStoreError(
            f"{path} was written by a newer Andon (schema {number}, this one knows {kind.version}): "
            "it is opened read-only. Update Andon to write to it."
        )
    return number


def _migrate(connection: sqlite3.Connection, path: Path, kind: Kind) -> None:
    """Bring the schema up to date inside one transaction; two processes that race both end well."""
    import sqlite_utils

    connection.execute(f"PRAGMA busy_timeout={int(MIGRATE_TIMEOUT_S * 1000)}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _check(connection, path, kind) < kind.version:  # another process may have been first
            kind.migrations().apply(sqlite_utils.Database(connection))
            connection.execute(f"PRAGMA application_id={kind.application_id}")
            connection.execute(f"PRAGMA user_version={kind.version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _explained(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        what = "is locked by another program; nothing was changed. Try again, or end that program"
    elif code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        what = "is not a sound SQLite database; it was left as it is. Move it away, or restore a backup"
    elif code == sqlite3.SQLITE_FULL:
        what = "cannot grow: the disk is full; nothing was changed. Free some space"
    elif code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        what = "cannot be written or opened; check its owner and mode"
    else:
        what = "cannot be used"
    return StoreError(f"{path} {what} (SQLite: {error})")
