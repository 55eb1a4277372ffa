"""The line widget: it paints what changed and nothing else, and rows do not move under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from textual.app import App, ComposeResult

from console.widgets.lines import Lines
from console.widgets.rows import Cell, Column, Row, bar, layout, rule, text_row
from tests.snapshot.waiting import lines_text

COLUMNS = (Column("name", 0), Column("count", 6, right=True), Column("more", 8, since=60))


def row(name: str, count: int = 0) -> Row:
    return Row(name, (Cell(name), Cell(str(count)), Cell("x")))


class OneList(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines(COLUMNS)
        self.lines.styles.height = "1fr"
        self.moved: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.lines

    def on_lines_moved(self, message: Lines.Moved) -> None:
        self.moved.append(message.key)


class Million(Sequence[Row]):
    """Rows that exist only when they are looked at."""

    def __init__(self) -> None:
        self.built = 0

    def __len__(self) -> int:
        return 1_000_000

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        assert isinstance(index, int)
        if not 0 <= index < len(self):
            raise IndexError(index)
        self.built += 1
        return row(f"row {index}", index)

    def place_of(self, key: str) -> int | None:
        return int(key.split()[1])


async def test_only_lines_that_changed_are_painted() -> None:
    app = OneList()
    async with app.run_test(size=(40, 10)) as pilot:
        rows = [row(name) for name in "abcdef"]
        app.lines.show(rows)
        await pilot.pause()
        before = app.lines.painted_lines
        app.lines.show([row(name) for name in "abcdef"])
        await pilot.pause(0.1)
        assert app.lines.painted_lines == before, "nothing changed, nothing is drawn"
        app.lines.show([row(name, int(name == "c")) for name in "abcdef"])
        await pilot.pause(0.1)
        assert app.lines.painted_lines == before + 1
        assert lines_text(app.lines).splitlines()[3].split() == ["c", "1"]


async def test_moving_the_cursor_paints_two_lines() -> None:
    app = OneList()
    async with app.run_test(size=(40, 10)) as pilot:
        app.lines.show([row(name) for name in "abcdef"])
        app.lines.focus()
        await pilot.pause()
        before = app.lines.painted_lines
        await pilot.press("down")
        await pilot.pause(0.1)
        assert app.lines.painted_lines == before + 2
        assert app.lines.key == "b"


async def test_rows_keep_their_places_under_the_cursor() -> None:
    app = OneList()
    async with app.run_test(size=(40, 10)) as pilot:
        app.lines.show([row(name) for name in "abc"], keep_order=True)
        app.lines.focus()
        app.lines.show([row(name) for name in "cab"], keep_order=True)
        assert app.lines.key == "c", "an untouched cursor stays at the top"
        await pilot.press("down")
        assert app.lines.key == "a"
        app.lines.show([row(name) for name in "dbac"], keep_order=True)
        assert [one.key for one in app.lines.rows] == ["c", "a", "b", "d"]
        assert app.lines.key == "a"
        await pilot.press("g")
        app.lines.show([row(name) for name in "dbac"], keep_order=True)
        assert [one.key for one in app.lines.rows] == ["d", "b", "a", "c"]


async def test_the_cursor_stays_on_its_row_when_others_go() -> None:
    app = OneList()
    async with app.run_test(size=(40, 10)) as pilot:
        app.lines.show([row(name) for name in "abcd"])
        app.lines.pick("c")
        app.lines.show([row(name) for name in "bcd"])
        assert app.lines.key == "c"
        app.lines.show([row(name) for name in "bd"])
        assert app.lines.key == "d"
        app.lines.show([])
        assert app.lines.key == ""
        await pilot.pause()
        assert app.moved[-1] == ""


async def test_a_million_rows_cost_what_is_seen() -> None:
    app = OneList()
    async with app.run_test(size=(40, 10)) as pilot:
        rows = Million()
        app.lines.show(rows)
        app.lines.focus()
        await pilot.pause()
        await pilot.press("end")
        await pilot.pause()
        assert "row 999999" in lines_text(app.lines)
        assert lines_text(app.lines).startswith(" name"), "the head line stays"
        await pilot.press("pageup", "home")
        await pilot.pause()
        assert "row 0" in lines_text(app.lines)
        assert rows.built < 1_000


async def test_lines_without_a_key_cannot_be_picked() -> None:
    app = OneList()
    async with app.run_test(size=(40, 10)) as pilot:
        app.lines.show([rule("head"), row("a"), text_row("words"), row("b")])
        app.lines.focus()
        assert app.lines.key == "a"
        await pilot.press("down")
        assert app.lines.key == "b"


def test_a_layout_is_exactly_as_wide_as_asked() -> None:
    wide = row("日本語" * 20, 12)
    for width in range(2, 90):
        pieces = layout(wide, COLUMNS, width)
        assert sum(Cell(text).text.__len__() + sum(ord(char) > 0x2E80 for char in text) for text, _ in pieces) == width
    assert "".join(text for text, _ in layout(rule("a", "b"), (), 20)) == "── a ────────── b ──"


def test_a_bar_is_never_empty_nor_too_long() -> None:
    assert bar(0.0, 1.0, 10) == "█" * 10
    assert bar(0.5, 0.5, 10) == " " * 5 + "▏"
    assert bar(1.0, 1.0, 10) == " " * 9 + "▏"
    assert bar(0.9, 5.0, 10) == " " * 9 + "█"
