"""D16 and T40: the system's clock jumps, back and forth; what is collected does not depend on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from collectors.collect import Collector
from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import append, ask, gaps, line, lines, rejects, stored, until
from tests.fault.strace import ROOT
from tests.fault.workers import Worker, follow

_LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")
_JUMPS_S = (3600, -3600, 86_400, -86_400, 0, -40 * 86_400, 40 * 86_400)
_FOLLOW = """
import signal, sys, threading
from pathlib import Path
from collectors.collect import Collector
from store.folder import StoreFolder
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
Collector(StoreFolder(Path(sys.argv[1])), sys.argv[2:], workers=0).follow(stop)
"""


def follow_by_another_clock(ready: Connection, store: str, logs: str, offset: str) -> None:
    """A collector whose wall clock is ahead of the real one by the seconds that the file says."""
    real_ns, real_s = time.time_ns, time.time
    time.time_ns = lambda: real_ns() + int(Path(offset).read_text() or 0) * 10**9
    time.time = lambda: real_s() + int(Path(offset).read_text() or 0)
    follow(ready, store, [logs])


def assert_nothing_depends_on_it(folder: StoreFolder, number: int) -> None:
    assert stored(folder) == set(range(number))
    assert (rejects(folder), gaps(folder)) == ([], [])
    assert ask(folder, "SELECT count(*) FROM span WHERE ended_ns < started_ns") == [(0,)]
    with Reader(folder) as reader:
        assert reader.recount().exact


def jump_and_write(folder: StoreFolder, logs: Path, set_clock_s: Path, form: str) -> int:
    """Let the clock jump, write, rotate, and wait for the lines; how many were written."""
    log = logs / "a.log"
    number = 0
    for turn, jump_s in enumerate(_JUMPS_S):
        fresh = set_clock_s.with_name("fresh")
        fresh.write_text(form.format(jump_s))
        fresh.rename(set_clock_s)
        append(log, lines(number, number + 40) + line(number + 40)[:30])
        until(lambda: len(stored(folder)) == number + 40, "the lines")  # noqa: B023 - used at once
        append(log, line(number + 40)[30:])
        log.rename(logs / f"a.log.{turn}")
        number += 41
        until(lambda: len(stored(folder)) == number, "the rest")  # noqa: B023 - used at once
    return number


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


def test_d16_t40_the_clock_jumps_by_an_hour_a_day_and_forty_days(
    folder: StoreFolder, logs: Path, tmp_path: Path
) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    worker = Worker(follow_by_another_clock, str(folder.path), str(logs), str(offset))
    number = jump_and_write(folder, logs, offset, "{}")
    assert worker.stop() == 0
    assert_nothing_depends_on_it(folder, number)
    assert Collector(folder, [logs]).run_once().lines == 0


@contextmanager
def by_libfaketime(folder: StoreFolder, logs: Path, clock: Path) -> Iterator[subprocess.Popen[bytes]]:
    found = [Path(name) / "libfaketimeMT.so.1" for name in _LIBRARIES]
    library = next((path for path in found if path.exists()), None)
    if library is None:
        pytest.skip("libfaketime is not installed")
    faked = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    command = [sys.executable, "-c", _FOLLOW, str(folder.path), str(logs)]
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **faked})
    try:
        yield child
    finally:
        child.terminate()
        assert child.wait(20) == 0


def test_d16_the_clock_of_a_whole_process_jumps(folder: StoreFolder, logs: Path, tmp_path: Path) -> None:
    """By libfaketime: SQLite's clock and the C library's jump with Python's."""
    clock = tmp_path / "clock"
    clock.write_text("+0s")
    with by_libfaketime(folder, logs, clock):
        number = jump_and_write(folder, logs, clock, "{:+d}s")
    assert_nothing_depends_on_it(folder, number)
