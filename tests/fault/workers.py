"""Collectors in processes of their own, made quickly: forked from a clean process that has everything imported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from collectors.collect import Collector
from store.folder import StoreFolder
from tests.fault.feeding import DEADLINE_S

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.fault.workers", "sqlite_utils"])


def follow(ready: Connection, store: str, paths: Sequence[str], poll: bool = False, quiet_s: float = 30.0) -> None:
    """Collect until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ready.send(None)
    Collector(StoreFolder(Path(store)), paths, poll=poll, quiet_s=quiet_s).follow(stop)


def read_once(ready: Connection, store: str, paths: Sequence[str]) -> None:
    ready.send(None)
    Collector(StoreFolder(Path(store)), paths).run_once()


class Worker:
    """A process that runs `what(*arguments)`. It is killed with the test."""

    def __init__(self, what: Callable[..., None], *arguments: Any) -> None:
        self._ready, theirs = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=what, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    @classmethod
    def following(cls, folder: StoreFolder, *paths: Path | str, poll: bool = False, quiet_s: float = 30.0) -> Worker:
        return cls(follow, str(folder.path), [str(path) for path in paths], poll, quiet_s)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, -9 where it was killed."""
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join(DEADLINE_S)
        code = self._process.exitcode
        assert code is not None, "the process did not end"
        self._ready.close()
        return code

    def kill(self) -> None:
        self._process.kill()
        self.wait()

    def stop(self) -> int:
        """SIGTERM, once it listens to it, also where it is paused; its exit code."""
        self.go_on()
        assert self._ready.poll(DEADLINE_S), "the process did not start"
        self._process.terminate()
        return self.wait()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)
