"""What screens and dialogs share: they ask the reading thread, and draw the answers that are still theirs."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from console.context import Context
from console.questions import Question
from console.reader_worker import EVERY_S
from console.widgets.lines import Lines, Whole

if TYPE_CHECKING:
    from console.app import AndonApp

_serials = count(1)


class Asks(Whole, Screen[None]):
    """Subclasses draw in `answered`."""

    def __init__(self) -> None:
        super().__init__()
        self.serial = next(_serials)
        self._asked: dict[str, Question] = {}
        self.seen_ns = 0  # the moment that the newest answer describes

    @property
    def andon(self) -> AndonApp:
        return cast("AndonApp", self.app)

    @property
    def context(self) -> Context:
        return self.andon.context

    @property
    def ascii_only(self) -> bool:
        return self.context.ascii_only

    def answered(self, part: str, answer: object) -> None:
        """Draw an answer."""

    def lines(self, name: str) -> Lines:
        return self.query_one(f"#{name}", Lines)

    def ask(self, part: str, question: Question, every_s: float | None = EVERY_S) -> None:
        """Have `answered(part, …)` called with the answer, now and whenever it changes."""
        if self._asked.get(part) == question and every_s is None:
            return
        self._asked[part] = question
        self.andon.worker_thread.ask((self.serial, part), question, every_s)

    def take(self, part: str, question: Question, answer: object, at_ns: int) -> None:
        """An answer arrived; one to an older question is not drawn."""
        if self._asked.get(part) is question and self.is_whole:
            self.seen_ns = at_ns
            self.answered(part, answer)

    def on_unmount(self) -> None:
        self.andon.worker_thread.drop(self.serial)
