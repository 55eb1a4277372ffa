"""The one widget that draws lines: of any number of rows it paints those in view that changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.widgets.rows import Cell, Column, Piece, Row, layout
from console.widgets.sanitise import one_line

_STYLES = {
    "": Style.null(),
    "bad": Style(color="bright_red", bold=True),
    "warn": Style(color="yellow"),
    "dim": Style(dim=True),
    "strong": Style(bold=True),
    "quote": Style(italic=True),
}
_CURSOR = Style(reverse=True)
_CURSOR_AWAY = Style(underline=True)

Painted = tuple[tuple[Piece, ...], bool]


class Lines(ScrollView, can_focus=True):
    """Rows from `show`, a head line of column titles, and a cursor that follows its row's key.

    Nothing changed: nothing is drawn. The order of rows is kept while the cursor is not at the top.
    """

    DEFAULT_CSS = """
    Lines { height: auto; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    Lines:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "up", show=False),
        Binding("down,j", "cursor(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home,g", "edge(False)", "top", show=False),
        Binding("end,G", "edge(True)", "end", show=False),
    ]

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, lines: Lines, key: str) -> None:
            super().__init__()
            self.lines = lines
            self.key = key

        @property
        def control(self) -> Lines:
            return self.lines

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Lines.Moved) and message.lines is self.lines

    class Resized(Message):
        """The width changed: who wrapped text for it wraps anew."""

        def __init__(self, lines: Lines) -> None:
            super().__init__()
            self.lines = lines

        @property
        def control(self) -> Lines:
            return self.lines

    class Left(Message):
        """The cursor went past an end: `step` is -1 or 1."""

        def __init__(self, lines: Lines, step: int) -> None:
            super().__init__()
            self.lines = lines
            self.step = step

        @property
        def control(self) -> Lines:
            return self.lines

    def __init__(
        self,
        columns: tuple[Column, ...] = (),
        *,
        cursor: bool = True,
        titles: bool | None = None,
        leads: bool = False,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = columns
        self.cursor = cursor
        self.can_focus = cursor
        if not cursor:
            self.styles.overflow_y = "hidden"
        self.leads = leads  # other parts show what its cursor is on: it is marked without the focus too
        self.ascii_only = ascii_only
        self.painted_lines = 0  # how many lines were drawn since the start; tests count them
        self._titles = bool(columns) if titles is None else titles
        self._rows: Sequence[Row] = ()
        self._at = 0
        self._key = ""
        self._touched = False
        self._painted: dict[int, Painted] = {}  # by line of the widget, what the terminal has
        self._width = 0

    # what is shown

    @property
    def rows(self) -> Sequence[Row]:
        return self._rows

    @property
    def key(self) -> str:
        """The key of the row under the cursor; empty where there is none."""
        return self._key

    @property
    def place(self) -> int:
        """The place of the cursor's row, from 1; 0 where nothing can be picked."""
        return self._at + 1 if self._key else 0

    @property
    def at_top(self) -> bool:
        return self._at <= self._first()

    def show(self, rows: Sequence[Row], *, keep_order: bool = False) -> None:
        """Replace the rows. With `keep_order` they keep their places unless the cursor is at the top."""
        if keep_order and self.cursor and not self.at_top:
            rows = _in_order_of(self._rows, rows)
        if rows is self._rows:
            return
        grown = len(rows) != len(self._rows)
        self._rows = rows
        self._find_cursor()
        if grown:
            self._resize_content()
        self._repaint_changed()

    def hold(self) -> None:
        """From now on the cursor stays on its row's key, wherever that comes to lie: something is done about it."""
        self._touched = True

    def pick(self, key: str) -> None:
        """Put the cursor on the row of that key, where there is one."""
        for index, row in enumerate(self._rows):
            if row.key == key:
                self._touched = True
                self._move_to(index)
                return

    def set_titles(self, columns: tuple[Column, ...]) -> None:
        """Other columns: all lines are drawn anew where they differ."""
        if columns != self.columns:
            self.columns = columns
            self._repaint_changed()

    # the cursor

    def _find_cursor(self) -> None:
        if not self.cursor:
            return
        if self._touched and self._key and self._at < len(self._rows) and self._rows[self._at].key == self._key:
            return
        # Until somebody moves it the cursor stays at the top, whatever comes to lie there.
        found = _place_of(self._rows, self._key) if self._key and self._touched else None
        if found is None:
            found = self._pickable(min(self._at if self._touched else 0, len(self._rows) - 1), 1)
            if found is None:
                found = self._pickable(len(self._rows) - 1, -1)
        before = self._key
        self._at = found or 0
        self._key = self._rows[found].key if found is not None else ""
        if self._key != before:
            self.post_message(self.Moved(self, self._key))

    def _pickable(self, index: int, step: int) -> int | None:
        while 0 <= index < len(self._rows):
            if self._rows[index].key:
                return index
            index += step
        return None

    def _first(self) -> int:
        return self._pickable(0, 1) or 0

    def _move_to(self, index: int) -> None:
        self._at = index
        self._key = self._rows[index].key
        self._scroll_to_cursor()
        self._repaint_changed()
        self.post_message(self.Moved(self, self._key))

    def _scroll_to_cursor(self) -> None:
        top, room = self.scroll_offset.y, max(1, self.size.height - int(self._titles))
        goal = top
        if self._at <= self._first():
            goal = 0
        elif self._at < top:
            goal = self._at
        elif self._at >= top + room:
            goal = self._at - room + 1
        if goal != top:
            self.scroll_to(y=goal, animate=False, force=True)

    def action_cursor(self, step: int) -> None:
        index = self._pickable(self._at + step, step) if self.cursor else None
        self._touched = True
        if index is None:
            self.post_message(self.Left(self, step))
        else:
            self._move_to(index)

    def action_page(self, step: int) -> None:
        height = max(1, self.size.height - int(self._titles) - 1)
        goal = max(0, min(len(self._rows) - 1, self._at + step * height))
        index = self._pickable(goal, step)
        index = self._pickable(goal, -step) if index is None else index
        if index is not None:
            self._touched = True
            self._move_to(index)

    def action_edge(self, last: bool) -> None:
        index = self._pickable(len(self._rows) - 1, -1) if last else self._pickable(0, 1)
        if index is not None:
            self._touched = last
            self._move_to(index)

    # drawing

    def on_mount(self) -> None:
        self._resize_content()

    def on_resize(self, _: events.Resize) -> None:
        self._resize_content()
        self._painted.clear()
        self.refresh()
        if self.size.width != self._width:
            self._width = self.size.width
            self.post_message(self.Resized(self))

    def on_focus(self) -> None:
        self._repaint_changed()

    def on_blur(self) -> None:
        self._repaint_changed()

    def _resize_content(self) -> None:
        height = len(self._rows) + int(self._titles)
        size = Size(max(1, self.scrollable_content_region.width), height)
        if size != self.virtual_size:
            auto = self.styles.height is not None and self.styles.height.is_auto
            self.virtual_size = size
            if auto:
                self.refresh(layout=True)

    def _line(self, y: int) -> Painted:
        """What line `y` of the widget should show, and whether the cursor is on it."""
        width = self.scrollable_content_region.width
        if y == 0 and self._titles:
            # The titles stay in place while rows scroll under them.
            return tuple((text, "dim") for text, _ in layout(self._title_row(), self.columns, width)), False
        index = self.scroll_offset.y + y - int(self._titles)
        if not 0 <= index < len(self._rows):
            return ((" " * width, ""),), False
        row = self._rows[index]
        pieces = layout(row, self.columns, width, ascii_only=self.ascii_only)
        under_cursor = self.cursor and bool(row.key) and index == self._at and (self.has_focus or self.leads)
        if under_cursor and pieces and pieces[0][0].startswith(" "):
            # Seen without colours too.
            mark = one_line("▶" if self.has_focus else "›", ascii_only=self.ascii_only)
            pieces[0] = (mark + pieces[0][0][1:], pieces[0][1])
        return tuple(pieces), under_cursor

    def _title_row(self) -> Row:
        return Row("", tuple(Cell(column.title) for column in self.columns))

    def _repaint_changed(self) -> None:
        for y in range(self.size.height):
            if self._painted.get(y) != self._with_focus(self._line(y)):
                self.refresh(Region(0, y, self.size.width, 1))

    def _with_focus(self, line: Painted) -> Painted:
        return line if not line[1] else ((*line[0], ("", "focus" if self.has_focus else "away")), True)

    def render_line(self, y: int) -> Strip:
        line = self._line(y)
        self._painted[y] = self._with_focus(line)
        self.painted_lines += 1
        pieces, under_cursor = line
        style = (_CURSOR if self.has_focus else _CURSOR_AWAY) if under_cursor else Style.null()
        base = self.rich_style
        joined = pieces if under_cursor else _joined(pieces)
        return Strip(
            [Segment(text, base + _STYLES.get(tone, _STYLES[""]) + style) for text, tone in joined],
            self.scrollable_content_region.width,
        )


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours that look the same as one piece; blanks look the same in any tone. Fewer bytes, same cells."""
    joined: list[Piece] = []
    for text, tone in pieces:
        if joined and (tone == joined[-1][1] or not text.strip(" ")):
            joined[-1] = (joined[-1][0] + text, joined[-1][1])
        elif joined and not joined[-1][0].strip(" "):
            joined[-1] = (joined[-1][0] + text, tone)
        else:
            joined.append((text, tone))
    return joined


class Whole:
    """Mixed into a screen: whether all of its line widgets are there, so that it can be drawn."""

    _ids: tuple[str, ...] = ()

    def remember_parts(self) -> None:
        """Call when the screen is mounted."""
        assert isinstance(self, Screen)
        self._ids = tuple(lines.id for lines in self.query(Lines) if lines.id)

    @property
    def is_whole(self) -> bool:
        """False while the screen is built, and while it is taken down with answers still coming in."""
        assert isinstance(self, Screen)
        return bool(self._ids) and self.is_attached and all(self.query(f"#{name}") for name in self._ids)


def _place_of(rows: Sequence[Row], key: str) -> int | None:
    place_of = getattr(rows, "place_of", None)  # rows that are built one by one know their places
    if place_of is not None:
        found: int | None = place_of(key)
        return found
    return next((index for index, row in enumerate(rows) if row.key == key), None)


def _in_order_of(old: Sequence[Row], new: Sequence[Row]) -> Sequence[Row]:
    """The new rows in the places of the old; what is new comes last."""
    places = {row.key: index for index, row in enumerate(old) if row.key}
    return sorted(new, key=lambda row: places.get(row.key, len(places)))
