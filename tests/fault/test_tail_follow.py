"""Following live files, by file events and by polling: nothing lost, nothing twice, soon there."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from pathlib import Path

import pytest

from collectors.collect import Collector
from store.folder import StoreFolder
from store.liveness import collector_heartbeat
from tests.fault.feeding import append, ask, following, gaps, line, lines, rejects, sources, stored, until


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


@pytest.fixture(params=[False, True], ids=["events", "polling"])
def poll(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def descriptors_below(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


def test_t1_lines_are_there_within_100_ms_of_their_writing(folder: StoreFolder, logs: Path, poll: bool) -> None:
    log = logs / "a.jsonl"
    append(log, lines(0, 10))
    took_s = []
    with following(Collector(folder, [logs], poll=poll), folder) as follower:
        follower.until_stored(set(range(10)))
        for number in range(10, 40):
            began_s = time.monotonic()
            append(log, line(number))
            until(lambda: number in stored(folder), f"line {number}")  # noqa: B023 - used at once
            took_s.append(time.monotonic() - began_s)
        append(log, lines(40, 500))
        follower.until_stored(set(range(500)))
        assert sum(written.records for written in follower.written) == 500
        assert sum(written.duplicates for written in follower.written) == 0
    assert statistics.median(took_s) < 0.1, f"median {statistics.median(took_s) * 1000:.1f} ms"


def test_t2_a_partial_line_waits_and_its_age_is_seen(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.jsonl"
    append(log, lines(0, 3) + line(3)[:50])
    with following(Collector(folder, [log]), folder) as follower:
        until(lambda: bool(stored(folder)) and sources(folder)[0].pending_bytes == 50, "the pending bytes")
        assert stored(folder) == {0, 1, 2}
        since_ns = sources(folder)[0].pending_since_ns
        assert since_ns is not None
        assert abs(time.time_ns() - since_ns) < 60e9
        append(log, line(3)[50:90])
        until(lambda: sources(folder)[0].pending_bytes == 90, "more pending bytes")
        assert sources(folder)[0].pending_since_ns == since_ns
        append(log, line(3)[90:])
        follower.until_stored(set(range(4)))
    assert sources(folder)[0].pending_bytes == 0
    assert rejects(folder) == []


def test_t8_t9_rename_rotation_reads_the_old_file_to_its_end(
    folder: StoreFolder, logs: Path, tmp_path: Path, poll: bool
) -> None:
    log = logs / "a.log"
    with following(Collector(folder, [log], poll=poll, quiet_s=0.3), folder) as follower:
        old = log.open("ab", buffering=0)
        old.write(lines(0, 50))
        follower.until_stored(set(range(50)))
        old.write(lines(50, 60) + line(60)[:20])
        log.rename(tmp_path / "out-of-sight")
        append(log, lines(100, 150))
        old.write(line(60)[20:] + lines(61, 70))
        follower.until_stored({*range(70), *range(100, 150)})
        old.write(lines(70, 80))
        old.close()
        follower.until_stored({*range(80), *range(100, 150)})
        until(lambda: str(tmp_path / "out-of-sight") not in descriptors_below(tmp_path), "the old file closed")
        until(lambda: {one.state for one in sources(folder)} == {"finished", "following"}, "the old source finished")
    assert gaps(folder) == []


def test_t10_ten_rotations_in_a_row(folder: StoreFolder, logs: Path, poll: bool) -> None:
    log = logs / "a.log"
    with following(Collector(folder, [f"{logs}/a.log*"], poll=poll), folder) as follower:
        for turn in range(10):
            append(log, lines(turn * 20, turn * 20 + 20))
            for number in range(turn, 0, -1):
                (logs / f"a.log.{number}").rename(logs / f"a.log.{number + 1}")
            log.rename(logs / "a.log.1")
        append(log, lines(200, 220))
        follower.until_stored(set(range(220)))
        assert sum(written.duplicates for written in follower.written) == 0
    assert gaps(folder) == []


def test_t13_truncation_of_what_was_read_loses_nothing(folder: StoreFolder, logs: Path, poll: bool) -> None:
    log = logs / "a.log"
    wanted: set[int] = set()
    with following(Collector(folder, [log], poll=poll), folder) as follower:
        for turn in range(4):
            append(log, lines(turn * 100, turn * 100 + 20 + turn))
            wanted |= set(range(turn * 100, turn * 100 + 20 + turn))
            follower.until_stored(wanted)
            shutil.copy(log, logs / f"copy-{turn}")
            os.truncate(log, 0)
    assert gaps(folder) == []


def test_t14_the_unread_tail_of_a_truncated_file_comes_from_its_copy(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    append(log, lines(0, 100) + line(100)[:30])
    with following(Collector(folder, [f"{logs}/*"]), folder) as follower:
        follower.until_stored(set(range(100)))
        copy = logs / "a.log.1"
        copy.write_bytes(lines(0, 101))
        os.truncate(log, 0)
        append(log, lines(200, 210))
        follower.until_stored({*range(101), *range(200, 210)})


def test_t14_an_unread_tail_without_a_copy_is_a_gap(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    append(log, lines(0, 100) + line(100)[:30])
    with following(Collector(folder, [log]), folder) as follower:
        follower.until_stored(set(range(100)))
        until(lambda: sources(folder)[0].pending_bytes == 30, "the pending bytes")
        os.truncate(log, 0)
        append(log, lines(200, 210))
        follower.until_stored({*range(100), *range(200, 210)})
        until(lambda: len(gaps(folder)) == 1, "the gap")
    assert gaps(folder)[0][:2] == (str(log), 30)


def test_t17_a_truncated_file_with_a_head_of_nul_bytes(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    with log.open("wb", buffering=0) as writer, following(Collector(folder, [log]), folder) as follower:
        writer.write(lines(0, 100))
        follower.until_stored(set(range(100)))
        os.truncate(log, 0)
        writer.write(lines(100, 110))  # at its old position: a hole of NULs before it
        follower.until_stored(set(range(110)))
    assert rejects(folder) == []


def test_t23_an_empty_file_and_a_new_file_in_a_new_folder(folder: StoreFolder, logs: Path, poll: bool) -> None:
    (logs / "empty.jsonl").touch()
    with following(Collector(folder, [logs, logs.parent / "later" / "x.txt"], poll=poll), folder) as follower:
        append(logs / "empty.jsonl", lines(0, 10))
        follower.until_stored(set(range(10)))
        deep = logs / "one" / "two"
        deep.mkdir(parents=True)
        append(deep / "b.jsonl", lines(10, 20))
        (logs.parent / "later").mkdir()
        append(logs.parent / "later" / "x.txt", lines(20, 30))
        follower.until_stored(set(range(30)))


def test_t24_a_link_whose_target_is_swapped(folder: StoreFolder, logs: Path, tmp_path: Path) -> None:
    link = logs / "current.log"
    targets = tmp_path / "targets"
    targets.mkdir()
    with following(Collector(folder, [link]), folder) as follower:
        for turn in range(5):
            target = targets / f"{turn}"
            append(target, lines(turn * 10, turn * 10 + 5))
            fresh = logs / "fresh"
            fresh.symlink_to(target)
            fresh.rename(link)
            follower.until_stored({*stored(folder), *range(turn * 10, turn * 10 + 5)})
            append(target, lines(turn * 10 + 5, turn * 10 + 10))
            follower.until_stored(set(range(turn * 10 + 10)))


def test_t28_a_deleted_file_is_read_until_its_writer_is_quiet(folder: StoreFolder, logs: Path, poll: bool) -> None:
    log = logs / "a.log"
    with following(Collector(folder, [log], poll=poll, quiet_s=0.3), folder) as follower:
        with log.open("ab", buffering=0) as writer:
            writer.write(lines(0, 10))
            follower.until_stored(set(range(10)))
            log.unlink()
            for number in range(10, 14):
                writer.write(line(number))
                follower.until_stored(set(range(number + 1)))
            writer.write(line(14)[:25])
        until(lambda: descriptors_below(logs) == [], "the deleted file closed")
        until(lambda: len(gaps(folder)) == 1, "the unfinished line counted as a gap")
        assert gaps(folder)[0][1] == 25
        append(log, lines(20, 25))
        follower.until_stored({*range(14), *range(20, 25)})


def test_t29_a_folder_that_is_removed_and_made_again(folder: StoreFolder, logs: Path, poll: bool) -> None:
    append(logs / "a.log", lines(0, 10))
    with following(Collector(folder, [logs], poll=poll, quiet_s=0.2), folder) as follower:
        follower.until_stored(set(range(10)))
        shutil.rmtree(logs)
        logs.mkdir()
        append(logs / "a.log", lines(10, 20))
        follower.until_stored(set(range(20)))


def test_t32_without_file_events_it_polls_and_says_so(
    folder: StoreFolder, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> object:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr("watchfiles.watch", refused)
    said: list[str] = []
    with following(Collector(folder, [logs], on_message=said.append), folder) as follower:
        until(lambda: any("by turns" in message for message in said), "the message")
        append(logs / "a.log", lines(0, 10))
        follower.until_stored(set(range(10)))


def test_t34_a_busy_file_does_not_starve_the_others(folder: StoreFolder, logs: Path) -> None:
    append(logs / "busy.jsonl", lines(1000, 31_000))
    for number in range(20):
        append(logs / f"quiet-{number}.jsonl", line(number))
    at_quiet: list[int] = []

    def quiet_are_there() -> bool:
        now = stored(folder)
        if set(range(20)) <= now:
            at_quiet.append(len(now))
        return bool(at_quiet)

    with following(Collector(folder, [logs]), folder) as follower:
        until(quiet_are_there, "the quiet files")
        follower.until_stored({*range(20), *range(1000, 31_000)})
    assert at_quiet[0] < 25_000, "the quiet files waited for the whole busy one"


def test_the_heart_beats_while_idle_and_stops_with_the_collector(folder: StoreFolder, logs: Path) -> None:
    with following(Collector(folder, [logs]), folder):
        until(lambda: collector_heartbeat(folder).alive, "a living collector")
        first_ns = collector_heartbeat(folder).seen_ns or 0
        until(lambda: (collector_heartbeat(folder).seen_ns or 0) > first_ns, "a second beat")
    assert not collector_heartbeat(folder).alive


def test_d6_a_store_that_is_locked_for_a_while_is_tried_again(
    folder: StoreFolder, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    from store.record.batch import Batch, Written
    from store.telemetry.writer import Writer

    real = Writer.write
    failures = [sqlite3.OperationalError("database or disk is full")]

    def write(self: Writer, batch: Batch, ingest_ns: int) -> Written:
        if failures:
            raise failures.pop()
        return real(self, batch, ingest_ns)

    monkeypatch.setattr(Writer, "write", write)
    said: list[str] = []
    append(logs / "a.log", lines(0, 10))
    with following(Collector(folder, [logs], on_message=said.append), folder) as follower:
        follower.until_stored(set(range(10)))
    assert any("disk is full" in message and "nothing is lost" in message for message in said)


def test_nothing_is_written_while_nothing_happens(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", lines(0, 10))
    with following(Collector(folder, [logs]), folder) as follower:
        follower.until_stored(set(range(10)))
        until(lambda: sources(folder)[0].offset > 0, "the source")
        batches = len(follower.written)
        end_s = time.monotonic() + 1.5
        until(lambda: time.monotonic() > end_s, "a while")
        assert len(follower.written) == batches
    assert ask(folder, "SELECT count(*) FROM span") == [(10,)]
