"""The parts of the collector by themselves: messages, the gathered batch, a parser that fails."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from collectors import reading
from collectors.collect import Collector
from collectors.declared import Declared
from collectors.discover import Selection
from collectors.enrich import Enricher
from collectors.formats import by_name
from collectors.formats.base import Line, Parsed, SourceFacts
from collectors.gather import MAX_RECORDS, Gather
from collectors.heart import Heart
from collectors.summary import MAX_MESSAGES, Summary
from collectors.tail.file import TailedFile
from collectors.tail.identity import FileKey
from collectors.tail.names import shown
from collectors.tail.watch import Watch
from store.folder import StoreError, StoreFolder
from store.liveness import CollectorLock, collector_heartbeat
from store.record.batch import Batch, Finding, Written
from store.record.span import Span
from store.record.tools import ToolMap
from store.telemetry.reader import Reader
from tests.fault.feeding import line, lines, rejects, sources, stored, until


class Poisoned:
    """The Andon format, with a parser that cannot bear one line."""

    name = "andon"
    namespace = "session"
    whole = False

    def __init__(self) -> None:
        found = by_name("andon")
        assert found is not None
        self._real = found

    def recognises(self, head: list[bytes]) -> bool:
        return self._real.recognises(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> PoisonedParser:
        return PoisonedParser(self._real.parser(facts), int(state or b"0"))


class PoisonedParser:
    def __init__(self, real: object, count: int) -> None:
        self._real = real
        self._count = count

    def parse(self, lines: list[Line]) -> Parsed:
        for one in lines:
            if b'"n3"' in one.data:
                raise RuntimeError("poison")
            self._count += 1
        return self._real.parse(lines)  # type: ignore[attr-defined, no-any-return]

    def state(self) -> bytes:
        return str(self._count).encode()


def test_a_line_that_breaks_the_parser_is_rejected_alone(
    folder: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = Poisoned()
    monkeypatch.setattr(reading, "recognise", lambda _: poisoned)
    monkeypatch.setattr(reading, "by_name", lambda _: poisoned)
    log = tmp_path / "a.log"
    log.write_bytes(lines(0, 6))
    summary = Collector(folder, [log]).run_once()
    assert stored(folder) == {0, 1, 2, 4, 5}
    assert [found[2] for found in rejects(folder)] == ["the parser failed: RuntimeError"]
    assert sources(folder)[0].parser_state == b"5", "the state goes on past the line"
    assert summary.rejected == 1
    assert "poison" not in "".join(summary.messages)


class Taking:
    """A writer that takes everything, after the failures it was given."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.batches: list[Batch] = []

    def write(self, batch: Batch, ingest_ns: int) -> Written:
        assert ingest_ns > 0
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(batch)
        return Written(records=len(batch.spans), new_spans=len(batch.spans))


def tailed(path: Path) -> TailedFile:
    path.touch()
    found = path.stat()
    return TailedFile.new(str(path), FileKey.of(found), found)


def gathering(folder: StoreFolder, writer: Taking, said: list[str] | None = None) -> Gather:
    say = said.append if said is not None else lambda _: None
    return Gather(writer, Enricher(folder, ToolMap()), Summary(), say=say)


def test_spans_and_the_offset_go_into_the_same_batch(folder: StoreFolder, tmp_path: Path) -> None:
    writer = Taking()
    gather = gathering(folder, writer)
    file = tailed(tmp_path / "a")
    file.source.offset = 10
    gather.add_parsed(file, Parsed(spans=[Span(namespace="x", span_id="1")]), 1, 10)
    gather.put_source(file)
    file.source.offset = 99  # moved on, and not yet put
    gather.flush()
    assert [(len(batch.spans), [source.offset for source in batch.sources]) for batch in writer.batches] == [(1, [10])]
    gather.flush()
    assert len(writer.batches) == 1, "nothing to write is not written"


def test_a_batch_is_full_by_its_records(folder: StoreFolder, tmp_path: Path) -> None:
    gather = gathering(folder, Taking())
    file = tailed(tmp_path / "a")
    span = Span(namespace="x", span_id="1")
    gather.add_parsed(file, Parsed(spans=[span] * MAX_RECORDS), 1, 10)
    assert gather.is_full
    gather.flush()
    assert not gather.is_full


def test_a_store_that_cannot_be_written_is_one_clear_line(folder: StoreFolder, tmp_path: Path) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    broken = sqlite3.DatabaseError("database disk image is malformed")
    for failure, stop in ((full, None), (broken, threading.Event())):
        gather = gathering(folder, Taking(failure))
        gather.put_source(tailed(tmp_path / "a"))
        with pytest.raises(StoreError) as raised:
            gather.flush(stop)
        assert "\n" not in str(raised.value)
        assert "read again" in str(raised.value)


