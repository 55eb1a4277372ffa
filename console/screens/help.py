"""Help: every key with what it does, and how to read the glyphs. Made from the bindings."""

from __future__ import annotations

from textual.app import ComposeResult

from console import keys
from console.screens.base import Look
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Row, rule, text_row

GLYPHS = (
    ("✔ ok", "nothing to do"),
    ("! warn", "will need a hand: success below 97 %"),
    ("✖ bad", "needs a hand now: success below 90 %"),
    ("■ off", "switched off; only VERIFIED says that it stopped"),
    ("? stale", "nothing heard for 15 m;  ? none: nothing ended in the window"),
    ("│ text", "what a log said: never ours, however it looks"),
    ("- figure", "unknown, never zero"),
    ("␛ ‹202E›", "a control or hidden character in a log, shown, not obeyed"),
)


class HelpScreen(Look):
    BINDINGS = keys.bindings()
    DEFAULT_CSS = "HelpScreen #main { height: 1fr; }"
    crumbs = ("help",)

    def body(self) -> ComposeResult:
        yield Lines(ascii_only=self.ascii_only, id="main")

    def on_mount(self) -> None:
        self.lines("main").show(_rows(read_only=self.context.read_only))


def _rows(*, read_only: bool) -> list[Row]:
    rows = [rule("keys", "the same on every screen")]
    changing = {keys.label(key) for key in keys.KEYS if key.changes}
    for number, (key, says) in enumerate(keys.key_table()):
        off = "   (not in read-only mode)" if read_only and key in changing else ""
        rows.append(text_row(Cell(f"  {key:<10}", "strong"), says, Cell(off, "dim"), key=f"key:{number}"))
    rows.append(rule("how to read it"))
    rows += [text_row(Cell(f"  {glyph:<10}", "strong"), says, key=f"glyph:{glyph}") for glyph, says in GLYPHS]
    return rows
