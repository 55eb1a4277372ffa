"""Odd files and odd moments: T4, T7, T16, T20, T24, T29, T30, T33, T36, T38 to T41, and parser state over restarts."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from collectors.collect import Collector
from collectors.summary import Summary
from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import append, ask, following, gaps, line, lines, rejects, sources, stored, until

DAY_S = 86_400


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


def once(folder: StoreFolder, *paths: Path | str) -> Summary:
    return Collector(folder, paths, workers=0).run_once()


def test_t4_utf8_is_whole_wherever_a_write_or_a_read_ends(folder: StoreFolder, logs: Path) -> None:
    """A file that grows by three bytes at a time, in which most characters have four; and one of many buffers."""
    text = "\N{SNOWMAN}\N{PILE OF POO}é" * 20
    data = b"".join(
        json.dumps(json.loads(line(number, note=text)), ensure_ascii=False).encode() + b"\n" for number in range(40)
    )
    log = logs / "a.log"
    with following(Collector(folder, [logs]), folder) as follower:
        for at in range(0, 1200, 3):
            append(log, data[at : at + 3])
        append(log, data[1200:])
        follower.until_stored(set(range(40)))
        big = b"".join(
            json.dumps(json.loads(line(number, note=text)), ensure_ascii=False).encode() + b"\n"
            for number in range(100, 1100)
        )
        append(logs / "b.log", big)
        follower.until_stored({*range(40), *range(100, 1100)})
    assert rejects(folder) == []


def test_t7_a_line_of_a_hundred_megabytes_and_a_file_without_a_newline(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    with log.open("wb") as file:
        file.write(line(0))
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + line(1))
    (logs / "b.log").write_bytes(line(2) + b"y" * (5 << 20))
    once(folder, logs)
    assert stored(folder) == {0, 1, 2}
    ((offset, length, _, _, _),) = rejects(folder)
    assert (offset, length) == (len(line(0)), 100 << 20)
    append(log, line(3))
    append(logs / "b.log", b"\n" + line(4))
    once(folder, logs)
    assert stored(folder) == {0, 1, 2, 3, 4}
    assert len(rejects(folder)) == 2


@pytest.mark.parametrize("poll", [False, True])
def test_t16_truncated_and_grown_past_the_offset_before_the_next_look(
    folder: StoreFolder, logs: Path, poll: bool
) -> None:
    log = logs / "a.log"
    wanted: set[int] = set()
    with following(Collector(folder, [logs], poll=poll), folder) as follower:
        for turn in range(8):
            fresh = range(turn * 1000, turn * 1000 + 10 * (turn + 1))
            data = b"".join(line(number) for number in fresh)
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(descriptor, data)
            os.close(descriptor)
            wanted |= set(fresh)
            follower.until_stored(wanted)


def test_t24_thirty_swaps_of_a_relative_link(folder: StoreFolder, logs: Path) -> None:
    link = logs / "current.log"
    (logs / "targets").mkdir()
    wanted: set[int] = set()
    with following(Collector(folder, [link]), folder) as follower:
        for turn in range(30):
            append(logs / "targets" / f"{turn}", lines(turn * 10, turn * 10 + 3))
            fresh = logs / "fresh"
            fresh.symlink_to(f"targets/{turn}")
            fresh.rename(link)
            wanted |= set(range(turn * 10, turn * 10 + 3))
            follower.until_stored(wanted)
        link.unlink()
        link.symlink_to("nothing")
        until(lambda: any("does not exist" in text for text in follower.collector.summary.messages), "a broken link")
        link.unlink()
        link.symlink_to("current.log")
        until(lambda: any("symbolic" in text for text in follower.collector.summary.messages), "a link to itself")
        link.unlink()
        append(logs / "targets" / "last", line(999))
        link.symlink_to("targets/last")
        follower.until_stored(wanted | {999})


@pytest.mark.parametrize("poll", [False, True])
def test_t29_another_file_system_comes_in_place_of_the_folder(folder: StoreFolder, tmp_path: Path, poll: bool) -> None:
    """As a remount: the same files with other device and inode numbers; what was read is not read again."""
    other = Path("/dev/shm") / f"andon-{os.getpid()}-{poll}"
    first = tmp_path / "first"
    first.mkdir()
    append(first / "a.log", lines(0, 300))
    try:
        other.mkdir()
    except OSError:
        pytest.skip("there is no second file system to write to")
    try:
        if other.stat().st_dev == first.stat().st_dev:
            pytest.skip("there is no second file system to write to")
        mount = tmp_path / "mount"
        mount.symlink_to(first)
        with following(Collector(folder, [mount / "a.log"], poll=poll, quiet_s=0.2), folder) as follower:
            follower.until_stored(set(range(300)))
            shutil.copy(first / "a.log", other / "a.log")
            append(other / "a.log", lines(300, 310))
            mount.unlink()
            mount.symlink_to(other)
            follower.until_stored(set(range(310)))
            append(other / "a.log", lines(310, 320))
            follower.until_stored(set(range(320)))
            assert follower.collector.summary.lines == 320
        assert gaps(folder) == []
    finally:
        shutil.rmtree(other)


def test_t33_polling_does_not_need_times_that_change(folder: StoreFolder, logs: Path) -> None:
    """A network file system with coarse times: each write leaves the same mtime; only sizes tell."""
    log = logs / "a.log"
    append(log, b"")
    with following(Collector(folder, [logs], poll=True), folder) as follower:
        for number in range(0, 100, 5):
            append(log, lines(number, number + 5))
            os.utime(log, (1_700_000_000, 1_700_000_000))
            follower.until_stored(set(range(number + 5)))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM source",
        "UPDATE source SET offset = 7",
        "UPDATE source SET offset = -5",
        "UPDATE source SET offset = 1 << 62, size_bytes = 1 << 62",
        "UPDATE source SET head_length = 1 << 40",
        "UPDATE source SET tail_length = -1",
        "UPDATE source SET head_hash = x'00', tail_hash = x''",
        "UPDATE source SET parser_state = 'text'",
        "UPDATE source SET offset = 'text', inode = 3",
        "UPDATE source SET inode = 3, device = 4",
    ],
)
def test_t36_a_saved_place_that_is_removed_or_damaged(folder: StoreFolder, logs: Path, damage: str) -> None:
    log = logs / "a.log"
    append(log, lines(0, 200))
    once(folder, logs)
    with closing(sqlite3.connect(folder.telemetry)) as connection, connection:
        connection.execute(damage)
    append(log, lines(200, 210))
    for turn in range(2):
        summary = once(folder, logs)
        if turn == 1:
            assert (summary.lines, summary.gaps) == (0, 0), summary.messages
        assert stored(folder) == set(range(210))
    with Reader(folder) as reader:
        assert reader.recount().exact
    append(log, line(210))
    assert once(folder, logs).lines == 1


def test_t38_sparse_files_punched_holes_and_mapped_writes(folder: StoreFolder, logs: Path) -> None:
    sparse = logs / "sparse.log"
    with sparse.open("wb") as file:
        file.truncate(50 << 20)
        file.seek(0, os.SEEK_END)
        file.write(lines(0, 10))
    mapped = logs / "mapped.log"
    data = lines(10, 60)
    with mapped.open("w+b") as file:
        file.truncate(1 << 16)
        with mmap.mmap(file.fileno(), 1 << 16) as view, following(Collector(folder, [logs]), folder) as follower:
            follower.until_stored(set(range(10)))
            view[: len(data)] = data
            view.flush()
            file.truncate(len(data))
            append(mapped, lines(60, 70))
            follower.until_stored(set(range(70)))
    assert rejects(folder) == []


def test_t39_replaced_by_an_editor_with_the_same_lines_and_others(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    append(log, lines(0, 100))
    with following(Collector(folder, [logs], quiet_s=0.2), folder) as follower:
        follower.until_stored(set(range(100)))
        for turn in range(3):
            fresh = logs / "sed-temporary"
            fresh.write_bytes(lines(0, 50) + lines(200 + turn, 201 + turn) + lines(50, 100))
            fresh.rename(log)
            follower.until_stored({*range(100), *range(200, 201 + turn)})
    with Reader(folder) as reader:
        assert reader.recount().exact


@pytest.mark.parametrize("poll", [False, True])
def test_t40_no_time_of_a_file_decides_anything(folder: StoreFolder, logs: Path, poll: bool) -> None:
    log = logs / "a.log"
    with following(Collector(folder, [logs], poll=poll), folder) as follower:
        for number, at_s in enumerate((time.time() + 365 * DAY_S, 0, time.time() - 365 * DAY_S, 2**31, 1)):
            append(log, lines(number * 10, number * 10 + 10))
            os.utime(log, (at_s, at_s))
            follower.until_stored(set(range(number * 10 + 10)))
    os.utime(log, (0, 0))
    assert once(folder, logs).lines == 0


def test_t41_two_writers_that_tear_each_others_lines(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    torn = line(1)[:40] + line(2)[:-1] + line(1)[40:]
    append(log, line(0) + torn + line(3) + line(4)[:30] + b"\n" + line(5))
    once(folder, logs)
    assert stored(folder) == {0, 3, 5}
    assert [found[0] for found in rejects(folder)] == [len(line(0)), len(line(0) + torn + line(3))]


@pytest.mark.parametrize("name", ["pi", "claude-code"])
def test_parser_state_travels_with_the_offset(tmp_path: Path, shared_data: Path, name: str) -> None:
    """A format that carries state, cut at many places: each restart in mid-file comes to the rows of one reading."""
    real = max(
        (shared_data / name).rglob("*.jsonl"), key=lambda path: (path.stat().st_size < 3 << 20, path.stat().st_size)
    )
    data = real.read_bytes()
    whole, cut = StoreFolder(tmp_path / "whole").prepare(), StoreFolder(tmp_path / "cut").prepare()
    for store in (whole, cut):
        shutil.rmtree(tmp_path / "logs", ignore_errors=True)
        (tmp_path / "logs").mkdir()
        log = tmp_path / "logs" / real.name
        pieces = 1
        if store is cut:
            pieces = 25
            shutil.copy(whole.redact_key, cut.redact_key)
        for number in range(pieces):
            append(log, data[len(data) * number // pieces : len(data) * (number + 1) // pieces])
            once(store, log)
    where = ("no", "parts", "block", "future")  # not what was read, but where and when it was written
    columns = [str(row[1]) for row in ask(whole, "PRAGMA table_info(span)") if row[1] not in where]
    sql = f"SELECT {', '.join(columns)} FROM span ORDER BY namespace, span_id"
    assert len(ask(whole, sql)) > 20
    assert ask(cut, sql) == ask(whole, sql)
    assert ask(cut, "SELECT * FROM session") == ask(whole, "SELECT * FROM session")


def test_t31_a_device_and_a_pipe_that_appear_while_it_follows(folder: StoreFolder, logs: Path) -> None:
    with following(Collector(folder, [logs]), folder) as follower:
        os.mkfifo(logs / "pipe.log")
        (logs / "zero.log").symlink_to("/dev/zero")
        append(logs / "a.log", lines(0, 10))
        follower.until_stored(set(range(10)))
        messages = follower.collector.summary.messages
        until(lambda: any("FIFO" in text for text in messages), "the pipe")
        until(lambda: any("device" in text for text in messages), "the device")
    assert threading.active_count() < 10
    assert sources(folder)[0].offset == len(lines(0, 10))
