"""`:`: run an action of the screen below by its name."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from console import keys
from console.screens.base import Look
from console.screens.dialog import Dialog
from console.widgets.fields import PlainInput
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Row, text_row

SHOWN = 12


class PaletteScreen(Dialog):
    HEADING = " : "
    AUTO_FOCUS: ClassVar[str | None] = "#words"
    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.dialog_bindings("back"),
        Binding("down", "cursor(1)", "down", show=False, priority=True),
        Binding("up", "cursor(-1)", "up", show=False, priority=True),
    ]

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look

    def body(self) -> ComposeResult:
        yield self.field("action", PlainInput(id="words", max_length=80))
        yield Lines(ascii_only=self.ascii_only, id="found")

    def on_mount(self) -> None:
        self._search("")

    @on(PlainInput.Changed, "#words")
    def _changed(self, event: PlainInput.Changed) -> None:
        self._search(event.value)

    def _search(self, text: str) -> None:
        words = text.casefold().split()
        found = [key for key in self._possible() if all(word in f"{key.word} {key.says}".casefold() for word in words)]
        self.lines("found").show([_row(key) for key in found[:SHOWN]] or [text_row("  no action of that name here")])

    def _possible(self) -> list[keys.Key]:
        """The actions that the screen below can do now."""
        own = {getattr(binding, "action", "") for binding in self._look.BINDINGS}
        possible = [key for key in keys.KEYS if key.action in own and key.action not in {"palette", "back"}]
        return [key for key in possible if self._look.check_action(key.action, ())]

    def action_cursor(self, step: int) -> None:
        self.lines("found").action_cursor(step)

    @on(PlainInput.Submitted, "#words")
    def _run(self) -> None:
        action = self.lines("found").key
        look = self._look
        self.dismiss()
        if action:
            self.app.call_later(getattr(look, f"action_{action}"))


def _row(key: keys.Key) -> Row:
    return text_row(
        Cell(f"  {keys.label(key):<7}", "strong"), Cell(f"{key.word:<10}"), Cell(key.says, "dim"), key=key.action
    )
