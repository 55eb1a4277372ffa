"""T42 in small: random actions of a writer and of the machine, from a seed; what is stored must be what was written.

Without truncation or deletion: exact. With it: stored is a part of what was written, and nothing is rejected twice.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from collectors.collect import Collector
from store.folder import StoreFolder
from tests.fault.feeding import Follower, append, line, lines, rejects, stored, until

ACTIONS = (
    *("write", "write", "write", "partial", "finish", "rotate", "copytruncate", "link", "replace", "stop", "start"),
    *("truncate", "delete"),
)


class Model:
    """A log, its writer, and a collector that comes and goes."""

    def __init__(self, folder: StoreFolder, logs: Path, seed: int, *, live: bool, poll: bool) -> None:
        self.folder = folder
        self.logs = logs
        self.log = logs / "a.log"
        self.choice = random.Random(seed)
        self.live = live
        self.poll = poll
        self.number = 0
        self.rotations = 0
        self.rest = b""  # of a line that was begun
        self.lossy = False
        self.follower: Follower | None = None

    def run(self, steps: int) -> None:
        for step in range(steps):
            action = self.choice.choice(ACTIONS)
            if action == "link":
                (self.logs / f"link-{step}.log").symlink_to(self.log)
            elif action in ("write", "partial", "finish", "stop", "start") or self.log.exists():
                getattr(self, "do_" + action)()
        if self.log.exists():
            self.do_finish()
        self.do_write()

    def do_write(self) -> None:
        self.do_finish()
        count = self.choice.randrange(1, 60)
        append(self.log, lines(self.number, self.number + count))
        self.number += count

    def do_partial(self) -> None:
        self.do_finish()
        data = line(self.number)
        self.number += 1
        cut = self.choice.randrange(1, len(data))
        append(self.log, data[:cut])
        self.rest = data[cut:]

    def do_finish(self) -> None:
        if self.rest:
            append(self.log, self.rest)
        self.rest = b""

    def do_rotate(self) -> None:
        self.do_finish()
        self.rotations += 1
        self.log.rename(self.logs / f"a.log.{self.rotations}")

    def do_copytruncate(self) -> None:
        self.do_finish()
        self.rotations += 1
        shutil.copy(self.log, self.logs / f"a.log.{self.rotations}")
        os.truncate(self.log, 0)

    def do_replace(self) -> None:
        self.do_finish()
        copy = self.logs / "copy"
        shutil.copy(self.log, copy)
        copy.rename(self.log)

    def do_truncate(self) -> None:
        self.lossy, self.rest = True, b""
        os.truncate(self.log, 0)

    def do_delete(self) -> None:
        self.lossy, self.rest = True, b""
        self.log.unlink()

    def do_stop(self) -> None:
        if self.follower is not None:
            self.follower.stop()
        self.follower = None

    def do_start(self) -> None:
        if not self.live:
            Collector(self.folder, [self.logs]).run_once()
        elif self.follower is None:
            self.follower = Follower(Collector(self.folder, [self.logs], poll=self.poll, quiet_s=0.3), self.folder)
            self.follower.start()

    def check(self) -> None:
        written = set(range(self.number))
        self.do_start()
        if self.live:
            wanted = {self.number - 1} if self.lossy else written
            until(lambda: stored(self.folder) >= wanted, "the lines")
            self.do_stop()
        Collector(self.folder, [self.logs]).run_once()
        if self.lossy:
            assert stored(self.folder) <= written
            assert self.number - 1 in stored(self.folder)
        else:
            assert stored(self.folder) == written
            assert rejects(self.folder) == []


@pytest.mark.parametrize(
    ("way", "seed"),
    [("once", seed) for seed in range(24)] + [(way, seed) for way in ("events", "polling") for seed in range(8)],
)
def test_any_sequence_of_actions_is_exact(folder: StoreFolder, tmp_path: Path, way: str, seed: int) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    model = Model(folder, logs, seed, live=way != "once", poll=way == "polling")
    try:
        model.run(30)
        model.check()
    finally:
        model.do_stop()
