"""What every dialog has: a frame, fields in a column, Esc that always leaves, and a code to type."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget

from console import keys
from console.screens.asks import Asks
from console.widgets.lines import Lines
from console.widgets.rows import Row, text_row

LABEL_CELLS = 9


class Dialog(Asks, ModalScreen[None]):
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

    def body(self) -> ComposeResult:
        yield from ()

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

    def on_mount(self) -> None:
        # Textual calls the handler of every class of a widget, so a dialog's own needs no call of this one.
        self.remember_parts()

    def action_back(self) -> None:
        self.dismiss()
