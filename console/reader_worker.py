"""The thread that asks the store: its own reader, every question about once a second, one message an answer."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import cast

from textual.message import Message

from console.actions import Actions
from console.context import Context
from console.questions import Answers, Asked, Missing, Question
from store.folder import StoreError

Slot = tuple[int, str]  # the screen that asked, and the part of it that the answer is for
OpenReader = Callable[[], AbstractContextManager[Answers]]

EVERY_S = 1.0
RETRY_S = 1.0
OURS = ("store.", "runbooks.", "collectors.", "console.")
REST = 4.0  # a question that takes long is asked no more often than every REST times as long


class Answered(Message):
    """The newest answer to a question; one that waits in the queue is replaced by it."""

    def __init__(self, slot: Slot, question: Question, answer: object, at_ns: int) -> None:
        super().__init__()
        self.slot = slot
        self.question = question
        self.answer = answer
        self.at_ns = at_ns

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Answered) and message.slot == self.slot


class Unanswered(Message):
    """The store could not answer: why, in one line."""

    def __init__(self, slot: Slot | None, problem: str) -> None:
        super().__init__()
        self.slot = slot
        self.problem = problem


@dataclass(slots=True)
class _Pending:
    question: Question
    every_s: float | None  # None: once
    due_s: float = 0.0
    last: object = field(default=None)


class ReaderThread(threading.Thread):
    """`ask` and `drop` from the screen, answers through `post`; `close` ends it."""

    def __init__(
        self,
        context: Context,
        actions: Actions,
        open_reader: OpenReader,
        post: Callable[[Message], object],
        clock: Callable[[], int],
    ) -> None:
        super().__init__(name="andon-reader", daemon=True)
        self._context = context
        self._actions = actions
        self._open_reader = open_reader
        self._post = post
        self._clock = clock
        self._held_ns: int | None = context.as_of_ns
        self._pending: dict[Slot, _Pending] = {}
        self._wake = threading.Condition()
        self._closed = False

    # from the screen's thread

    def ask(self, slot: Slot, question: Question, every_s: float | None = EVERY_S) -> None:
        """Answer this question in that slot from now on, in place of what was asked there."""
        with self._wake:
            self._pending[slot] = _Pending(question, every_s)
            self._wake.notify()

    def drop(self, serial: int) -> None:
        """Ask nothing more for that screen."""
        with self._wake:
            for slot in [slot for slot in self._pending if slot[0] == serial]:
                del self._pending[slot]

    def hold(self, as_of_ns: int | None) -> None:
        """Look at that moment, None is now; everything is asked anew."""
        with self._wake:
            self._held_ns = as_of_ns
            for pending in self._pending.values():
                pending.due_s = 0.0
            self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()

    # in its own thread

    def run(self) -> None:
        while not self._closed:
            try:
                with self._open_reader() as reader:
                    self._answer_until(reader, None)
            except Exception as error:  # noqa: BLE001 - shown on the screen; the console outlives its store
                missing = cast("Answers", Missing(problem_of(error)))
                self._answer_until(missing, time.monotonic() + RETRY_S)

    def _answer_until(self, reader: Answers, end_s: float | None) -> None:
        """Answer what is due until the console closes, the store is another file, or `end_s` comes."""
        while end_s is None or time.monotonic() < end_s:
            with self._wake:
                due = self._next_due()
                while not self._closed and (due is None or due[1].due_s > time.monotonic()):
                    if end_s is not None and time.monotonic() >= end_s:
                        return
                    self._wake.wait(min(EVERY_S, EVERY_S if due is None else due[1].due_s - time.monotonic()))
                    due = self._next_due()
                if self._closed or due is None or not reader.is_current():
                    return
                slot, pending = due
                held_ns = self._held_ns
            self._answer(reader, slot, pending, held_ns)

    def _next_due(self) -> tuple[Slot, _Pending] | None:
        return min(self._pending.items(), key=lambda item: item[1].due_s, default=None)

    def _answer(self, reader: Answers, slot: Slot, pending: _Pending, held_ns: int | None) -> None:
        began_s = time.monotonic()
        now_ns = self._clock()
        as_of_ns = now_ns if held_ns is None else held_ns
        asked = Asked(reader, self._actions, self._context, as_of_ns, now_ns)
        try:
            answer = pending.question.ask(asked)
        except (StoreError, sqlite3.Error, OSError, ValueError) as error:
            self._post(Unanswered(slot, problem_of(error)))
        else:
            if answer != pending.last or pending.due_s == 0.0:
                self._post(Answered(slot, pending.question, answer, as_of_ns))
            pending.last = answer
        took_s = time.monotonic() - began_s
        with self._wake:
            if pending.every_s is not None:
                pending.due_s = began_s + max(pending.every_s, REST * took_s)
            elif self._pending.get(slot) is pending:
                del self._pending[slot]


def problem_of(error: BaseException) -> str:
    """One line for the screen: a message of ours as it is, any other with its kind."""
    if type(error).__module__.startswith(OURS):
        return str(error)
    if isinstance(error, sqlite3.Error):
        return f"the store cannot be read: {error}; nothing was changed, it is tried again"
    return f"{type(error).__name__}: {error}"
