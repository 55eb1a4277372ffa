"""T31, T32, T34 and D5: too few descriptors, no file events, and very many files."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from collectors.collect import Collector
from store.folder import StoreFolder
from tests.fault.feeding import append, following, gaps, line, lines, stored, until
from tests.fault.strace import ROOT
from tests.fault.workers import Worker, follow

_NOBODY = 65534
_SAYING = """
import sys, threading
from pathlib import Path
from collectors.collect import Collector
from store.folder import StoreFolder
say = lambda message: print(message, file=sys.stderr, flush=True)
Collector(StoreFolder(Path(sys.argv[1])), sys.argv[2:], on_message=say).follow(threading.Event())
"""


def follow_with_few_descriptors(ready: Connection, store: str, logs: str) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    follow(ready, store, [logs])


def follow_without_file_events(ready: Connection, store: str, logs: str, said: str) -> None:
    """As a user who has every file event instance in use already."""
    with TemporaryDirectory() as name:  # what that user may not import is imported before
        Collector(StoreFolder(Path(name)), [logs]).run_once()
    import watchfiles  # noqa: F401

    if os.geteuid() == 0:
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    inotify_init = ctypes.CDLL(None, use_errno=True).inotify_init1
    while inotify_init(os.O_CLOEXEC) >= 0:
        pass
    with Path(said).open("a", buffering=1) as file:
        collector = Collector(StoreFolder(Path(store)), [logs], on_message=lambda text: print(text, file=file))
        ready.send(None)
        collector.follow(threading.Event())


def follow_as_nobody(ready: Connection, store: str, logs: str, said: str) -> None:
    with TemporaryDirectory() as name:
        Collector(StoreFolder(Path(name)), [logs]).run_once()
    import watchfiles  # noqa: F401

    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    with Path(said).open("a", buffering=1) as file:
        collector = Collector(StoreFolder(Path(store)), [logs], on_message=lambda text: print(text, file=file))
        ready.send(None)
        collector.follow(threading.Event())


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


def test_d5_sixty_four_descriptors_for_three_hundred_files(folder: StoreFolder, logs: Path) -> None:
    for number in range(300):
        (logs / f"{number}.jsonl").write_bytes(line(number))
    worker = Worker(follow_with_few_descriptors, str(folder.path), str(logs))
    until(lambda: len(stored(folder)) == 300, "all files")
    for number in range(300):
        append(logs / f"{number}.jsonl", line(1000 + number))
    until(lambda: len(stored(folder)) == 600, "all files again")
    for number in range(0, 300, 10):
        (logs / f"{number}.jsonl").rename(logs / f"{number}.jsonl.1")
        append(logs / f"{number}.jsonl", line(2000 + number))
    append(logs / "big.jsonl", lines(10_000, 60_000))  # so much that workers would help, which need descriptors
    until(lambda: len(stored(folder)) == 50_630, "the rotated ones and a big one")
    assert len(list(Path(f"/proc/{worker.pid}/fd").iterdir())) < 64
    assert worker.stop() == 0
    assert gaps(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to use up the file events of another user and not its own")
def test_t32_no_file_event_instance_is_left() -> None:
    with TemporaryDirectory() as name:
        work = Path(name)
        logs, said, folder = work / "logs", work / "said", StoreFolder(work / "store")
        logs.mkdir()
        said.touch()
        for path in (work, logs, said):
            os.chown(path, _NOBODY, _NOBODY)
        worker = Worker(follow_without_file_events, str(folder.path), str(logs), str(said))
        until(lambda: "by turns" in said.read_text(), "it says that it polls")
        append(logs / "a.log", lines(0, 10))
        until(lambda: folder.telemetry.exists() and len(stored(folder)) == 10, "the lines")
        (logs / "deep").mkdir()
        append(logs / "deep" / "b.log", lines(10, 20))
        until(lambda: len(stored(folder)) == 20, "a new folder")
        worker.kill()


def test_t32_too_few_watches_for_the_folders(folder: StoreFolder, logs: Path, tmp_path: Path) -> None:
    """The limit of watches, lowered in a user namespace of the collector's own."""
    unshare = shutil.which("unshare")
    lower = "echo 3 > /proc/sys/user/max_inotify_watches"
    tried = unshare and subprocess.run([unshare, "-Ur", "sh", "-c", lower], capture_output=True, check=False)
    if not tried or tried.returncode != 0:
        pytest.skip("no user namespace can be made here")
    for number in range(20):
        (logs / f"{number}").mkdir()
    said = tmp_path / "said"
    with said.open("wb") as errors:
        command = [str(unshare), "-Ur", "sh", "-c", f'{lower}; exec "$0" "$@"', sys.executable, "-c", _SAYING]
        child = subprocess.Popen([*command, str(folder.path), str(logs)], cwd=ROOT, stderr=errors)
    try:
        until(lambda: "by turns" in said.read_text(), "it says that it polls")
        append(logs / "19" / "a.log", lines(0, 10))
        until(lambda: len(stored(folder)) == 10, "the lines")
    finally:
        child.kill()
        child.wait()


def test_t32_a_folder_that_may_not_be_watched_is_passed_over(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user than the owner of a folder")
    with TemporaryDirectory() as name:
        work = Path(name)
        logs, said, folder = work / "logs", work / "said", StoreFolder(work / "store")
        (logs / "closed").mkdir(parents=True, mode=0o700)
        said.touch()
        for path in (work, logs, said):
            os.chown(path, _NOBODY, _NOBODY)
        (logs / "closed").chmod(0o700)
        worker = Worker(follow_as_nobody, str(folder.path), str(logs), str(said))
        until(lambda: "closed" in said.read_text(), "it says what it cannot read")
        append(logs / "a.log", lines(0, 10))
        until(lambda: folder.telemetry.exists() and len(stored(folder)) == 10, "the lines")
        assert "by turns" not in said.read_text()
        worker.kill()


def test_t34_of_a_thousand_files_the_busy_one_does_not_hold_up_the_others(folder: StoreFolder, logs: Path) -> None:
    """One file has nine tenths of the traffic and a backlog; what the others get is in one of the next batches."""
    for number in range(999):
        (logs / f"{number}.jsonl").write_bytes(line(number))
    busy = logs / "busy.jsonl"
    busy.touch()
    with following(Collector(folder, [logs], workers=0), folder) as follower:
        follower.until_stored(set(range(999)))
        append(busy, lines(100_000, 160_000))
        until(lambda: max(stored(folder)) >= 100_000, "the busy file is being read")
        batches = []
        wanted = set(range(999)) | set(range(100_000, 160_000))
        for number in (5, 300, 998):
            before = len(follower.written)
            append(logs / f"{number}.jsonl", line(2000 + number))
            wanted.add(2000 + number)
            until(lambda: 2000 + number in stored(folder), "a line of a quiet file")  # noqa: B023 - used at once
            batches.append(len(follower.written) - before)
        assert max(batches) <= 4, batches
        follower.until_stored(wanted)
