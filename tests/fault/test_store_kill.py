"""D1, D2 and D12: a collector that dies anywhere, and a write-ahead log that is torn anywhere."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from collectors.collect import Collector
from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import ask, gaps, line, lines, rejects, sources, stored, until
from tests.fault.strace import calls, needs_strace, reading_once, run, traced
from tests.fault.workers import Worker

KILLS = int(os.environ.get("ANDON_KILLS", "25"))
EVERY = int(os.environ.get("ANDON_KILL_EVERY", "21"))  # of the mutating calls, which are killed at


def assert_exact(folder: StoreFolder, wanted: set[int]) -> None:
    """Exactly these lines, no reject, no gap, every total the sum of its rows."""
    assert stored(folder) == wanted
    assert (rejects(folder), gaps(folder)) == ([], [])
    with Reader(folder) as reader:
        assert reader.recount().exact


def stored_prefix(folder: StoreFolder) -> int:
    """How many lines are stored, which must be the first ones, without a hole."""
    sql = "SELECT count(*), coalesce(max(CAST(substr(span_id, 2) AS INTEGER)) + 1, 0) FROM span"
    try:
        ((count, after_last),) = ask(folder, sql)
    except sqlite3.OperationalError:
        return 0  # not made yet
    assert count == after_last, "a hole in what was committed"
    return int(str(count))


def test_d1_killed_at_random_again_and_again(folder: StoreFolder, tmp_path: Path) -> None:
    """A writer goes on while one collector after the other is killed, some of them before they wrote anything."""
    choice = random.Random(KILLS)
    log = tmp_path / "a.jsonl"
    number = kept = 0
    with log.open("ab", buffering=0) as writer:
        for _ in range(KILLS):
            count = choice.choice((1, 50, 300, 3000) if KILLS < 100 else (1, 10, 100, 300))
            data = lines(number, number + count)
            number += count
            cut = choice.randrange(len(data))
            writer.write(data[:cut])
            worker = Worker.following(folder, log)
            if choice.random() < 0.7:
                before = kept
                until(lambda: stored_prefix(folder) > before or number <= before + 1, "it moves")  # noqa: B023
            writer.write(data[cut:])
            worker.kill()
            kept = stored_prefix(folder)
    Collector(folder, [log]).run_once()
    assert_exact(folder, set(range(number)))
    assert ask(folder, "SELECT sum(lines), sum(rejected) FROM source") == [(number, 0)]


@needs_strace
@pytest.mark.parametrize("begun", [False, True], ids=["new store", "store with half of the lines"])
def test_d2_killed_at_each_call_that_changes_a_file(tmp_path: Path, begun: bool) -> None:
    log, early, out = tmp_path / "a.jsonl", tmp_path / "early", tmp_path / "out"
    log.write_bytes(lines(0, 150))
    if begun:
        Collector(StoreFolder(early).prepare(), [log]).run_once()
    else:
        early.mkdir(mode=0o700)
    log.write_bytes(lines(0, 300))

    def fresh() -> StoreFolder:
        store = tmp_path / "store"
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(early, store)
        return StoreFolder(store)

    found = calls(reading_once(fresh().path, log), out)
    moments = [(name, number) for name in sorted(found) for number in range(1, found[name] + 1)]
    assert len(moments) > 50
    killed = 0
    for name, number in moments[len(moments) % EVERY :: EVERY]:
        folder = fresh()
        inject = f"inject={name}:signal=KILL:when={number}"
        done = run([*traced(out, "-e", f"trace={name}", "-e", inject), *reading_once(folder.path, log)])
        killed += done.returncode != 0
        Collector(folder, [log]).run_once()
        assert_exact(folder, set(range(300)))
    assert killed > len(moments) // EVERY // 2, "the kills came"


def test_d12_a_torn_write_ahead_log_loses_its_tail_and_nothing_else(tmp_path: Path) -> None:
    """Cut at 200 places: what is left is a state that was committed, and the offset in it says which."""
    choice = random.Random(12)
    folder = StoreFolder(tmp_path / "store").prepare()
    log = tmp_path / "a.jsonl"
    log.write_bytes(b"")
    worker = Worker.following(folder, log)
    for number in range(0, 300, 20):
        with log.open("ab") as file:
            file.write(lines(number, number + 20))
        until(lambda: len(stored(folder)) == number + 20, "a commit")  # noqa: B023 - used at once
    worker.kill()
    whole = folder.telemetry.with_name("telemetry.db-wal").read_bytes()
    assert len(whole) > 100_000
    sizes = set()
    for turn in range(200):
        torn = StoreFolder(tmp_path / "torn").prepare()
        shutil.copy(folder.telemetry, torn.telemetry)
        wal = torn.telemetry.with_name("telemetry.db-wal")
        wal.write_bytes(whole[: choice.randrange(len(whole))])
        try:
            left = stored(torn)
            sizes.add(len(left))
            assert left == set(range(len(left)))
            if left:
                assert sources(torn)[0].offset == len(lines(0, len(left)))
            if turn % 20 == 0:
                Collector(torn, [log]).run_once()
                assert_exact(torn, set(range(300)))
        finally:
            shutil.rmtree(torn.path)
    assert len(sizes) > 5


def test_d18_sigterm_while_it_follows_many_files_ends_it_at_once(folder: StoreFolder, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(100):
        (logs / f"{number}.jsonl").write_bytes(line(number))
    worker = Worker.following(folder, logs)
    until(lambda: len(stored(folder)) == 100, "all lines")
    assert worker.stop() == 0
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
