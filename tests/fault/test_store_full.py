"""D3 and D4: no space, and errors of the disk. The collector waits, says so, and catches up alone."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors.collect import Collector
from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import append, gaps, lines, rejects, stored, until
from tests.fault.strace import ROOT, needs_strace, traced
from tests.fault.workers import Worker

_FOLLOW = """
import signal, sys, threading
from pathlib import Path
from collectors.collect import Collector
from store.folder import StoreFolder
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
say = lambda message: print(message, file=sys.stderr, flush=True)
Collector(StoreFolder(Path(sys.argv[1])), sys.argv[2:], workers=0, on_message=say).follow(stop)
"""


def assert_exact(folder: StoreFolder, wanted: set[int]) -> None:
    assert stored(folder) == wanted
    assert (rejects(folder), gaps(folder)) == ([], [])
    with Reader(folder) as reader:
        assert reader.recount().exact
        assert reader.check() == "ok"


@contextmanager
def failing(folder: StoreFolder, log: Path, out: Path, name: str, inject: str) -> Iterator[subprocess.Popen[str]]:
    """A collector whose calls on that file of the store fail as told. What it says goes to `out` with ending .said."""
    command = traced(out, "-P", str(folder.path / name), "-e", inject)
    said = out.with_suffix(".said")
    with said.open("w") as errors:
        process = subprocess.Popen(
            [*command, sys.executable, "-c", _FOLLOW, str(folder.path), str(log)],
            cwd=ROOT,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


@needs_strace
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize(
    ("what", "name", "call", "when"),
    [
        ("row insert", "telemetry.db-wal", "pwrite64", "8..8"),
        ("growth of the log", "telemetry.db-wal", "pwrite64", "300..300"),
        ("checkpoint", "telemetry.db", "pwrite64", "30..60"),
        ("sync of the log", "telemetry.db-wal", "fdatasync", "1..1"),
        ("sync of the database", "telemetry.db", "fdatasync", "1..4"),
    ],
)
def test_d3_d4_calls_that_fail_for_a_while(
    folder: StoreFolder, tmp_path: Path, what: str, name: str, call: str, when: str, error: str
) -> None:
    log, out = tmp_path / "a.jsonl", tmp_path / "trace.out"
    append(log, lines(0, 1))
    Collector(folder, [log]).run_once()  # so that making the tables is not what fails
    number = 1
    with failing(folder, log, out, name, f"inject={call}:error={error}:when={when}") as process:
        for _ in range(12):
            append(log, lines(number, number + 700))
            number += 700
            until(lambda: process.poll() is not None or len(stored(folder)) == number, f"{what}: all")  # noqa: B023
            assert process.poll() is None, out.with_suffix(".said").read_text()
    assert "INJECTED" in out.read_text(), "the fault came"
    assert_exact(folder, set(range(number)))


def test_d3_a_file_size_limit_that_is_lifted(folder: StoreFolder, tmp_path: Path) -> None:
    """Needs neither root nor strace: RLIMIT_FSIZE makes the write that would grow a file fail."""
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 100))
    worker = Worker.following(folder, log)
    until(lambda: len(stored(folder)) == 100, "the first lines")
    wal = folder.telemetry.with_name("telemetry.db-wal")
    hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (wal.stat().st_size + 20_000, hard))
    append(log, lines(100, 3000))
    until(lambda: wal.stat().st_size > 0 and worker.exit_code is None, "it still runs")
    assert len(stored(folder)) < 3000
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (hard, hard))
    until(lambda: len(stored(folder)) == 3000, "it caught up alone")
    assert worker.stop() == 0
    assert_exact(folder, set(range(3000)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB, where we may mount one."""
    where = tmp_path / "disk"
    where.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if mount is None or unmount is None:
        pytest.skip("no file system can be mounted here")
    command = [mount, "-t", "tmpfs", "-o", "size=3m,mode=0700", "none", str(where)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run([unmount, str(where)], check=True)


def test_d3_a_full_disk_that_is_given_room(small_disk: Path, tmp_path: Path) -> None:
    folder = StoreFolder(small_disk / "store").prepare()
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 500))
    worker = Worker.following(folder, log)
    until(lambda: len(stored(folder)) == 500, "the first lines")
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        free = os.statvfs(small_disk)
        file.write(b"x" * (free.f_bavail * free.f_frsize - 40_000))
    append(log, lines(500, 8000))
    until(lambda: os.statvfs(small_disk).f_bavail < 3, "the disk is full")
    assert worker.exit_code is None
    subprocess.run([shutil.which("mount") or "", "-o", "remount,size=64m", str(small_disk)], check=True)
    until(lambda: len(stored(folder)) == 8000, "it caught up alone")
    assert worker.stop() == 0
    assert_exact(folder, set(range(8000)))
