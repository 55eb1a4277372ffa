"""Which paths changed: from the system's file events, and where those fail or are not wanted, by looking."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator

DEBOUNCE_MS = 5
STEP_MS = 3  # the watch wakes this often: at 1 ms that alone is 2 % of a core, at 3 ms less than one
_MISSES_ALLOWED = 20
_TURN_MS = 100  # how often an idle watch comes back to say that it is still there


class Watch:
    """Events from folders, gathered until they are taken. One thread for deep folders, one for flat ones.

    `polling` is True where events are not used: the caller then looks at its files itself.
    """

    def __init__(self, *, poll: bool, say: Callable[[str], None]) -> None:
        self.polling = poll
        self._say = say
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._failed: str | None = None
        self._misses = 0
        self._begun = False
        self._stop: threading.Event | None = None
        self._threads: list[threading.Thread] = []
        self._covered: object = None

    def cover(self, deep: Iterable[str], flat: Iterable[str]) -> None:
        """Watch these folders instead of those before. The same folders again: nothing happens."""
        if self.polling:
            return
        deep_now, flat_now = _with_identity(deep), _with_identity(flat)
        if (deep_now, flat_now) == self._covered:
            return
        self._end_threads()
        self._covered = (deep_now, flat_now)
        self._stop = threading.Event()
        for folders, recursive in ((deep_now, True), (flat_now, False)):
            if folders:
                thread = threading.Thread(
                    target=self._follow,
                    args=([path for path, _ in folders], recursive, self._stop),
                    name="watch",
                    daemon=True,
                )
                self._threads.append(thread)
                thread.start()

    def wait(self, timeout_s: float) -> tuple[set[str], bool]:
        """The paths that changed, as soon as there are any; True if a watch has begun and all is to be looked at."""
        self._wake.wait(timeout_s)
        with self._lock:
            changed, self._changed = self._changed, set()
            begun, self._begun = self._begun, False
            failed, self._failed = self._failed, None
            self._wake.clear()
        if failed is not None and not self.polling:
            self.polling = begun = True
            self._end_threads()
            self._say(f"file events are not available ({failed}); looking at the files by turns instead")
        return changed, begun

    def wake(self) -> None:
        """Let a `wait` return at once."""
        self._wake.set()

    def close(self) -> None:
        self._end_threads()

    def _end_threads(self) -> None:
        if self._stop is not None:
            self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._covered = None

    def _follow(self, folders: list[str], recursive: bool, stop: threading.Event) -> None:
        try:
            try:
                self._hear(folders, recursive, stop, past_forbidden=False)
            except PermissionError:
                # watchfiles then passes over every folder that it cannot watch, also those beyond the system's limit
                self._hear(folders, recursive, stop, past_forbidden=True)
        except FileNotFoundError as error:
            # a folder went between the look and the watch: look again, and watch what is there then
            with self._lock:
                self._covered = None
                self._begun = True
                self._misses += 1
                self._failed = str(error) if self._misses > _MISSES_ALLOWED else self._failed
            self._wake.set()
        except (OSError, RuntimeError, ValueError) as error:
            with self._lock:
                self._failed = str(error) or type(error).__name__
            self._wake.set()

    def _hear(self, folders: list[str], recursive: bool, stop: threading.Event, *, past_forbidden: bool) -> None:
        begun = False
        for changes in _changes(folders, stop, recursive=recursive, past_forbidden=past_forbidden):
            if past_forbidden and not begun:
                _watch_one_more(folders[0])
            with self._lock:
                self._changed.update(changes)
                if not begun:
                    begun = self._begun = True
            if changes or self._begun:
                self._wake.set()


def _changes(folders: list[str], stop: threading.Event, *, recursive: bool, past_forbidden: bool) -> Iterator[set[str]]:
    """The paths that changed, once at the beginning and then whenever there are some, or every _TURN_MS none."""
    from watchfiles import watch

    for changes in watch(
        *folders,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=stop,
        rust_timeout=_TURN_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        force_polling=False,
        recursive=recursive,
        ignore_permission_denied=past_forbidden,
    ):
        yield {path for _, path in changes}


def _watch_one_more(folder: str) -> None:
    """OSError where the system has no watch left, which is then said for none of the folders before it."""
    for _ in _changes([folder], threading.Event(), recursive=False, past_forbidden=False):
        return


def _with_identity(folders: Iterable[str]) -> tuple[tuple[str, tuple[int, int]], ...]:
    """Real paths with (device, inode): a folder that was made again is another folder."""
    found = set()
    for folder in folders:
        real = os.path.realpath(folder)
        try:
            stat = os.stat(real)  # noqa: PTH116
        except OSError:
            continue  # it went; its parent is covered by the next look
        found.add((real, (stat.st_dev, stat.st_ino)))
    return tuple(sorted(found))
