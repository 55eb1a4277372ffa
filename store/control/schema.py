"""The tables of control.db: what people decided. Small, never pruned, written in short transactions by any console."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from store.database import Kind, Opened, open_database

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

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


def _migrations() -> Migrations:
    from sqlite_utils import Migrations

    migrations = Migrations("andon.control")

    @migrations()
    def m001_tables(db: Database) -> None:
        for statement in _TABLES:
            db.execute(statement)

    return migrations


CONTROL = Kind(
    application_id=0x414E4443,  # "ANDC"
    version=1,
    journal_mode="PERSIST",
    synchronous="FULL",
    missing="nobody has decided anything here: open it once without --read-only.",
    migrations=_migrations,
)


def open_control(path: Path, wait_s: float, *, read_only: bool = False) -> Opened:
    """As `open_database`; one connection for one thread, and no cursor or transaction is left open on it."""
    return open_database(path, CONTROL, wait_s=wait_s, read_only=read_only)
