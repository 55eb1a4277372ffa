"""The last line of a screen: the keys that are possible here; greyed out where they are not possible now."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events

from console.keys import key_of, label
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Row, text_row

HELP = ("? help",)
HELP_AND_BACK = ("Esc back", "? help")


class KeyLine(Lines):
    """Drawn from the bindings of its screen."""

    DEFAULT_CSS = """
    KeyLine { height: 1; dock: bottom; }
    """

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__(cursor=False, ascii_only=ascii_only, id="keys")

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.draw())
        self.draw()

    def on_resize(self, _: events.Resize) -> None:
        self.draw()

    def draw(self) -> None:
        """Say which keys there are now."""
        self.show([key_row(self)])


def key_row(line: KeyLine) -> Row:
    """The keys that fit, whole, in their order; what does not fit is in the help."""
    cells: list[Cell] = []
    end = HELP if line.screen is line.app.screen_stack[0] else HELP_AND_BACK
    room = line.size.width - cell_len("  ".join(end)) - 1
    for binding in line.screen.BINDINGS:
        key = key_of(getattr(binding, "action", ""))
        if key is None or not key.listed:
            continue
        state = line.screen.check_action(key.action, ())
        name, word = label(key), f" {key.word}  "
        if state is False or cell_len(name + word) > room:
            continue
        room -= cell_len(name + word)
        cells += [Cell(name, "strong" if state else "dim"), Cell(word, "" if state else "dim")]
    return text_row(*cells, right=(Cell("  ".join(end)),))
