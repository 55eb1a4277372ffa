"""Worker processes for a backlog: stretches of files go out, what they came to comes back in order for each file.

They are started when there is much to read at once, and not before; what is written line by line is read without them.
A worker that dies loses nothing: what it held is done here, and the collector goes on in one process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Generic, TypeVar

import msgspec

from collectors.enrich import Enricher
from collectors.worker import Done, Work, Worker, receive, send

_AHEAD = 7  # stretches that a worker has before it: enough to last while a batch is committed
_encode_work = msgspec.msgpack.Encoder().encode
_decode_done = msgspec.msgpack.Decoder(Done).decode
Note = TypeVar("Note")


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(slots=True, eq=False)
class _Out(Generic[Note]):
    work: Work
    note: Note
    state: Callable[[], bytes]  # the parser's before this stretch, for the case that it must be done here
    process: _Process[Note] | None  # None: its worker died, it is to be done here
    done: Done | None = None


class _Process(Generic[Note]):
    """One worker's pipes, and what it was given and has not answered."""

    def __init__(self, work: IO[bytes], answers: IO[bytes], answered: queue.SimpleQueue[_Process[Note]]) -> None:
        self.out: deque[_Out[Note]] = deque()
        self.alive = True
        self._answered = answered
        self._answers: queue.SimpleQueue[Done | None] = queue.SimpleQueue()
        self._to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # a pipe takes in a part of a stretch at most: without a thread the collector would wait until it is read
        self._threads = [
            threading.Thread(target=self._tell, args=(work,), name="to worker", daemon=True),
            threading.Thread(target=self._listen, args=(answers,), name="from worker", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def give(self, one: _Out[Note]) -> None:
        self.out.append(one)
        self._to_send.put(_encode_work(one.work))

    def answer(self) -> Done | None:
        """The next answer; None once it is dead."""
        done = self._answers.get()
        self.alive = self.alive and done is not None
        return done

    def end(self) -> None:
        self._to_send.put(None)
        for thread in self._threads:
            thread.join()

    def _tell(self, work: IO[bytes]) -> None:
        with contextlib.suppress(OSError), work:  # where it died, its last answer says so
            while (body := self._to_send.get()) is not None:
                send(work, body)

    def _listen(self, answers: IO[bytes]) -> None:
        with answers:
            while True:
                body = receive(answers)
                done = None if body is None else _decode_done(body)
                self._answers.put(done)
                self._answered.put(self)
                if done is None:
                    return


class Workers(Generic[Note]):
    """Up to `count` worker processes. What was handed out of a source comes back in the order it was handed out."""

    def __init__(self, enricher: Enricher, count: int, say: Callable[[str], None]) -> None:
        self._enricher = enricher
        self._count = count
        self._say = say
        self._answered: queue.SimpleQueue[_Process[Note]] = queue.SimpleQueue()
        self._processes: list[_Process[Note]] = []
        self._of: dict[str, deque[_Out[Note]]] = {}  # by source, in order
        self._here = Worker(enricher)
        self._starter: subprocess.Popen[bytes] | None = None

    @property
    def usable(self) -> bool:
        return self._count > 0

    @property
    def any_out(self) -> bool:
        return bool(self._of)

    def is_out(self, source_id: str) -> bool:
        """True while stretches of this source were not taken back."""
        return source_id in self._of

    def is_full(self) -> bool:
        """True where a worker has all that it may hold: take something back first."""
        return any(len(process.out) >= _AHEAD for process in self._processes)

    def give(self, work: Work, note: Note, state: Callable[[], bytes]) -> None:
        """Hand a stretch out. `work.state` None: to the worker that has the one before it, which must be out still."""
        own = self._of.setdefault(work.source_id, deque())
        process = own[-1].process if work.state is None else self._least_busy()
        if process is not None and not process.alive:
            process = None
        one = _Out(work, note, state, process)
        own.append(one)
        if process is not None:
            process.give(one)

    def take(self, *, wait: bool) -> Iterator[tuple[Note, Done]]:
        """What was answered; `wait`: until there is something, if any is out."""
        while self._of:
            for source_id in list(self._of):
                for taken in self._in_order(source_id):
                    wait = False
                    yield taken
            try:
                process = self._answered.get(block=wait and bool(self._of))
            except queue.Empty:
                return
            done = process.answer()
            if done is not None:
                process.out.popleft().done = done
            elif process.out:
                self._say("a worker process ended; nothing is lost, the collector goes on by itself")
                self._count = 0
                for one in process.out:
                    one.process = None
                process.out.clear()

    def close(self) -> None:
        for process in self._processes:
            process.end()
        if self._starter is not None:
            self._starter.wait()
        self._processes, self._of, self._starter = [], {}, None

    def _in_order(self, source_id: str) -> Iterator[tuple[Note, Done]]:
        """What is done of a source, up to the first that is not; what a dead worker left is done now."""
        own = self._of[source_id]
        while own:
            one = own[0]
            if one.done is None and one.process is None:
                one.work.state = one.state()  # that which the stretch before it came to
                one.done = self._here.do(one.work)
            if one.done is None:
                return
            own.popleft()
            if not own:
                del self._of[source_id]
            yield one.note, one.done

    def _least_busy(self) -> _Process[Note] | None:
        if not self._processes:
            self._start()
        alive = [one for one in self._processes if one.alive]
        return min(alive, key=lambda process: len(process.out)) if alive else None

    def _start(self) -> None:
        ours, theirs = [], []
        for _ in range(self._count):
            (their_read, our_write), (our_read, their_write) = os.pipe(), os.pipe()
            ours.append((our_write, our_read))
            theirs += [their_read, their_write]
        # -P: never import from the working directory
        command = [sys.executable, "-P", "-m", "collectors.worker", *map(str, theirs)]
        self._starter = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self._processes = [
            _Process(os.fdopen(write, "wb"), os.fdopen(read, "rb"), self._answered) for write, read in ours
        ]
        assert self._starter.stdin is not None, "it was started with a pipe"
        with contextlib.suppress(OSError), self._starter.stdin as setup:  # where it died, the workers' answers say so
            pickle.dump(self._enricher, setup)
