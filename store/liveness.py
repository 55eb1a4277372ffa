"""Who collects, and is it alive: the collector's lock file, whose mtime is its heartbeat."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass

from store.folder import StoreError, StoreFolder, private_file

BEAT_EVERY_S = 1.0
ALIVE_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """`alive`: the lock is held and was touched within ALIVE_WITHIN_S. A dead collector is not silence."""

    alive: bool
    seen_ns: int | None
    pid: int | None


class CollectorLock:
    """Held by the one process that writes telemetry.db; `beat` at least every BEAT_EVERY_S."""

    def __init__(self, folder: StoreFolder) -> None:
        self._path = folder.collector_lock
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once. StoreError names the process that holds it."""
        private_file(self._path)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"another collector (pid {holder}) writes this store: {self._path.parent}; nothing was changed. "
                "Stop it first, or name another store with --store."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def beat(self) -> None:
        assert self._descriptor is not None, "beat without the lock"
        os.utime(self._descriptor)

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> CollectorLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def collector_heartbeat(folder: StoreFolder) -> Heartbeat:
    """Look at the lock without taking it for longer than the look."""
    try:
        descriptor = os.open(folder.collector_lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return Heartbeat(alive=False, seen_ns=None, pid=None)
    try:
        stat = os.fstat(descriptor)
        text = os.read(descriptor, 32).decode("ascii", "replace").strip()
        pid = int(text) if text.isdigit() else None
        seen_ns = stat.st_mtime_ns if text else None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            fresh = abs(time.time_ns() - stat.st_mtime_ns) < ALIVE_WITHIN_S * 1e9
            return Heartbeat(alive=fresh, seen_ns=seen_ns, pid=pid)
        return Heartbeat(alive=False, seen_ns=seen_ns, pid=None)
    finally:
        os.close(descriptor)
