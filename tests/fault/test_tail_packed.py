"""T26 and T27: gzip files are read as the lines that they hold, and a log that was read is not read again packed."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from pathlib import Path

import pytest

from collectors.collect import Collector
from collectors.summary import Summary
from collectors.tail import content
from store.folder import StoreFolder
from tests.fault.feeding import append, following, gaps, line, lines, rejects, sources, stored, until


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


def once(folder: StoreFolder, *paths: Path | str) -> Summary:
    return Collector(folder, paths).run_once()


def noisy(start: int, stop: int) -> bytes:
    """Lines that do not pack well, so that a file of them is cut in the middle of one."""
    choice = random.Random(start)
    return b"".join(line(number, note=choice.randbytes(60).hex()) for number in range(start, stop))


def test_t26_a_log_that_was_read_is_not_read_again_packed(folder: StoreFolder, logs: Path) -> None:
    log, packed = logs / "app.log", logs / "app.log.1.gz"
    append(log, lines(0, 300))
    once(folder, logs)
    packed.write_bytes(gzip.compress(log.read_bytes() + lines(300, 310)))  # ten lines were written after the look
    log.unlink()
    append(log, lines(400, 405))
    summary = once(folder, logs)
    assert (summary.lines, summary.duplicates, summary.gaps) == (15, 0, 0)
    assert stored(folder) == {*range(310), *range(400, 405)}
    assert {Path(source.path).name: source.offset for source in sources(folder)} == {
        "app.log": len(lines(400, 405)),
        "app.log.1.gz": len(lines(0, 310)),
    }
    assert once(folder, logs).lines == 0
    packed.rename(logs / "app.log.2.gz")
    assert once(folder, logs).lines == 0


def test_t26_packed_while_it_is_followed(folder: StoreFolder, logs: Path) -> None:
    log, old, packed = logs / "app.log", logs / "app.log.1", logs / "app.log.1.gz"
    append(log, noisy(0, 2000))
    with following(Collector(folder, [logs], quiet_s=0.3), folder) as follower:
        follower.until_stored(set(range(2000)))
        log.rename(old)
        append(log, lines(5000, 5010))
        whole = gzip.compress(old.read_bytes())
        for start in range(0, len(whole), len(whole) // 5):
            append(packed, whole[start : start + len(whole) // 5])
            follower.until_stored({*range(2000), *range(5000, 5010)})
        old.unlink()
        until(lambda: any(source.path == str(packed) for source in sources(folder)), "the packed file takes over")
        append(log, lines(5010, 5020))
        follower.until_stored({*range(2000), *range(5000, 5020)})
        assert follower.collector.summary.lines == 2020
        assert follower.collector.summary.duplicates == 0
    assert gaps(folder) == []
    assert once(folder, logs).lines == 0


def test_t26_another_log_with_the_same_head_is_read(folder: StoreFolder, logs: Path) -> None:
    append(logs / "app.log", lines(0, 100) + line(500))
    once(folder, logs)
    (logs / "app.log").unlink()
    (logs / "app.log.1.gz").write_bytes(gzip.compress(lines(0, 100) + lines(600, 605)))
    once(folder, logs)
    assert stored(folder) == {*range(100), 500, *range(600, 605)}


def test_t27_all_members_are_read_and_more_may_be_added(folder: StoreFolder, logs: Path) -> None:
    packed = logs / "app.log.gz"
    data = noisy(0, 900)
    third = len(data) // 3
    packed.write_bytes(gzip.compress(data[:third]) + b"\0" * 100 + gzip.compress(data[third : 2 * third]))
    once(folder, packed)
    assert stored(folder) < set(range(900))
    append(packed, gzip.compress(data[2 * third :]))
    once(folder, packed)
    assert stored(folder) == set(range(900))
    assert len(sources(folder)) == 1
    assert (rejects(folder), gaps(folder)) == ([], [])
    assert once(folder, packed).lines == 0


def test_t27_of_a_truncated_file_what_is_whole_is_read_and_the_rest_is_said_once(
    folder: StoreFolder, logs: Path
) -> None:
    packed = logs / "app.log.1.gz"
    whole = gzip.compress(noisy(0, 2000))
    packed.write_bytes(whole[: len(whole) // 2])
    summary = once(folder, logs)
    first = stored(folder)
    assert 500 < len(first) < 1500
    assert first == set(range(len(first)))
    assert any("ends too early" in message for message in summary.messages)
    ((path, lost_bytes, reason),) = gaps(folder)
    assert (path, lost_bytes) == (str(packed), None)
    assert "ends too early" in str(reason)
    assert [source.state for source in sources(folder)] == ["unreadable"]
    assert once(folder, logs).gaps == 0
    append(packed, whole[len(whole) // 2 :])  # it was not done yet
    assert once(folder, logs).gaps == 0
    assert stored(folder) == set(range(2000))
    assert [(source.state, source.message) for source in sources(folder)] == [("following", None)]


def test_t27_a_file_that_is_still_packed_is_no_error(folder: StoreFolder, logs: Path) -> None:
    packed = logs / "app.log.1.gz"
    whole = gzip.compress(noisy(0, 2000))
    with following(Collector(folder, [logs]), folder) as follower:
        for start in range(0, len(whole), 20_000):
            append(packed, whole[start : start + 20_000])
            until(lambda: len(stored(folder)) >= start // 250, "it is read as it grows")  # noqa: B023 - used at once
        follower.until_stored(set(range(2000)))
    assert gaps(folder) == []


def test_t27_damaged_data_ends_the_file_not_the_collector(folder: StoreFolder, logs: Path) -> None:
    data = bytearray(gzip.compress(noisy(0, 4000)))
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    (logs / "a.log.gz").write_bytes(bytes(data))
    append(logs / "b.log", lines(9000, 9010))
    once(folder, logs)
    assert set(range(9000, 9010)) < stored(folder)
    assert {source.state for source in sources(folder)} == {"following", "unreadable"}
    assert "damaged" in str(gaps(folder)[0][2])
    assert once(folder, logs).gaps == 0


@pytest.mark.parametrize("unit", [b"\0", b"x", b"\n"])
def test_t27_a_bomb_is_stopped_and_the_others_are_read(folder: StoreFolder, logs: Path, unit: bytes) -> None:
    """Ten gigabytes in ten megabytes; nothing like that is ever held or read."""
    member = gzip.compress(unit * (10 << 20), 9)
    with (logs / "bomb.log.gz").open("wb") as file:
        file.write(gzip.compress(lines(0, 10)))
        for _ in range(1000):
            file.write(member)
    append(logs / "good.log", lines(10, 20))
    tracemalloc.start()
    summary = once(folder, logs)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 40 << 20
    assert stored(folder) == set(range(20))
    assert any("unpacks to far more" in message for message in summary.messages)
    assert len(gaps(folder)) == 1
    assert once(folder, logs).gaps == 0


def test_t27_the_size_cap_holds_for_a_file_that_packs_well_by_nature(
    folder: StoreFolder, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MAX_UNPACKED_BYTES", 1 << 20)
    (logs / "a.log.gz").write_bytes(gzip.compress(noisy(0, 10_000)))
    once(folder, logs)
    assert 1000 < len(stored(folder)) < 10_000
    assert "unpacks to far more" in str(gaps(folder)[0][2])


def test_t27_what_is_packed_otherwise_is_refused_by_name(folder: StoreFolder, logs: Path) -> None:
    (logs / "a.log").write_bytes(b"PK\x03\x04 and so on")
    (logs / "b.log.gz").write_bytes(gzip.compress(gzip.compress(lines(0, 5))))
    summary = once(folder, logs)
    assert any("a.log: it is compressed (zip)" in message for message in summary.messages)
    assert any("b.log.gz: it is compressed (gzip)" in message for message in summary.messages)
    assert stored(folder) == set()


def test_a_bad_line_in_a_packed_file_is_kept_with_its_place(folder: StoreFolder, logs: Path) -> None:
    (logs / "a.log.gz").write_bytes(gzip.compress(line(0) + b"{torn\n" + line(1)))
    once(folder, logs)
    assert stored(folder) == {0, 1}
    assert [found[0] for found in rejects(folder)] == [len(line(0))]
