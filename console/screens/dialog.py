"""What every dialog has: a frame, fields in a column, Esc that always leaves, and a code to type."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget

from console import keys
from console.context import Context
from console.questions import Question
from console.reader_worker import EVERY_S
from console.widgets.lines import Lines, Whole
from console.widgets.rows import Row, text_row

if TYPE_CHECKING:
    from console.app import AndonApp

_serials = count(-1, -1)
LABEL_CELLS = 9


class Dialog(Whole, ModalScreen[None]):
    """Subclasses yield their parts from `body` and set `TITLE`."""

    BINDINGS = keys.dialog_bindings("back")
    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 40%; }
    Dialog > #box {
        width: 100%; max-width: 100; height: auto; max-height: 100%;
        border: round $foreground; background: $background; padding: 0 1; scrollbar-size-vertical: 1;
    }
    Dialog > #box.ascii { border: ascii $foreground; }
    Dialog .label { width: 9; height: 1; }
    Dialog .field { height: 1; }
    Dialog Lines { height: auto; }
    Dialog.-short .spare { display: none; }
    """
    HEADING = ""

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

    def body(self) -> ComposeResult:
        yield from ()

    def answered(self, part: str, answer: object) -> None:
        """Draw an answer."""

    def compose(self) -> ComposeResult:
        box = VerticalScroll(id="box", classes="ascii" if self.ascii_only else "", can_focus=False)
        box.border_title = self.HEADING
        with box:
            yield from self.body()

    def text(self, name: str, *rows: Row, classes: str | None = None) -> Lines:
        """A part that only shows rows."""
        lines = Lines(cursor=False, ascii_only=self.ascii_only, id=name, classes=classes)
        lines.show(rows)
        return lines

    def field(self, label: str, widget: Widget, classes: str = "") -> Horizontal:
        """A labelled field on one line."""
        words = Lines(cursor=False, ascii_only=self.ascii_only, classes="label")
        words.show([text_row(label)])
        return Horizontal(words, widget, classes=f"field {classes}")

    def lines(self, name: str) -> Lines:
        return self.query_one(f"#{name}", Lines)

    def ask(self, part: str, question: Question, every_s: float | None = EVERY_S) -> None:
        self._asked[part] = question
        self.andon.worker_thread.ask((self.serial, part), question, every_s)

    def take(self, part: str, question: Question, answer: object, at_ns: int) -> None:
        if self._asked.get(part) is question and self.is_whole:
            self.seen_ns = at_ns
            self.answered(part, answer)

    def on_mount(self) -> None:
        # Textual calls the handler of every class of a widget, so a dialog's own needs no call of this one.
        self.remember_parts()

    def on_unmount(self) -> None:
        self.andon.worker_thread.drop(self.serial)

    def action_back(self) -> None:
        self.dismiss()
