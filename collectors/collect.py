"""The collector: finds files, follows them, and writes what they say into the store, each line exactly once."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from collectors.declared import Declarations, Declared
from collectors.discover import Selection
from collectors.enrich import Enricher
from collectors.gather import Gather
from collectors.heart import Heart
from collectors.reading import Outcome, Reading
from collectors.summary import Summary
from collectors.tail.file import TailedFile
from collectors.tail.lines import MAX_LINE_BYTES
from collectors.tail.names import shown
from collectors.tail.roster import QUIET_S, Roster
from collectors.tail.watch import Watch
from store.folder import StoreFolder
from store.liveness import CollectorLock
from store.record.batch import Written
from store.record.tools import ToolMap
from store.telemetry.writer import Writer

LOOK_EVERY_S = 5.0  # the whole look at the disk, for whatever events did not tell
POLL_EVERY_S = 0.05  # where there are no events
_IDLE_S = 0.2
_LOOK_SHARE = 20  # a look takes at most a twentieth of the time


class Collector:
    """Collects `sources` (files, folders, globs; plain paths, or Declared with a format or an agent) into a store.

    `poll`: look at the files by turns instead of waiting for file events.
    `on_message`: called with each message as it arises, from the thread that collects.
    """

    def __init__(
        self,
        folder: StoreFolder,
        sources: Iterable[str | os.PathLike[str] | Declared],
        *,
        tool_map: ToolMap | None = None,
        poll: bool = False,
        max_line_bytes: int = MAX_LINE_BYTES,
        quiet_s: float = QUIET_S,
        on_message: Callable[[str], None] | None = None,
    ) -> None:
        """CollectError where there is no format of that name."""
        self._folder = folder
        declared = [one if isinstance(one, Declared) else Declared(one) for one in sources]
        self._declarations = Declarations(declared)
        self._tool_map = tool_map or ToolMap()
        self._poll = poll
        self._max_line_bytes = max_line_bytes
        self._quiet_s = quiet_s
        self._on_message = on_message
        self.summary = Summary()

    def run_once(self, stop: threading.Event | None = None) -> Summary:
        """Read every file to its end, and return what that came to.

        StoreError where the store cannot be used, also because another collector writes it. `stop` ends it early:
        what was read until then is kept, the rest is read next time.
        """
        stop = stop or threading.Event()
        self.summary = Summary()
        with self._run(once=True, on_written=None) as run:
            run.look()
            while run.busy and not stop.is_set():
                run.step()
            run.end(None)
        return self.summary

    def follow(self, stop: threading.Event, on_written: Callable[[Written], None] | None = None) -> None:
        """Collect until `stop` is set, within a second of it. `on_written` is called after each commit.

        StoreError as in `run_once`; a store that is only full or busy is tried again.
        """
        self.summary = Summary()
        with self._run(once=False, on_written=on_written) as run, ExitStack() as closing:
            watch = Watch(poll=self._poll, say=self._say)
            closing.callback(watch.close)
            run.follow(watch, stop)
            run.end(stop)

    @contextmanager
    def _run(self, *, once: bool, on_written: Callable[[Written], None] | None) -> Iterator[_Run]:
        self._folder.prepare()
        with ExitStack() as held:
            lock = held.enter_context(CollectorLock(self._folder))
            held.enter_context(Heart(lock))
            writer = held.enter_context(Writer(self._folder))
            roster = Roster(
                writer.sources(),
                self._declarations.selection,
                agent_of=self._declarations.agent_of,
                say=self._say,
                max_line_bytes=self._max_line_bytes,
                quiet_s=self._quiet_s,
            )
            held.callback(roster.close)
            enricher = Enricher(self._folder, self._tool_map)
            gather = Gather(writer, enricher, self.summary, say=self._say, on_written=on_written)
            reading = Reading(
                gather,
                self.summary,
                form_of=self._declarations.form_of,
                max_line_bytes=self._max_line_bytes,
                once=once,
                say=self._say,
            )
            yield _Run(self._declarations.selection, roster, reading, gather, self._say)

    def _say(self, message: str) -> None:
        if self.summary.say(message) and self._on_message is not None:
            self._on_message(message)


class _Run:
    """The loop: whose turn it is to be read, when to look at the disk, when to write."""

    def __init__(
        self, selection: Selection, roster: Roster, reading: Reading, gather: Gather, say: Callable[[str], None]
    ) -> None:
        self._selection = selection
        self._roster = roster
        self._reading = reading
        self._gather = gather
        self._say = say
        self._queue: deque[TailedFile] = deque()
        self._look_at_s = 0.0
        self._check_at_s = 0.0
        self._watch: Watch | None = None

    @property
    def busy(self) -> bool:
        return bool(self._queue)

    def look(self) -> None:
        """Look at the whole selection: new files, files that went, files that changed unnoticed."""
        began_s = time.monotonic()
        found = self._selection.expand()
        for problem in found.problems:
            self._say(f"{shown(problem.path)}: {problem.reason}")
        if self._watch is not None:
            self._watch.cover(found.deep, found.flat)
        self._enqueue(self._roster.sight_all(found.files))
        polling = self._watch is None or self._watch.polling
        now_s = time.monotonic()
        self._look_at_s = now_s + max(POLL_EVERY_S if polling else LOOK_EVERY_S, (now_s - began_s) * _LOOK_SHARE)
        self._gather.add_losses(*self._roster.take_losses())

    def follow(self, watch: Watch, stop: threading.Event) -> None:
        self._watch = watch
        while not stop.is_set():
            now_s = time.monotonic()
            if now_s >= self._look_at_s:
                self.look()
            if self._roster.unnamed and now_s >= self._check_at_s:
                self._enqueue(self._roster.look_at_unnamed())
                self._gather.add_losses(*self._roster.take_losses())
                self._check_at_s = now_s + POLL_EVERY_S
            if self._queue:
                self.step(stop)
            elif self._gather.is_due:
                self._gather.flush(stop)
            self._hear(watch, 0.0 if self._queue or self._gather.is_due else self._until(now_s))

    def step(self, stop: threading.Event | None = None) -> None:
        """Read one stretch of the file whose turn it is, and write if the batch is full."""
        file = self._queue.popleft()
        file.queued = False
        if file.after is not None and file.after.queued:
            self._enqueue([file])
        else:
            file.after = None
            for other in self._roster.open(file):
                if other is file:
                    self._read(file)
                else:
                    self._enqueue([other])
            self._gather.add_losses(*self._roster.take_losses())
        if self._gather.is_full:
            self._gather.flush(stop)

    def end(self, stop: threading.Event | None) -> None:
        """Write what was gathered. A stop that is set does not wait for a store that is busy."""
        self._roster.settle_all()
        self._gather.add_losses(*self._roster.take_losses())
        self._gather.flush(stop)
        self._reading.say_rest()

    def _read(self, file: TailedFile) -> None:
        try:
            outcome = self._reading.next(file)
        except OSError as error:
            self._roster.fail(file, error)
            return
        if outcome is Outcome.MORE:
            self._enqueue([file])
        elif outcome is Outcome.CHANGED:
            self._enqueue(self._roster.cut(file, self._selection.expand().files))

    def _enqueue(self, files: Iterable[TailedFile]) -> None:
        for file in files:
            if not file.queued:
                file.queued = True
                self._queue.append(file)

    def _hear(self, watch: Watch, timeout_s: float) -> None:
        changed, begun = watch.wait(timeout_s)
        for path in changed:
            if not self._roster.knows(path) and os.path.isdir(path):  # noqa: PTH112
                begun = begun or self._selection.concerns(path)
            else:
                self._enqueue(self._roster.sight(path))
        if begun:
            self._look_at_s = 0.0
        if changed and self._roster.unnamed:
            self._check_at_s = 0.0

    def _until(self, now_s: float) -> float:
        next_s = self._look_at_s - now_s
        if self._roster.unnamed:
            next_s = min(next_s, self._check_at_s - now_s)
        return max(0.0, min(_IDLE_S, next_s))
