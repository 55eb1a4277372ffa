"""Real collector processes that are killed in mid-file: each line is stored exactly once all the same."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from collectors.workers import usable_cores
from store.folder import StoreFolder
from store.liveness import collector_heartbeat
from tests.fault.feeding import append, gaps, line, lines, rejects, stored, until

ROOT = Path(__file__).resolve().parents[2]
_FOLLOW = """
import signal, sys, threading
from pathlib import Path
from collectors.collect import Collector
from store.folder import StoreFolder
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
print("ready", flush=True)
Collector(StoreFolder(Path(sys.argv[1])), sys.argv[2:]).follow(stop)
"""


@contextmanager
def collecting(folder: StoreFolder, *paths: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-c", _FOLLOW, str(folder.path), *map(str, paths)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_d1_killed_in_mid_file_again_and_again(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    total = 60_000
    whole = lines(0, total)
    append(log, whole[: len(whole) // 2])
    for share in (0.05, 0.2, 0.45):
        with collecting(folder, log) as process:
            until(lambda: len(stored(folder)) >= total * share, "some lines")  # noqa: B023 - used at once
            process.kill()
            process.wait()
        partial = stored(folder)
        assert partial == set(range(len(partial))), "a committed prefix, without a hole"
    append(log, whole[len(whole) // 2 :])
    with collecting(folder, log):
        until(lambda: len(stored(folder)) == total, "all lines")
    with closing(sqlite3.connect(folder.telemetry)) as connection:
        assert connection.execute("SELECT count(*), sum(spans) FROM session").fetchone() == (1, total)
        assert connection.execute("SELECT sum(lines), sum(rejected) FROM source").fetchone() == (total, 0)


def test_d1_random_kills_under_a_writer_that_rotates(folder: StoreFolder, tmp_path: Path) -> None:
    choice = random.Random(20_261_121)
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "a.log"
    number = rotations = 0
    for _ in range(6):
        with collecting(folder, logs) as process:
            for _ in range(choice.randrange(3, 8)):
                count = choice.randrange(1, 400)
                data = lines(number, number + count)
                number += count
                cut = choice.randrange(len(data))
                append(log, data[:cut])
                if choice.random() < 0.3:
                    rotations += 1
                    with log.open("ab") as old:
                        log.rename(logs / f"a.log.{rotations}")
                        old.write(data[cut:])
                else:
                    append(log, data[cut:])
            known = len(stored(folder))
            until(lambda: len(stored(folder)) > known or len(stored(folder)) == number, "it moves")  # noqa: B023
            process.kill()
            process.wait()
    assert rotations > 2
    with collecting(folder, logs):
        until(lambda: len(stored(folder)) == number, "all lines")
    assert stored(folder) == set(range(number))
    assert rejects(folder) == []
    assert gaps(folder) == []


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def test_d1_the_workers_of_a_killed_collector_end_with_it(folder: StoreFolder, tmp_path: Path) -> None:
    if usable_cores() < 2 or not Path("/proc/self/task").exists():
        pytest.skip("workers help from two cores on, and their process ids are read from /proc")
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 150_000))
    with collecting(folder, log) as process:
        until(lambda: bool(_children(process)), "workers help")
        workers = _children(process)
        process.kill()
        process.wait()
    until(lambda: not any(_runs(pid) for pid in workers), "the workers to end")


def _runs(pid: int) -> bool:
    """True while it is a process that is more than a line in its parent's book."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_d18_sigterm_in_the_middle_of_much_ends_before_it_has_read_all(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 150_000))
    with collecting(folder, log) as process:
        until(lambda: len(stored(folder)) > 0, "a first batch")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    partial = stored(folder)
    assert 0 < len(partial) < 150_000
    assert partial == set(range(len(partial)))


def test_t35_a_second_process_is_refused_and_the_first_goes_on(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    append(log, line(0))
    with collecting(folder, log):
        until(lambda: stored(folder) == {0}, "the first line")
        arguments = [sys.executable, "-c", _FOLLOW, str(folder.path), str(log)]
        second = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == 1
        assert "another collector (pid" in second.stderr
        append(log, line(1))
        until(lambda: stored(folder) == {0, 1}, "the second line")


def test_the_files_of_the_store_are_private_under_any_umask(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    append(log, line(0))
    with collecting(folder, log):
        until(lambda: stored(folder) == {0}, "the first line")
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.path.iterdir() if path.is_file()}
    assert modes
    assert set(modes.values()) == {0o600}, modes
    assert os.stat(folder.path).st_mode & 0o777 == 0o700  # noqa: PTH116


def test_a_follower_does_not_hear_itself(tmp_path: Path) -> None:
    """Its own output lies in the folder that it watches: what it says must not be a change that it says again."""
    log, said = tmp_path / "agent.jsonl", tmp_path / "said.txt"
    log.write_bytes(line(0))
    command = [sys.executable, "-m", "console.cli.main", "collect", str(log)]
    command += ["--store", str(tmp_path / "store"), "--config", str(tmp_path / "config")]
    with said.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            folder = StoreFolder(tmp_path / "store")
            for number in range(1, 30):
                append(log, line(number))
                until(partial(_is_stored, folder, number), "a row")
        finally:
            child.terminate()
            assert child.wait(10) == 0
    assert len(said.read_text().splitlines()) <= 2


def _is_stored(folder: StoreFolder, number: int) -> bool:
    return folder.telemetry.exists() and number in stored(folder)


def test_a_collector_of_a_console_that_was_killed_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from console.cli.open import collector_child; "
        "from console.cli.options import Settings\n"
        "settings = Settings(store_path=Path(sys.argv[1]), config_path=Path(sys.argv[1]) / 'config')\n"
        "settings.folder.prepare()\n"
        "with collector_child(settings, (Path(sys.argv[2]),)) as child:\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    log = tmp_path / "agent.jsonl"
    log.write_bytes(line(0))
    folder = StoreFolder(tmp_path / "store")
    parent = subprocess.Popen([sys.executable, "-c", code, str(folder.path), str(log)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    int(parent.stdout.readline())
    until(lambda: collector_heartbeat(folder).alive, "a collector")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not collector_heartbeat(folder).alive, "the collector to end with its console")
