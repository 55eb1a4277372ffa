"""T14 and T15: a copy of a file that is followed is not read beside it, and takes its place when it is truncated."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from collectors.collect import Collector
from collectors.summary import Summary
from store.folder import StoreFolder
from tests.fault.feeding import append, following, gaps, line, lines, sources, stored, until


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


def once(folder: StoreFolder, *paths: Path | str) -> Summary:
    return Collector(folder, paths).run_once()


@pytest.mark.parametrize("poll", [False, True])
def test_t15_a_copy_seen_beside_its_original_is_not_read(folder: StoreFolder, logs: Path, poll: bool) -> None:
    log, copy = logs / "a.log", logs / "a.log.1"
    append(log, lines(0, 500))
    with following(Collector(folder, [logs], poll=poll), folder) as follower:
        follower.until_stored(set(range(500)))
        shutil.copy(log, copy)
        append(log, lines(500, 510))
        follower.until_stored(set(range(510)))
        append(log, lines(510, 520))  # both were seen by now
        follower.until_stored(set(range(520)))
        os.truncate(log, 0)
        append(log, lines(600, 610))
        follower.until_stored({*range(520), *range(600, 610)})
        summary = follower.collector.summary
        assert (summary.lines, summary.duplicates) == (530, 0)
    assert gaps(folder) == []
    assert once(folder, logs).lines == 0


def test_t15_a_copy_beside_its_original_at_the_first_look(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", lines(0, 500))
    shutil.copy(logs / "a.log", logs / "a.log.1")
    assert once(folder, logs).lines == 500
    append(logs / "a.log", lines(500, 510))
    assert once(folder, logs).lines == 10
    os.truncate(logs / "a.log", 0)
    append(logs / "a.log", lines(600, 601))
    summary = once(folder, logs)
    assert {*range(510), 600} == stored(folder)
    assert summary.spans == 1


def test_t14_truncated_while_nobody_collects_the_rest_comes_from_the_copy_and_no_gap(
    folder: StoreFolder, logs: Path
) -> None:
    log = logs / "a.log"
    append(log, lines(0, 100))
    once(folder, logs)
    append(log, lines(100, 150))
    shutil.copy(log, logs / "a.log.1")
    os.truncate(log, 0)
    append(log, lines(200, 220))
    summary = once(folder, logs)
    assert (summary.lines, summary.duplicates, summary.gaps) == (70, 0, 0)
    assert stored(folder) == {*range(150), *range(200, 220)}
    assert gaps(folder) == []


def test_t14_a_longer_copy_of_a_file_with_a_partial_line_leaves_no_gap(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    append(log, lines(0, 100) + line(100)[:30])
    with following(Collector(folder, [logs]), folder) as follower:
        follower.until_stored(set(range(100)))
        (logs / "a.log.1").write_bytes(lines(0, 101))
        follower.until_stored(set(range(101)))
        os.truncate(log, 0)
        append(log, lines(200, 210))
        follower.until_stored({*range(101), *range(200, 210)})
        assert follower.collector.summary.duplicates == 0
    assert gaps(folder) == []


def test_t15_a_file_that_only_begins_like_another_is_read(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", lines(0, 200))
    with following(Collector(folder, [logs]), folder) as follower:
        follower.until_stored(set(range(200)))
        copy = logs / "a.log.1"
        copy.write_bytes(lines(0, 150))
        append(logs / "a.log", line(200))
        follower.until_stored(set(range(201)))
        append(copy, lines(300, 310))  # now it is another file
        follower.until_stored({*range(201), *range(300, 310)})


def test_t15_files_that_begin_alike_and_part_later(folder: StoreFolder, logs: Path) -> None:
    """The first bytes of two agents' logs may be the same for a while; no line of either is left out."""
    a, b = logs / "a.log", logs / "a.log.1"
    same = lines(0, 50)
    with following(Collector(folder, [logs]), folder) as follower:
        append(a, same)
        follower.until_stored(set(range(50)))
        for start in range(0, len(same), 1000):
            append(b, same[start : start + 1000])
        append(b, line(70))
        append(a, line(60))
        follower.until_stored({*range(50), 60, 70})


def test_t15_two_copies_and_the_original_goes(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    append(log, lines(0, 100))
    with following(Collector(folder, [logs], quiet_s=0.2), folder) as follower:
        follower.until_stored(set(range(100)))
        shutil.copy(log, logs / "a.log.1")
        shutil.copy(log, logs / "a.log.bak.1")
        append(log, line(100))
        follower.until_stored(set(range(101)))
        log.unlink()
        until(lambda: any(one.state == "finished" and one.path == str(log) for one in sources(folder)), "it is gone")
        append(logs / "a.log.1", lines(200, 205))
        follower.until_stored({*range(101), *range(200, 205)})
    assert gaps(folder) == []
