"""Restarts: each test reads with one collector, changes the files while nobody collects, and reads with another."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from collectors.collect import Collector
from collectors.declared import CollectError, Declared
from collectors.summary import Summary
from store.folder import StoreError, StoreFolder
from store.liveness import CollectorLock
from tests.fault.feeding import append, gaps, line, lines, rejects, sources, stored

_NOBODY = 65534


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


def once(folder: StoreFolder, *paths: Path | str) -> Summary:
    return Collector(folder, paths).run_once()


def test_reads_to_the_end_and_goes_on_where_it_stopped(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.jsonl"
    append(log, lines(0, 100))
    first = once(folder, log)
    assert (first.files, first.lines, first.records, first.spans, first.sessions) == (1, 100, 100, 100, 1)
    assert first.by_format == {"andon": {"files": 1, "lines": 100, "records": 100, "rejected": 0}}
    append(log, lines(100, 150))
    second = once(folder, log)
    assert (second.lines, second.spans, second.duplicates) == (50, 50, 0)
    assert once(folder, log).lines == 0
    assert stored(folder) == set(range(150))


def test_t3_a_partial_line_over_a_restart_is_one_row(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.jsonl"
    append(log, lines(0, 5) + line(5)[:40])
    once(folder, log)
    source = sources(folder)[0]
    assert source.offset == len(lines(0, 5))
    assert source.pending_bytes == 40
    assert source.pending_since_ns is not None
    append(log, line(5)[40:])
    once(folder, log)
    assert stored(folder) == set(range(6))
    assert sources(folder)[0].pending_since_ns is None
    assert rejects(folder) == []


def test_t2_a_last_line_without_newline_is_read_once_and_counted_once(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.jsonl"
    append(log, lines(0, 5) + line(5).rstrip(b"\n"))
    first = once(folder, log)
    assert stored(folder) == set(range(6))
    assert (first.lines, first.spans) == (6, 6)
    assert sources(folder)[0].offset == len(lines(0, 5))
    again = once(folder, log)
    assert (again.spans, again.duplicates) == (0, 1)
    append(log, b"\n" + line(6))
    after = once(folder, log)
    assert (after.lines, after.spans, after.duplicates) == (2, 1, 1)
    assert stored(folder) == set(range(7))
    assert sources(folder)[0].offset == log.stat().st_size


def test_a_single_line_without_newline_is_recognised(folder: StoreFolder, logs: Path) -> None:
    (logs / "a.jsonl").write_bytes(line(0).rstrip(b"\n"))
    assert once(folder, logs).spans == 1


def test_t5_crlf_and_blank_lines(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", b"\n\r\n" + lines(0, 3).replace(b"\n", b"\r\n\n") + b"   \n")
    assert once(folder, logs).rejected == 0
    assert stored(folder) == {0, 1, 2}
    assert sources(folder)[0].blank_lines == 6
    assert once(folder, logs).lines == 0


def test_t6_a_byte_order_mark_is_stripped_and_utf16_is_refused_aloud(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.jsonl", b"\xef\xbb\xbf" + lines(0, 2))
    append(logs / "b.jsonl", lines(2, 4).decode().encode("utf-16"))
    summary = once(folder, logs)
    assert stored(folder) == {0, 1}
    assert any("b.jsonl: it is UTF-16" in message for message in summary.messages)
    assert summary.by_format["unknown"]["files"] == 1


def test_t7_a_long_line_is_set_aside_and_the_next_is_read(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.jsonl"
    big = line(1, output="x" * 3_000_000)
    append(log, line(0) + big + line(2))
    assert once(folder, log).rejected == 1
    ((offset, length, reason, line_hash, sample),) = rejects(folder)
    assert (offset, length) == (len(line(0)), len(big) - 1)
    assert "longer than" in str(reason)
    assert len(str(line_hash)) == 32
    assert len(str(sample)) <= 2048
    assert stored(folder) == {0, 2}
    assert once(folder, log).rejected == 0
    assert len(rejects(folder)) == 1


def test_t41_bad_lines_are_rejected_with_their_place_and_redacted(folder: StoreFolder, logs: Path) -> None:
    secret = "sk-ant-api03-" + "A1b2C3d4" * 11
    bad = b'{"session_id": "s1", "note": "jo\\u0040example.org", "key": "' + secret.encode() + b'", oops\n'
    append(logs / "a.jsonl", line(0) + bad + line(1) + b"\xff\xfe torn\n" + line(2))
    summary = once(folder, logs)
    assert stored(folder) == {0, 1, 2}
    assert summary.rejected == summary.by_format["andon"]["rejected"] == 2
    assert [found[0] for found in rejects(folder)] == [len(line(0)), len(line(0) + bad + line(1))]
    everything = b"".join(path.read_bytes() for path in folder.path.glob("telemetry.db*"))
    assert secret.encode() not in everything
    assert b"example.org" not in everything


def test_t11_rotated_while_nobody_collects_goes_on_in_the_renamed_file(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    append(log, lines(0, 10))
    once(folder, logs)
    append(log, lines(10, 20))
    log.rename(logs / "a.log.1")
    append(log, lines(20, 30))
    summary = once(folder, logs)
    assert stored(folder) == set(range(30))
    assert (summary.lines, summary.duplicates, summary.gaps) == (20, 0, 0)
    assert {Path(source.path).name: source.offset for source in sources(folder)} == {
        "a.log": len(lines(20, 30)),
        "a.log.1": len(lines(0, 20)),
    }


def test_t11_a_named_file_is_found_again_beside_itself(folder: StoreFolder, logs: Path) -> None:
    log = logs / "agent.txt"
    append(log, lines(0, 10))
    once(folder, log)
    append(log, lines(10, 20))
    log.rename(logs / "agent.txt.1")
    append(log, lines(20, 30))
    assert once(folder, log).gaps == 0
    assert stored(folder) == set(range(30))


def test_t12_rotated_out_of_sight_is_a_gap_once(folder: StoreFolder, logs: Path, tmp_path: Path) -> None:
    log = logs / "a.log"
    append(log, lines(0, 10))
    once(folder, logs)
    append(log, lines(10, 20))
    log.rename(tmp_path / "elsewhere")
    append(log, lines(20, 30))
    summary = once(folder, logs)
    assert summary.gaps == 1
    ((path, lost_bytes, reason),) = gaps(folder)
    assert (path, lost_bytes) == (str(log), None)
    assert f"{len(lines(0, 10)):,}" in str(reason)
    assert stored(folder) == {*range(10), *range(20, 30)}
    assert once(folder, logs).gaps == 0
    assert {source.state for source in sources(folder)} == {"following", "missing"}


def test_a_source_of_other_paths_is_no_gap(folder: StoreFolder, logs: Path, tmp_path: Path) -> None:
    append(logs / "a.log", lines(0, 10))
    once(folder, logs)
    (logs / "a.log").unlink()
    other = tmp_path / "other.log"
    append(other, lines(10, 20))
    assert once(folder, other).gaps == 0


@pytest.mark.parametrize("after", [5, 10, 30])
def test_t16_t18_t20_truncated_while_nobody_collects_is_read_from_its_start(
    folder: StoreFolder, logs: Path, after: int
) -> None:
    log = logs / "a.log"
    append(log, lines(0, 10))
    once(folder, logs)
    os.truncate(log, 0)
    append(log, lines(100, 100 + after))
    summary = once(folder, logs)
    wanted = {*range(10), *range(100, 100 + after)}
    assert stored(folder) == wanted
    assert any("truncated" in message or "anew" in message for message in summary.messages)
    append(log, lines(200, 203))
    again = once(folder, logs)
    assert (again.lines, again.gaps) == (3, 0)
    assert stored(folder) == wanted | {200, 201, 202}


def test_t19_an_inode_that_is_given_again_is_a_new_file(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    for number in range(5):
        append(log, lines(number * 10, number * 10 + 10))
        once(folder, logs)
        log.unlink()
    append(log, lines(50, 70))
    once(folder, logs)
    assert stored(folder) == set(range(70))


def test_t21_files_with_the_same_first_4_kb_are_two(folder: StoreFolder, logs: Path) -> None:
    same = lines(0, 60)
    assert len(same) > 4096
    append(logs / "a.log", same + line(100))
    append(logs / "b.log", same + line(200))
    once(folder, logs)
    assert stored(folder) == {*range(60), 100, 200}
    append(logs / "a.log", line(101))
    append(logs / "b.log", line(201))
    assert once(folder, logs).lines == 2
    assert stored(folder) == {*range(60), 100, 101, 200, 201}


def test_t22_a_file_that_grows_by_bytes_stays_itself(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    data = lines(0, 4)
    for at in range(0, len(data), 37):
        append(log, data[at : at + 37])
        assert once(folder, log).gaps == 0
    assert stored(folder) == set(range(4))
    assert len(sources(folder)) == 1


def test_t25_hard_links_links_and_two_globs_are_one_file(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", lines(0, 10))
    (logs / "b.log").hardlink_to(logs / "a.log")
    (logs / "c.log").symlink_to("a.log")
    (logs / "broken.log").symlink_to("nothing")
    (logs / "loop.log").symlink_to("loop.log")
    summary = once(folder, logs, f"{logs}/*.log", logs / "a.log")
    assert (summary.files, summary.lines, summary.duplicates) == (1, 10, 0)
    assert any("broken.log" in message for message in summary.messages)
    assert any("loop.log" in message for message in summary.messages)
    assert once(folder, logs).lines == 0


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder to work in as a user who is not root: root reads every file, whatever its mode."""
    with TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, _NOBODY, _NOBODY)
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)
            os.setegid(0)


