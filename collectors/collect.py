"""The collector: finds files, follows them, and writes what they say into the store, each line exactly once."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from collectors.declared import CollectError, Declarations, Declared
from collectors.discover import Selection
from collectors.enrich import Enricher
from collectors.enrich.price_table import PriceTable
from collectors.enrich.rules import RuleRow
from collectors.gather import MAX_BYTES, Gather
from collectors.heart import Heart
from collectors.inbox import Feeder, Inbox
from collectors.reading import Outcome, Reading, Stretched
from collectors.summary import Summary
from collectors.tail.file import TailedFile
from collectors.tail.lines import MAX_LINE_BYTES
from collectors.tail.names import shown
from collectors.tail.roster import QUIET_S, Roster
from collectors.tail.watch import Watch
from collectors.workers import Workers, usable_cores
from store.folder import StoreFolder
from store.liveness import CollectorLock
from store.record.batch import Feed, Written
from store.record.tools import ToolMap
from store.telemetry.writer import Writer

LOOK_EVERY_S = 5.0  # the whole look at the disk, for whatever events did not tell
POLL_EVERY_S = 0.05  # where there are no events
_IDLE_S = 0.2
_MAX_WORKERS = 4
_LOOK_SHARE = 20  # a look takes at most a twentieth of the time


class Collector:
    """Collects `sources` (files, folders, globs; plain paths, or Declared with a format or an agent) into a store.

    `rules`: the user's rules of redaction, which go before our own. `prices`: those of the user, before the list.
    `poll`: look at the files by turns instead of waiting for file events.
    `workers`: how many processes help with a backlog (default: as many as there are cores, up to 4; none on one core).
    `feeders`: what delivers records otherwise than by files, while the collector follows.
    `on_message`: called with each message as it arises, from the thread that collects.
    """

    def __init__(
        self,
        folder: StoreFolder,
        sources: Iterable[str | os.PathLike[str] | Declared],
        *,
        tool_map: ToolMap | None = None,
        rules: tuple[RuleRow, ...] = (),
        prices: PriceTable | None = None,
        poll: bool = False,
        max_line_bytes: int = MAX_LINE_BYTES,
        quiet_s: float = QUIET_S,
        workers: int | None = None,
        feeders: Sequence[Feeder] = (),
        on_message: Callable[[str], None] | None = None,
    ) -> None:
        """CollectError where there is no format of that name."""
        self._folder = folder
        declared = [one if isinstance(one, Declared) else Declared(one) for one in sources]
        self._declarations = Declarations(declared)
        self._tool_map = tool_map or ToolMap()
        self._rules = rules
        self._prices = prices
        self._poll = poll
        self._max_line_bytes = max_line_bytes
        self._quiet_s = quiet_s
        cores = usable_cores()
        self._workers = (min(cores, _MAX_WORKERS) if cores > 1 else 0) if workers is None else workers
        self._feeders = feeders
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
            closing.enter_context(run.fed_by(self._feeders, watch))
            run.follow(watch, stop)
            run.end(stop)

    @contextmanager
    def _run(self, *, once: bool, on_written: Callable[[Written], None] | None) -> Iterator[_Run]:
        self._folder.prepare()
        with ExitStack() as held:
            lock = held.enter_context(CollectorLock(self._folder))
            held.enter_context(Heart(lock))
            writer = held.enter_context(Writer(self._folder))
            enricher = Enricher(self._folder, self._tool_map, self._rules, self._prices)

            def say(message: str) -> None:
                self._say(enricher.path(message))  # it may name a path

            roster = Roster(
                [enricher.opened(source) for source in writer.sources()],
                self._declarations.selection,
                agent_of=self._declarations.agent_of,
                say=say,
                max_line_bytes=self._max_line_bytes,
                quiet_s=self._quiet_s,
            )
            held.callback(roster.close)
            inbox = Inbox()
            feeds = writer.feeds()
            gather = Gather(writer, enricher, self.summary, say=say, on_written=on_written, inbox=inbox, feeds=feeds)
            workers: Workers[Stretched] = Workers(enricher, self._workers, say)
            held.callback(workers.close)
            reading = Reading(
                gather,
                self.summary,
                form_of=self._declarations.form_of,
                max_line_bytes=self._max_line_bytes,
                once=once,
                say=say,
                workers=workers,
            )
            yield _Run(self._declarations.selection, roster, reading, gather, inbox, feeds, say)

    def _say(self, message: str) -> None:
        if self.summary.say(message) and self._on_message is not None:
            self._on_message(message)


class _Run:
    """The loop: whose turn it is to be read, when to look at the disk, when to write."""

    def __init__(
        self,
        selection: Selection,
        roster: Roster,
        reading: Reading,
        gather: Gather,
        inbox: Inbox,
        feeds: list[Feed],
        say: Callable[[str], None],
    ) -> None:
        self._selection = selection
        self._roster = roster
        self._reading = reading
        self._gather = gather
        self._inbox = inbox
        self._feeds = {feed.feed: feed for feed in feeds}
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
        self._note_losses()

    @contextmanager
    def fed_by(self, feeders: Sequence[Feeder], watch: Watch) -> Iterator[None]:
        """Within it the feeders deliver. At its end what they still hold is refused, so that it is sent again."""
        self._inbox.wake = watch.wake
        with ExitStack() as started:
            started.callback(self._inbox.close, CollectError("the collector is ending"))
            for feeder in feeders:
                started.callback(feeder.stop)
                feeder.start(self._inbox, self._feeds)
            started.callback(self._inbox.close, CollectError("the collector is ending"))
            yield

    def follow(self, watch: Watch, stop: threading.Event) -> None:
        self._watch = watch
        while not stop.is_set():
            now_s = time.monotonic()
            if now_s >= self._look_at_s:
                self.look()
            if self._roster.unnamed and now_s >= self._check_at_s:
                self._enqueue(self._roster.look_at_unnamed())
                self._note_losses()
                self._check_at_s = now_s + POLL_EVERY_S
            for delivery in self._inbox.take(MAX_BYTES):
                self._gather.add_delivery(delivery)
            if self._queue:
                self.step(stop)
            elif self._reading.any_out:
                self._reading.take(wait=True)
            elif self._gather.is_due:
                self._gather.flush(stop)
            is_busy = self._queue or self._reading.any_out or self._gather.is_due or self._inbox.waits
            self._hear(watch, 0.0 if is_busy else self._until(now_s))

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
            self._note_losses()
        if self._gather.is_full:
            self._gather.flush(stop)

    def end(self, stop: threading.Event | None) -> None:
        """Write what was gathered. A stop that is set does not wait for a store that is busy, nor for workers.

        What they have was saved nowhere, so it is read again next time.
        """
        if stop is None:
            self._reading.settle()
        for delivery in self._inbox.take():
            self._gather.add_delivery(delivery)
        self._roster.settle_all(final=stop is None)
        self._note_losses()
        self._gather.flush(stop)
        self._reading.say_rest()

    def _note_losses(self) -> None:
        if self._roster.has_losses:
            self._reading.settle()
        self._gather.add_losses(*self._roster.take_losses())

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
