"""One line of text asked for: a note. Esc leaves without it."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from console import keys
from console.widgets.fields import PlainInput
from console.widgets.lines import Lines
from console.widgets.rows import Cell, text_row


class AskTextScreen(ModalScreen[str | None]):
    """Dismissed with the text, or with None."""

    BINDINGS = keys.dialog_bindings("back")
    AUTO_FOCUS: ClassVar[str | None] = "#text"
    DEFAULT_CSS = """
    AskTextScreen { align: center bottom; background: $background 20%; }
    AskTextScreen > Vertical { height: 3; background: $background; margin-bottom: 1; }
    AskTextScreen Lines { height: 1; }
    """

    def __init__(self, label: str, title: str) -> None:
        super().__init__()
        self._label = label
        self._title = title

    def compose(self) -> ComposeResult:
        with Vertical():
            title = Lines(cursor=False, id="title")
            title.show([text_row(Cell(self._title, "strong"), right=(Cell("Enter write it   Esc leave", "dim"),))])
            yield title
            yield PlainInput(id="text", max_length=2000)

    @on(PlainInput.Submitted, "#text")
    def _written(self, event: PlainInput.Submitted) -> None:
        self.dismiss(event.value.strip() or None)

    def action_back(self) -> None:
        self.dismiss(None)
