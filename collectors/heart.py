"""The collector's heartbeat: a thread that only touches the lock file, so that no long batch looks like death."""

from __future__ import annotations

import logging
import threading

from store.liveness import BEAT_EVERY_S, CollectorLock

_log = logging.getLogger(__name__)


class Heart:
    """Beats from `with` to its end, whatever the main thread does."""

    def __init__(self, lock: CollectorLock, every_s: float = BEAT_EVERY_S) -> None:
        self._lock = lock
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)

    def __enter__(self) -> Heart:
        self._lock.beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._lock.beat()
            except OSError as error:
                # the next beat may succeed; until then readers say that nobody collects
                _log.warning("the heartbeat cannot be written: %s", error.strerror)