def test_a_full_store_is_tried_again_with_the_same_batch(folder: StoreFolder, tmp_path: Path) -> None:
    said: list[str] = []
    writer = Taking(sqlite3.OperationalError("database is locked"))
    gather = gathering(folder, writer, said)
    gather.add_parsed(tailed(tmp_path / "a"), Parsed(spans=[Span(namespace="x", span_id="1")]), 1, 10)
    gather.flush(threading.Event())
    assert [len(batch.spans) for batch in writer.batches] == [1]
    assert len(said) == 1


def test_messages_are_said_once_and_bounded() -> None:
    summary = Summary()
    assert summary.say("a")
    assert not summary.say("a")
    for number in range(2 * MAX_MESSAGES):
        summary.say(str(number))
    assert len(summary.messages) == MAX_MESSAGES


def test_a_path_is_shown_without_anything_that_moves_a_terminal() -> None:
    assert shown("/a b/\x1b[2J\n\u202e\udcff") == "/a b/\\x1b[2J\\n\\u202e\\udcff"


def test_the_heart_survives_a_beat_that_fails(folder: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[int] = []

    def beat(_: CollectorLock) -> None:
        beats.append(1)
        if len(beats) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(CollectorLock, "beat", beat)
    with CollectorLock(folder) as lock, Heart(lock, every_s=0.01):
        until(lambda: len(beats) > 3, "beats after the failure")
    assert not collector_heartbeat(folder).alive


def test_a_watch_tells_of_a_file_and_ends(tmp_path: Path) -> None:
    watch = Watch(poll=False, say=lambda _: None)
    folder = tmp_path.resolve()
    seen: set[str] = set()
    watch.cover([], [str(folder)])
    try:
        until(lambda: watch.wait(0.05)[1], "the watch to begin")
        (folder / "a").write_bytes(b"x")

        def told() -> bool:
            seen.update(watch.wait(0.05)[0])
            return str(folder / "a") in seen

        until(told, "the event")
    finally:
        watch.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "watch"]


def test_which_new_folders_are_worth_a_look(tmp_path: Path) -> None:
    base = str(tmp_path)
    selection = Selection([f"{base}/d", f"{base}/x/one.log", f"{base}/g/*.log", f"{base}/h/**/*.log"])
    for folder, wanted in (
        ("d", True),
        ("d/new", True),
        ("x", True),
        ("x/other", False),
        ("g", True),
        ("g/other", False),
        ("g/folder.log", True),
        ("h/deep/er", True),
        ("elsewhere", False),
    ):
        assert selection.concerns(f"{base}/{folder}") is wanted, folder


def test_a_stop_that_is_set_leaves_the_rest_for_next_time(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(lines(0, 20_000))
    stop = threading.Event()
    stop.set()
    assert Collector(folder, [log]).run_once(stop).lines == 0
    assert Collector(folder, [log]).run_once().spans == 20_000
    assert os.stat(folder.telemetry).st_mode & 0o777 == 0o600  # noqa: PTH116


def test_a_format_asked_for_later_reads_the_file_again(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(lines(0, 5))
    assert Collector(folder, [Declared(log, "claude-code")]).run_once().spans == 0
    summary = Collector(folder, [Declared(log, "andon")]).run_once()
    assert (summary.lines, summary.spans) == (5, 5)
    log.write_bytes(log.read_bytes() + line(5))
    assert Collector(folder, [log]).run_once().lines == 1


def test_each_source_has_its_own_agent_and_the_first_counts(folder: StoreFolder, tmp_path: Path) -> None:
    for name in ("one", "two"):
        line = '{"session_id":"%s","span_id":"1","kind":"tool","time":"2026-01-01T00:00:00Z"}\n' % name  # noqa: UP031
        (tmp_path / f"{name}.jsonl").write_text(line)
    sources = [Declared(tmp_path / "one.jsonl", agent="first"), Declared(tmp_path / "*.jsonl", agent="second")]
    Collector(folder, sources).run_once()
    with Reader(folder) as reader:
        assert reader.agents() == ("first", "second")


def test_a_record_that_breaks_the_enricher_is_a_reject_and_the_rest_is_written(
    folder: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.jsonl"
    log.write_bytes(b"".join(line(number) for number in range(3)))
    enrich = Enricher.spans

    def breaks(self: Enricher, spans: list[Span]) -> list[Finding]:
        if any(span.span_id == "n1" for span in spans):
            raise ZeroDivisionError
        return enrich(self, spans)

    monkeypatch.setattr(Enricher, "spans", breaks)
    summary = Collector(folder, [log]).run_once()
    assert summary.spans == 2
    (reject,) = rejects(folder)
    assert reject[2] == "could not be redacted or priced (ZeroDivisionError), so it was not written"
