"""A store of the schema before is brought up to date with all that it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgspec
import sqlite_utils
import zstandard

from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.span import Span
from store.telemetry.reader import Reader
from store.telemetry.schema import TELEMETRY
from store.telemetry.writer import Writer

NOW_NS = 1_700_000_200_000_000_000


def test_payloads_of_schema_1_are_read_and_joined(folder: StoreFolder) -> None:
    folder.prepare()
    refs = msgspec.msgpack.encode({"input": (3, NOW_NS, b"12345678", 1, 1), "old": (3, NOW_NS, b"87654321", 1, 0)})
    texts = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(["first", "second"]))
    with closing(sqlite3.connect(folder.telemetry)) as connection, connection:
        TELEMETRY.migrations().apply(
            sqlite_utils.Database(connection), stop_before="m002_documents_feeds_findings_probes"
        )
        connection.execute(f"PRAGMA application_id = {TELEMETRY.application_id}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO payload VALUES (1, ?)", (texts,))
        connection.execute(
            "INSERT INTO span (namespace, span_id, session, kind, rank, ended_ns, at_ns, future, parts) "
            "VALUES ('n', '1', 's', 'tool', 3, ?, ?, 0, ?)",
            (NOW_NS, NOW_NS, refs),
        )
    later = Span(
        namespace="n", span_id="1", session="s", kind="tool", ended_ns=NOW_NS + 1, parts={"input": "new", "output": "o"}
    )
    with Writer(folder) as writer:
        assert writer.write(Batch(spans=[later]), NOW_NS).changed_spans == 1
        assert (writer.sources(), writer.feeds()) == ([], [])
    with Reader(folder) as reader:
        assert reader.parts("n", "1") == {"input": "new", "old": "first", "output": "o"}
