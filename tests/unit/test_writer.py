"""The writer leaves every total exact, whatever the order, the repetition and the split of the records."""

from __future__ import annotations

import random
import sqlite3
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.folder import StoreError, StoreFolder
from store.record.batch import Batch, Reject, Source
from store.record.scope import Scope
from store.record.span import COLUMNS, Span
from store.telemetry.reader import Reader
from store.telemetry.totals import EXTREMES, SUMS
from store.telemetry.writer import Writer
from tests.unit.strategies import records

NOW_NS = 1_700_000_200_000_000_000


def contents(folder: StoreFolder) -> dict[str, list[Any]]:
    """Every logical row of the store: spans with their texts, and all totals."""
    totals = ", ".join((*SUMS, *EXTREMES))
    with sqlite3.connect(folder.telemetry) as connection, Reader(folder) as reader:
        spans = connection.execute(f"SELECT {', '.join(COLUMNS)}, at_ns, future FROM span ORDER BY 1, 2").fetchall()
        found = {
            "span": [(row, sorted(reader.parts(row[0], row[1]).items())) for row in spans],
            "run": connection.execute(f"SELECT session, run_id, {totals} FROM run").fetchall(),
            "session": connection.execute(f"SELECT session, {totals} FROM session").fetchall(),
            "minute": connection.execute(f"SELECT minute_ns, agent, {', '.join(SUMS)} FROM minute").fetchall(),
        }
    connection.close()
    return found


def write(folder: StoreFolder, batches: list[list[Span]]) -> None:
    with Writer(folder) as writer:
        for batch in batches:
            writer.write(Batch(spans=[msgspec.structs.replace(span) for span in batch]), NOW_NS)


@settings(deadline=None, max_examples=60)
@given(records, st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_repetition_and_split_gives_the_same_rows_and_totals(
    spans: list[Span], shuffle: random.Random, size: int
) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        first, second = StoreFolder(Path(one)).prepare(), StoreFolder(Path(other)).prepare()
        write(first, [spans])
        mixed = [*spans, *(shuffle.choice(spans) for _ in range(5 if spans else 0))]
        shuffle.shuffle(mixed)
        write(second, [mixed[start : start + size] for start in range(0, len(mixed), size)])
        assert contents(first) == contents(second)
        with Reader(second) as reader:
            assert reader.recount().exact


def span(**values: Any) -> Span:
    given: dict[str, Any] = {"namespace": "n", "span_id": "1", "session": "s", "kind": "tool", "ended_ns": NOW_NS}
    return Span(**given | values)


def a_source(**values: Any) -> Source:
    given: dict[str, Any] = {"source_id": "a", "path": "/x", "device": 1, "inode": 2, "offset": 99}
    marks = {"head_length": 1, "head_hash": b"h", "tail_length": 1, "tail_hash": b"t"}
    return Source(**given | marks | values)


def test_recount_finds_a_total_that_was_changed(folder: StoreFolder) -> None:
    write(folder, [[span(tokens_output=5), span(span_id="2", kind="llm", tokens_output=7)]])
    with sqlite3.connect(folder.telemetry) as connection:
        connection.execute("UPDATE session SET tokens_output = tokens_output + 1")
    connection.close()
    with Reader(folder) as reader:
        result = reader.recount()
    assert (result.exact, result.examples) == (False, ("session s",))


def test_a_session_resolved_later_takes_its_totals_along(folder: StoreFolder) -> None:
    write(folder, [[span(session=None, tokens_output=5)], [span(session="late", tokens_output=5)]])
    sessions = contents(folder)["session"]
    assert [row[0] for row in sessions] == ["late"]


def test_offset_and_parser_state_travel_with_the_rows(folder: StoreFolder) -> None:
    source = a_source(parser_state=b"state")
    with Writer(folder) as writer:
        writer.write(Batch(spans=[span()], sources=[source]), NOW_NS)
        assert writer.sources() == [source]


def test_a_batch_that_cannot_be_written_leaves_nothing(folder: StoreFolder) -> None:
    bad = a_source(state=None)
    with Writer(folder) as writer:
        with pytest.raises(sqlite3.IntegrityError):
            writer.write(Batch(spans=[span()], sources=[bad]), NOW_NS)
        writer.write(Batch(), NOW_NS)
    assert contents(folder)["span"] == []


def test_what_sqlite_cannot_hold_is_mended_and_flagged(folder: StoreFolder) -> None:
    write(folder, [[span(name="\ud800", tokens_output=2**70, score_value=float("inf"), parts={"input": "\udfff"})]])
    row = dict(zip(COLUMNS, contents(folder)["span"][0][0], strict=False))
    assert (row["name"], row["tokens_output"], row["score_value"]) == ("?", None, None)
    assert "mended:tokens_output" in row["flags"]


def test_a_reject_read_twice_is_kept_once(folder: StoreFolder) -> None:
    reject = Reject(source_id="a", path="/x", offset=1, length=2, reason="r", line_hash="h", sample="{", at_ns=1)
    with Writer(folder) as writer:
        assert writer.write(Batch(rejects=[reject]), NOW_NS).rejects == 1
        assert writer.write(Batch(rejects=[reject]), NOW_NS).rejects == 0


def test_files_are_private_under_any_umask(folder: StoreFolder) -> None:
    with Writer(folder) as writer:
        writer.write(Batch(spans=[span()]), NOW_NS)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.glob("telemetry.db*")}
    assert set(modes.values()) == {0o600}
    assert "telemetry.db-wal" in modes


def test_a_store_of_a_newer_andon_is_read_and_not_written(folder: StoreFolder) -> None:
    write(folder, [[span()]])
    with sqlite3.connect(folder.telemetry) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with Reader(folder) as reader:
        assert reader.knows(Scope.of(session="s"))
    with pytest.raises(StoreError, match="newer Andon"):
        Writer(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a database at all, but long enough to have a header" * 20, "damaged or no database"),
        (None, "something else"),
    ],
)
def test_a_corrupt_or_foreign_database_is_left_alone(folder: StoreFolder, content: bytes | None, message: str) -> None:
    if content is None:
        with sqlite3.connect(folder.telemetry) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    else:
        folder.telemetry.write_bytes(content)
    before = folder.telemetry.read_bytes()
    with pytest.raises(StoreError, match=message):
        Writer(folder)
    assert folder.telemetry.read_bytes() == before
