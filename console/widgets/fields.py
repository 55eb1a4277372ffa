"""Fields of the dialogs: one line each, no blinking cursor, and nothing pasted that could steer the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from console.widgets.lines import Lines
from console.widgets.rows import Cell, text_row
from console.widgets.sanitise import one_line


class PlainInput(Input):
    """A text field of one line; what is pasted passes the sanitiser."""

    DEFAULT_CSS = """
    PlainInput { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    PlainInput:focus { border: none; background: $surface-lighten-1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "field before", show=False),
        Binding("down", "app.focus_next", "next field", show=False),
    ]

    def __init__(self, *, id: str, max_length: int = 400, value: str = "") -> None:  # noqa: A002 - Textual's name
        super().__init__(value=value, id=id, max_length=max_length, compact=True, select_on_focus=False)
        self.cursor_blink = False

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if event.text:
            self.insert_text_at_cursor(one_line(event.text))


class Choice(Lines):
    """One of several words, on one line; left and right move the mark."""

    DEFAULT_CSS = """
    Choice { width: 1fr; height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "choose(-1)", "the one before", show=False),
        Binding("right,space", "choose(1)", "the next", show=False),
        Binding("up", "app.focus_previous", "field before", show=False),
        Binding("down", "app.focus_next", "next field", show=False),
    ]

    class Chosen(Message):
        def __init__(self, choice: Choice, index: int) -> None:
            super().__init__()
            self.choice = choice
            self.index = index

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(self, words: Sequence[str], *, id: str, ascii_only: bool = False) -> None:  # noqa: A002
        super().__init__(ascii_only=ascii_only, id=id)
        self.words = tuple(words)
        self.index = 0

    def on_mount(self) -> None:
        self.draw()

    def watch_has_focus(self, has_focus: bool) -> None:
        # not on_focus: Textual calls a subclass's handler before it has noted where the focus is
        super().watch_has_focus(has_focus)
        self.draw()

    def action_choose(self, step: int) -> None:
        index = max(0, min(len(self.words) - 1, self.index + step))
        if index != self.index:
            self.index = index
            self.draw()
            self.post_message(self.Chosen(self, index))

    def draw(self) -> None:
        """The chosen word first where not all of them fit."""
        cells: list[Cell] = []
        for index, word in enumerate(self.words):
            chosen = index == self.index
            shown = one_line(word, 24, ascii_only=self.ascii_only)
            tone = "strong" if chosen else "dim"
            mark = ("▶ " if self.has_focus else "› ") if chosen else "  "
            cells += [Cell(mark, tone), Cell(shown, tone), Cell("  ")]
        self.show([text_row(*cells)])