def test_t30_a_file_without_permission_is_said_and_caught_up(as_nobody: Path) -> None:
    folder = StoreFolder(as_nobody / "store")
    logs = as_nobody / "logs"
    logs.mkdir()
    log = logs / "a.log"
    append(log, lines(0, 5))
    once(folder, logs)
    append(log, lines(5, 10))
    log.chmod(0)
    summary = once(folder, logs)
    assert any("cannot be read" in message for message in summary.messages)
    assert [source.state for source in sources(folder)] == ["unreadable"]
    log.chmod(0o600)
    assert once(folder, logs).gaps == 0
    assert stored(folder) == set(range(10))
    assert [source.state for source in sources(folder)] == ["following"]


def test_t31_what_is_no_file_is_refused_without_waiting(folder: StoreFolder, logs: Path) -> None:
    os.mkfifo(logs / "pipe.log")
    (logs / "folder.log").mkdir()
    append(logs / "folder.log" / "a.log", lines(0, 3))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(logs / "s.log"))
        summary = once(folder, logs, "/dev/zero", logs / "pipe.log")
    assert stored(folder) == {0, 1, 2}
    for name in ("pipe.log: it is a FIFO", "s.log: it is a socket", "/dev/zero: it is a device"):
        assert any(name in message for message in summary.messages), name


