"""T42: a log, whoever writes, rotates and destroys it, and a collector that comes, goes and is killed.

A run is told by its seed. What must hold at its end: without truncation and deletion the store has exactly the lines
that were written; with them, no line that was not written, no line twice, and a loss that is said in the store.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from collectors.collect import Collector
from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import append, ask, gaps, line, lines, rejects, stored, until
from tests.fault.workers import Worker

STEPS = 30
HARMLESS = (
    *("write", "write", "write", "write", "partial", "finish", "rotate", "copytruncate", "pack", "swap", "link"),
    *("replace", "read", "read", "halt", "kill", "stop", "pause", "catch_up"),
)
LOSSY = (*HARMLESS, "truncate", "delete", "recreate")


class Halting(threading.Event):
    """A stop that comes in the middle: set once it was looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def is_set(self) -> bool:
        self._looks -= 1
        return self._looks < 0


@dataclass
class Content:
    """What one file came to hold between its making and its end."""

    numbers: set[int] = field(default_factory=set)


@dataclass
class Model:
    """One run. `live`: the collector is a process that follows; else each `read` is one reading to the end."""

    folder: StoreFolder
    logs: Path
    seed: int
    live: bool = False
    poll: bool = False

    def __post_init__(self) -> None:
        self.choice = random.Random(self.seed)
        self.actions = LOSSY if self.seed % 2 else HARMLESS
        self.name = self.logs / "a.log"
        self.log = self.name  # the file that `name` leads to
        self.number = self.turns = 0
        self.rest = b""  # of a line that was begun
        self.now = Content()
        self.destroyed: list[Content] = []
        self.worker: Worker | None = None
        self.history: list[str] = []

    def run(self, steps: int = STEPS) -> None:
        for _ in range(steps):
            action = self.choice.choice(self.actions)
            self.history.append(action)
            getattr(self, "do_" + action)()
        self.do_write()

    # --- the writer

    def do_write(self) -> None:
        self.do_finish()
        count = self.choice.choice((1, 2, 30, 60, 400) if self.choice.random() < 0.1 else (1, 2, 30, 60))
        append(self.log, lines(self.number, self.number + count))
        self.now.numbers |= set(range(self.number, self.number + count))
        self.number += count

    def do_partial(self) -> None:
        self.do_finish()
        data = line(self.number)
        cut = self.choice.randrange(1, len(data))
        append(self.log, data[:cut])
        self.rest = data[cut:]
        self.now.numbers.add(self.number)
        self.number += 1

    def do_finish(self) -> None:
        if self.rest:
            append(self.log, self.rest)
        self.rest = b""

    # --- the machine, without loss

    def do_rotate(self) -> None:
        self.do_finish()
        if self.log.exists():
            self.log.rename(self._rotated(self.log))
            self.now = Content()

    def do_copytruncate(self) -> None:
        self.do_finish()
        if self.log.exists():
            shutil.copy(self.log, self._rotated(self.log))
            os.truncate(self.log, 0)
            self.now = Content()

    def do_pack(self) -> None:
        """gzip, as logrotate calls it: the packed file is there before the other one goes."""
        rotated = [path for path in self.logs.iterdir() if path.suffix.lstrip(".").isdigit()]
        if rotated:
            path = self.choice.choice(sorted(rotated))
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()

    def do_swap(self) -> None:
        """The name becomes a link to another file."""
        self.do_finish()
        if not self.name.is_symlink() and self.name.exists():
            self.do_rotate()
        self.turns += 1
        self.log = self.logs / "targets" / f"{self.turns}.log"
        self.log.parent.mkdir(exist_ok=True)
        self.log.touch()
        fresh = self.logs / "fresh"
        fresh.symlink_to(self.log)
        fresh.rename(self.name)
        self.now = Content()

    def do_link(self) -> None:
        self.turns += 1
        if self.log.exists():
            (self.logs / f"link-{self.turns}.log").symlink_to(self.log)

    def do_replace(self) -> None:
        """An editor: the same content and more, in another file under the same name."""
        self.do_finish()
        if self.log.exists():
            copy = self.logs / "copy"
            shutil.copy(self.log, copy)
            copy.rename(self.log)

    # --- the machine, with loss

    def do_truncate(self) -> None:
        if self.log.exists():
            os.truncate(self.log, 0)
            self._destroyed()

    def do_delete(self) -> None:
        if self.log.exists():
            self.log.unlink()
            self._destroyed()

    def do_recreate(self) -> None:
        """At once: the file system may give the same inode again."""
        self.do_delete()
        self.do_write()

    def _destroyed(self) -> None:
        self.rest = b""
        self.destroyed.append(self.now)
        self.now = Content()

    # --- the collector

    def do_read(self) -> None:
        if not self.live:
            Collector(self.folder, [self.logs]).run_once()
        elif self.worker is None:
            self.worker = Worker.following(self.folder, self.logs, poll=self.poll, quiet_s=0.3)
        else:
            self.worker.go_on()

    def do_halt(self) -> None:
        """A stop in the middle of a reading."""
        if self.live:
            self.do_stop()
        else:
            Collector(self.folder, [self.logs]).run_once(Halting(self.choice.randrange(4)))

    def do_stop(self) -> None:
        if self.worker is not None:
            assert self.worker.stop() == 0
        self.worker = None

    def do_kill(self) -> None:
        if self.worker is not None:
            self.worker.kill()
        self.worker = None

    def do_pause(self) -> None:
        if self.worker is not None:
            self.worker.pause()

    def do_catch_up(self) -> None:
        """Wait until all that can be read is read."""
        if self.worker is None:
            return
        self.do_finish()
        self.worker.go_on()
        self._until_caught_up()

    def end(self) -> None:
        """Whatever happened: no process is left."""
        if self.worker is not None:
            self.worker.kill()
        self.worker = None

    # --- what must hold

    def check(self) -> None:
        self.do_read()
        if self.worker is not None:
            self._until_caught_up()
            self.do_stop()
        Collector(self.folder, [self.logs]).run_once()
        written = set(range(self.number))
        found = stored(self.folder)
        assert found <= written, "a line that was never written"
        losable = set().union(*(content.numbers for content in self.destroyed))
        assert written - found <= losable, f"lost without a truncation: {sorted(written - found - losable)[:10]}"
        assert self._said() >= self._losses(found), "a loss that the store does not tell"
        if not self.destroyed:
            # of a file without one whole line nothing is known to tell its copy by: a gap may be said for nothing
            assert all(str(reason).endswith("read up to byte 0") for _, _, reason in gaps(self.folder))
            assert rejects(self.folder) == []
        with Reader(self.folder) as reader:
            assert reader.recount().exact, "a total that is not the sum of its rows"

    def _until_caught_up(self) -> None:
        wanted = set(range(self.number)) - set().union(*(content.numbers for content in self.destroyed))
        until(lambda: stored(self.folder) >= wanted, f"all lines; seed {self.seed}: {self.history}")

    def _losses(self, found: set[int]) -> int:
        """Contents that are gone with lines unread. Of one that no collector ever read from, nobody can tell."""
        return sum(1 for content in self.destroyed if content.numbers - found and content.numbers & found)

    def _said(self) -> int:
        """Gaps, and sources that ended: where and why is in the row."""
        ended = ask(self.folder, "SELECT count(*) FROM source WHERE state IN ('finished', 'missing')")
        return len(gaps(self.folder)) + int(str(ended[0][0]))

    def _rotated(self, path: Path) -> Path:
        self.turns += 1
        return self.logs / f"{path.name}.{self.turns}"
