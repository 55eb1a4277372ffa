"""What a line of the screen is made of: plain text with a tone, in columns or in one run. No Textual here.

Text in a row may be untrusted: `layout` is where every piece passes the sanitiser, and nothing else draws.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from console.widgets.sanitise import fit, one_line

TONES = ("", "bad", "warn", "dim", "strong", "quote", "cursor")


@dataclass(frozen=True, slots=True)
class Cell:
    """Text and how it reads: plain, `bad` (a hand now), `warn` (a hand soon), `dim`, `strong`."""

    text: str
    tone: str = ""
    stretch: tuple[float, float] | None = None  # a bar from this part of its column to that, in place of text


@dataclass(frozen=True, slots=True)
class Column:
    """`width` 0 takes what is left, by `weight`; the column is shown from `since` cells of screen on."""

    title: str
    width: int
    right: bool = False
    since: int = 0
    gap: int = 1  # blanks before it
    weight: int = 1  # its part of what is left, where several columns take it


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `cells` follow the columns of the widget, or run on where `free` is set.

    `key` names what the row stands for; a row without one cannot be picked. `right` ends at the right edge;
    `fill` fills what is between.
    """

    key: str = ""
    cells: tuple[Cell, ...] = ()
    right: tuple[Cell, ...] = ()
    fill: str = " "
    free: bool = False


Piece = tuple[str, str]  # sanitised text, tone


def text_row(*cells: Cell | str, right: tuple[Cell, ...] = (), key: str = "") -> Row:
    """A line of running text."""
    return Row(key, tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells), right, free=True)


def rule(title: str, right: str = "") -> Row:
    """`── title ──────────── right ──`."""
    end = (Cell(f" {right} ──", "dim"),) if right else ()
    return Row("", (Cell("── ", "dim"), Cell(title), Cell(" ", "dim")), end, fill="─", free=True)


def layout(row: Row, columns: tuple[Column, ...], width: int, *, ascii_only: bool = False) -> list[Piece]:
    """The pieces of a row, together exactly `width` cells."""
    if row.free or not columns:
        return _free(row, width, ascii_only)
    return _table(row, columns, width, ascii_only)


def shown_columns(columns: tuple[Column, ...], width: int) -> list[int]:
    """Which columns a widget of this width shows."""
    return [index for index, column in enumerate(columns) if width >= column.since]


def bar(start: float, end: float, cells: int) -> str:
    """A bar over a part of `cells` cells; what is too short for one cell still shows as a line."""
    first = max(0, min(cells - 1, int(start * cells)))
    length = min(cells - first, round((end - start) * cells))
    return " " * first + ("█" * length or "▏")


def _table(row: Row, columns: tuple[Column, ...], width: int, ascii_only: bool) -> list[Piece]:
    indexes = shown_columns(columns, width)
    fixed = sum(columns[index].width + columns[index].gap for index in indexes)
    left = max(0, width - fixed)
    weights = sum(columns[index].weight for index in indexes if columns[index].width == 0)
    pieces: list[Piece] = []
    used = 0
    for index in indexes:
        column = columns[index]
        cell = row.cells[index] if index < len(row.cells) else Cell("")
        room = column.width
        if room == 0:
            room = left * column.weight // weights
            left, weights = left - room, weights - column.weight
        room = min(room, width - used - column.gap)
        if room <= 0:
            break
        text = cell.text if cell.stretch is None else bar(*cell.stretch, room)
        clean = one_line(text, room, ascii_only=ascii_only)
        if column.gap:
            pieces.append((" " * column.gap, ""))
        pieces.append((fit(clean, room, right=column.right, ascii_only=ascii_only), cell.tone))
        used += column.gap + room
    pieces.append((" " * (width - used), ""))
    return pieces


def _free(row: Row, width: int, ascii_only: bool) -> list[Piece]:
    end = [(one_line(cell.text, ascii_only=ascii_only), cell.tone) for cell in row.right]
    end_width = sum(cell_len(text) for text, _ in end)
    if end_width > width:
        end, end_width = [], 0
    room = width - end_width - (1 if end else 0)
    pieces: list[Piece] = []
    used = 0
    for cell in row.cells:
        clean = one_line(cell.text, max(0, room - used), ascii_only=ascii_only)
        if clean:
            pieces.append((clean, cell.tone))
            used += cell_len(clean)
    fill = one_line(row.fill, ascii_only=ascii_only)
    pieces.append((fill * (width - end_width - used), "dim" if row.fill != " " else ""))
    return pieces + end
