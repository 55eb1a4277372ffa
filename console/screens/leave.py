"""Leave the console? It says what goes on without it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from console.screens.dialog import Dialog
from console.widgets import figures
from console.widgets.rows import Cell, text_row


class LeaveScreen(Dialog):
    HEADING = " LEAVE "
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,enter,y,ctrl+c,ctrl+q", "quit", "leave", show=False),
        Binding("escape,n", "back", "stay", show=False),
    ]

    def body(self) -> ComposeResult:
        standing = len(self.andon.standing)
        yield self.text(
            "what",
            text_row(Cell("Leave the console?", "strong")),
            text_row(f"{figures.plural(standing, 'stop')} in force; stops stand, the agents go on as they are."),
            text_row(self.context.collector_note or "What collects is not touched by this."),
            text_row(""),
            text_row(Cell("q or Enter leave"), right=(Cell("Esc stay"),)),
        )

    def action_quit(self) -> None:
        self.app.exit()