def test_t37_a_moved_file_is_recognised_by_its_content(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", lines(0, 200))
    once(folder, logs)
    shutil.copy(logs / "a.log", logs / "b.log")  # another inode, as after a restore
    (logs / "a.log").unlink()
    append(logs / "b.log", lines(200, 210))
    summary = once(folder, logs)
    assert (summary.lines, summary.gaps) == (10, 0)
    assert stored(folder) == set(range(210))


def test_a_file_of_unknown_format_is_counted_and_looked_at_again(folder: StoreFolder, logs: Path) -> None:
    log = logs / "a.log"
    append(log, b"hello\n")
    append(logs / "b.log", b"\n\n")
    append(logs / "empty.log", b"")
    summary = once(folder, logs)
    assert summary.by_format == {"unknown": {"files": 3, "lines": 0, "records": 0, "rejected": 0}}
    assert [message for message in summary.messages if "not known" in message] == [
        f"{log}: its format is not known; it was not read"
    ]
    assert rejects(folder) == []
    append(log, lines(0, 5))
    append(logs / "b.log", lines(5, 6))
    append(logs / "empty.log", lines(6, 7))
    once(folder, logs)
    assert stored(folder) == set(range(7))
    assert {source.state for source in sources(folder)} == {"following"}


def test_a_named_format_is_taken_at_its_word(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", b"hello\n" * 30 + lines(0, 2))
    summary = Collector(folder, [Declared(logs, "andon", "mine")]).run_once()
    assert summary.rejected == 30
    assert stored(folder) == {0, 1}
    assert sources(folder)[0].agent == "mine"
    with pytest.raises(CollectError, match="andon"):
        Collector(folder, [Declared(logs, "nonsense")])


def test_t35_a_second_collector_is_refused_in_one_line(folder: StoreFolder, logs: Path) -> None:
    append(logs / "a.log", lines(0, 2))
    with CollectorLock(folder), pytest.raises(StoreError, match="another collector") as refused:
        once(folder, logs)
    assert "\n" not in str(refused.value)
    assert once(folder, logs).spans == 2


def test_names_that_are_no_text_or_hold_escapes_are_read_and_shown_inert(folder: StoreFolder, logs: Path) -> None:
    odd = os.fsencode(logs) + b"/\xff\x1b[2J\n.log"
    Path(os.fsdecode(odd)).write_bytes(lines(0, 3))
    Path(os.fsdecode(odd + b".1")).write_bytes(b"no format\n")
    summary = once(folder, logs)
    assert stored(folder) == {0, 1, 2}
    assert all(message.isprintable() for message in summary.messages)
    assert once(folder, logs).lines == 0


def test_t32_many_more_files_than_may_be_open(folder: StoreFolder, logs: Path) -> None:
    for number in range(600):
        (logs / f"{number}.jsonl").write_bytes(line(number))
    assert once(folder, logs).spans == 600
    for number in range(600):
        append(logs / f"{number}.jsonl", line(number + 1000))
    assert once(folder, logs).lines == 600
    assert len(os.listdir("/proc/self/fd")) < 100  # noqa: PTH208


def test_real_files_load_whole_and_a_second_time_change_nothing(folder: StoreFolder, shared_data: Path) -> None:
    paths = [shared_data / "claude-code", shared_data / "pi"]
    first = once(folder, *paths)
    assert first.by_format["pi"]["files"] == 1
    assert first.by_format["claude-code"]["files"] == 29
    again = once(folder, *paths)
    assert again.spans == again.gaps == again.rejected == 0
    assert again.records == again.duplicates


def test_a_deeply_nested_line_is_rejected_not_fatal(folder: StoreFolder, logs: Path) -> None:
    deep = b'{"session_id":"s1","kind":"tool","time":1790000000,"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    append(logs / "a.log", line(0) + deep + line(1))
    once(folder, logs)
    assert {0, 1} <= stored(folder)
    assert json.dumps(rejects(folder))
