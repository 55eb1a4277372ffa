"""The tables of telemetry.db. They can be rebuilt from the logs; what people decided lies in control.db."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from store.database import Kind, Opened, open_database
from store.folder import StoreError, StoreFolder
from store.record.span import IDENTITY, MEASURES
from store.telemetry.totals import EXTREMES, SUMS

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

_INTEGERS = {
    "rank",
    "ended_ns",
    "tokens_input",
    "tokens_cache_read",
    "tokens_cache_write_5m",
    "tokens_cache_write_1h",
    "tokens_output",
    "tokens_reasoning",
    "cost_nano",
    "ttft_ns",
    "human_wait_ns",
    "queue_wait_ns",
    "attempt",
    "context_tokens",
    "context_limit",
    "guard_action",
}


def _type_of(measure: str) -> str:
    return "INTEGER" if measure in _INTEGERS else "REAL" if measure == "score_value" else "TEXT"


_SPAN = f"""
CREATE TABLE span (
  no INTEGER PRIMARY KEY,
  namespace TEXT NOT NULL,
  span_id TEXT NOT NULL,
  {", ".join(f"{name} TEXT" for name in IDENTITY)},
  started_ns INTEGER,
  {", ".join(f"{name} {_type_of(name)}" for name in MEASURES)},
  at_ns INTEGER,      -- ended_ns, else started_ns: the moment it counts at
  future INTEGER NOT NULL, -- 1: more than 5 minutes ahead of its ingest
  parts BLOB          -- msgpack, see payload.py
)"""

_SUMS = ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in SUMS)
_EXTREMES = ", ".join(f"{name} {'INTEGER' if name.endswith('_ns') else 'TEXT'}" for name in EXTREMES)

_STATEMENTS = (
    _SPAN,
    "CREATE UNIQUE INDEX span_key ON span (namespace, span_id)",
    "CREATE INDEX span_session ON span (session, run_id)",
    "CREATE INDEX span_at ON span (at_ns)",
    "CREATE INDEX span_open ON span (started_ns) WHERE ended_ns IS NULL",
    "CREATE INDEX span_future ON span (at_ns) WHERE future = 1",
    "CREATE INDEX span_effect ON span (at_ns) WHERE effect_system IS NOT NULL",
    "CREATE INDEX span_guard ON span (guard_instance, guard_action) WHERE guard_instance IS NOT NULL",
    "CREATE TABLE payload (block INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    f"CREATE TABLE run (session TEXT NOT NULL, run_id TEXT NOT NULL, {_SUMS}, {_EXTREMES}, "
    "PRIMARY KEY (session, run_id)) WITHOUT ROWID",
    "CREATE INDEX run_ended ON run (ended_ns)",
    "CREATE INDEX run_open ON run (started_ns) WHERE open_spans > 0",
    f"CREATE TABLE session (session TEXT NOT NULL, {_SUMS}, {_EXTREMES}, PRIMARY KEY (session)) WITHOUT ROWID",
    "CREATE INDEX session_last ON session (last_ns)",
    "CREATE INDEX session_agent ON session (agent, last_ns)",
    f"CREATE TABLE minute (minute_ns INTEGER NOT NULL, agent TEXT NOT NULL, {_SUMS}, "
    "PRIMARY KEY (minute_ns, agent)) WITHOUT ROWID",
    """CREATE TABLE source (source_id TEXT PRIMARY KEY, path TEXT NOT NULL,
       device INTEGER NOT NULL, inode INTEGER NOT NULL,
       head_length INTEGER NOT NULL, head_hash BLOB NOT NULL, offset INTEGER NOT NULL, tail_length INTEGER NOT NULL,
       tail_hash BLOB NOT NULL, format TEXT, agent TEXT, parser_state BLOB NOT NULL, size_bytes INTEGER NOT NULL,
       pending_bytes INTEGER NOT NULL, pending_since_ns INTEGER, lines INTEGER NOT NULL, blank_lines INTEGER NOT NULL,
       rejected INTEGER NOT NULL, seen_ns INTEGER NOT NULL, state TEXT NOT NULL, message TEXT) WITHOUT ROWID""",
    """CREATE TABLE reject (source_id TEXT NOT NULL, offset INTEGER NOT NULL, line_hash TEXT NOT NULL,
       path TEXT NOT NULL,
       length INTEGER NOT NULL, reason TEXT NOT NULL, sample TEXT NOT NULL, at_ns INTEGER NOT NULL,
       PRIMARY KEY (source_id, offset, line_hash)) WITHOUT ROWID""",
    "CREATE INDEX reject_at ON reject (at_ns)",
    "CREATE TABLE gap (no INTEGER PRIMARY KEY, path TEXT NOT NULL, at_ns INTEGER NOT NULL, lost_bytes INTEGER, "
    "reason TEXT NOT NULL)",
    "CREATE TABLE unknown_type (type TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID",
)

_SECOND = (
    "ALTER TABLE source ADD COLUMN whole INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE span ADD COLUMN block INTEGER",  # the payload block that its parts lie in, where they say no other
    """CREATE TABLE finding (namespace TEXT NOT NULL, span_id TEXT NOT NULL, part TEXT NOT NULL, class TEXT NOT NULL,
       token TEXT NOT NULL, count INTEGER NOT NULL, direction TEXT NOT NULL, via TEXT NOT NULL, handled TEXT NOT NULL,
       system TEXT, session TEXT, agent TEXT, at_ns INTEGER,
       PRIMARY KEY (namespace, span_id, part, class, token)) WITHOUT ROWID""",
    "CREATE INDEX finding_at ON finding (at_ns)",
    """CREATE TABLE feed (feed TEXT PRIMARY KEY, format TEXT NOT NULL, cursor TEXT NOT NULL, seen_ns INTEGER NOT NULL,
       records INTEGER NOT NULL, rejected INTEGER NOT NULL, state TEXT NOT NULL, message TEXT) WITHOUT ROWID""",
    """CREATE TABLE probe (agent TEXT NOT NULL, at_ns INTEGER NOT NULL, ok INTEGER NOT NULL, status TEXT NOT NULL,
       latency_ns INTEGER, PRIMARY KEY (agent, at_ns)) WITHOUT ROWID""",
)


def _migrations() -> Migrations:
    from sqlite_utils import Migrations

    migrations = Migrations("andon.telemetry")

    @migrations()
    def m001_spans_and_totals(db: Database) -> None:
        for statement in _STATEMENTS:
            db.execute(statement)

    @migrations()
    def m002_documents_feeds_findings_probes(db: Database) -> None:
        for statement in _SECOND:
            db.execute(statement)

    return migrations


TELEMETRY = Kind(
    application_id=0x416E6454,  # "AndT"
    version=2,
    journal_mode="WAL",
    synchronous="NORMAL",
    missing="collect something first: andon collect PATH",
    migrations=_migrations,
    page_bytes=8192,  # spans are some 340 bytes each: a tenth more of them a second than with 4096, and no more space
)
WRITER_WAIT_S = 30.0  # a migration may have to wait for another process's
READER_WAIT_S = 2.0


def open_telemetry_writer(folder: StoreFolder) -> sqlite3.Connection:
    """The one connection that writes; its caller holds the collector's lock. StoreError for a newer Andon's store."""
    opened = open_database(folder.telemetry, TELEMETRY, wait_s=WRITER_WAIT_S)
    if opened.message is not None:
        opened.connection.close()
        raise StoreError(opened.message)
    for suffix in ("-wal", "-shm"):
        side = folder.telemetry.with_name(folder.telemetry.name + suffix)
        if side.exists():
            side.chmod(0o600)
    return opened.connection


def open_telemetry_reader(folder: StoreFolder) -> Opened:
    """A connection that only reads, a newer Andon's store too; `newer` in what it says is for the operator."""
    return open_database(folder.telemetry, TELEMETRY, wait_s=READER_WAIT_S, read_only=True)
