"""The one sanitiser of the display: whatever a log says, what comes out is printable and bounded.

Nothing is parsed as markup. What could steer a terminal or fool a reader is shown as a visible substitute:
an escape sequence as `␛`, a control byte as its picture (`␍`), direction marks, invisible and private
characters as their code (`‹202E›`). Widths are those of `rich.cells`, taken after sanitising.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size

ONE_LINE_CHARS = 2_000
BLOCK_CHARS = 100_000
MARKS_KEPT = 2  # combining marks on one letter; Vietnamese and Hebrew need two, zalgo needs thousands

_STRING_SEQUENCE = r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"
_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
_SEQUENCE = re.compile(rf"{_STRING_SEQUENCE}|{_CSI}|\x1b[ -/]{{1,4}}[0-~]|\x1b")
_COLOUR = re.compile(r"(?:\x1b\[|\x9b)[0-9;:]{0,64}m")
_SELECTORS = "\ufe0e\ufe0f"
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0\u17b4\u17b5")  # letters to Unicode, nothing to the eye
_ASCII = str.maketrans(
    {
        "✔": "+", "✖": "x", "■": "#", "◐": "~", "●": "*", "○": "o", "▶": ">", "▸": ">", "▾": "v", "▲": "^",
        "▼": "v", "·": ".", "…": "~", "─": "-", "│": "|", "┌": "+", "┐": "+", "└": "+", "┘": "+", "█": "#",
        "▌": "#", "▐": "#", "▏": "|", "→": ">", "›": ">", "⚑": "!", "␛": "^", "‹": "<", "⇄": "=", "⚠": "!",
        "ⓘ": "i", "↑": "^", "↓": "v", "–": "-", "—": "-", "’": "'", "×": "x",
    }
)  # fmt: skip


def one_line(text: str, width: int | None = None, *, ascii_only: bool = False) -> str:
    """`text` as one line of at most `width` cells, cut with `…`; escape sequences collapse into one `␛`."""
    if width is not None and width <= 0:
        return ""
    limit = ONE_LINE_CHARS if width is None else min(ONE_LINE_CHARS, width * 4 + 64)
    longer = len(text) > limit
    clean = _clean(_SEQUENCE.sub("␛", text[:limit]), ascii_only)
    if width is None:
        return clean + ("…" if longer else "")
    return cut(clean + (" …" if longer and cell_len(clean) < width else ""), width, ascii_only=ascii_only)


def block(text: str, width: int | None = None, *, ascii_only: bool = False, limit: int = BLOCK_CHARS) -> list[str]:
    """`text` as lines, wrapped at `width` cells. Colour sequences go, any other shows as `␛` and its bytes.

    At most `limit` characters are shown; what was left out is counted in a last line.
    """
    head = _COLOUR.sub("", text[:limit]).replace("\r\n", "\n").replace("\x1b", "␛")
    lines: list[str] = []
    for raw in head.split("\n"):
        clean = _clean(_drop_selectors(raw.expandtabs(4)), ascii_only)
        lines.extend(wrap(clean, width) if width else [clean])
    if len(text) > limit:
        lines.append(f"… {len(text) - limit:,} more characters")
    return lines


def wrap(clean: str, width: int) -> list[str]:
    """Cut a sanitised line into pieces of at most `width` cells, at a space where one is near."""
    pieces: list[str] = []
    while cell_len(clean) > width:
        taken = _prefix(clean, width)
        space = taken.rfind(" ", max(1, len(taken) // 2))
        if space > 0:
            taken = taken[: space + 1]
        pieces.append(taken.rstrip())
        clean = clean[len(taken) or 1 :]
    pieces.append(clean)
    return pieces


def cut(clean: str, width: int, *, ascii_only: bool = False) -> str:
    """A sanitised text of at most `width` cells; what was longer ends in `…` (`~` in ASCII)."""
    if width <= 0:
        return ""
    if cell_len(clean) <= width:
        return clean
    return _prefix(clean, width - 1) + ("~" if ascii_only else "…")


def fit(clean: str, width: int, *, right: bool = False, ascii_only: bool = False) -> str:
    """A sanitised text of exactly `width` cells."""
    clean = cut(clean, width, ascii_only=ascii_only)
    blanks = " " * (width - cell_len(clean))
    return blanks + clean if right else clean + blanks


def _prefix(clean: str, width: int) -> str:
    """The longest beginning of `clean` of at most `width` cells."""
    if clean.isascii():
        return clean[:width]
    used = 0
    for index, char in enumerate(clean):
        used += get_character_cell_size(char)
        if used > width:
            return clean[:index]
    return clean


def _drop_selectors(text: str) -> str:
    """Emoji style selectors change widths from terminal to terminal and carry no content."""
    return text if text.isascii() else "".join(char for char in text if char not in _SELECTORS)


def _clean(text: str, ascii_only: bool) -> str:
    if text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    marks = 0
    for char in text:
        if char.isascii() and char.isprintable():
            out.append(char)
            marks = 0
            continue
        shown, is_mark = _shown(char)
        if not is_mark:
            out.append(shown)
            marks = 0
        elif marks < MARKS_KEPT:
            # A mark with nothing under it would sit on our own drawing.
            out.append(shown if out else "◌" + shown)
            marks += 1
        elif marks == MARKS_KEPT:
            out.append("…")
            marks += 1
    clean = "".join(out)
    return _to_ascii(clean) if ascii_only else clean


@lru_cache(maxsize=8192)
def _shown(char: str) -> tuple[str, bool]:
    """(what is drawn for a character that is not printable ASCII, whether it is a mark on the one before)."""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code), False
    if code == 0x7F:
        return "␡", False
    if 0x1F1E6 <= code <= 0x1F1FF:  # half a flag: terminals disagree about its width
        return chr(ord("A") + code - 0x1F1E6), False
    if char in _SELECTORS or char in _BLANK_LETTERS or 0xE0100 <= code <= 0xE01EF or 0x1F3FB <= code <= 0x1F3FF:
        return f"‹{code:04X}›", False
    category = unicodedata.category(char)
    if category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or (category == "Zs" and char != " "):
        return f"‹{code:04X}›", False
    if category in {"Mn", "Me", "Mc"} or get_character_cell_size(char) == 0:
        return char, True
    return char, False


def _to_ascii(clean: str) -> str:
    mapped = clean.translate(_ASCII)
    if mapped.isascii():
        return mapped
    return "".join(char if char.isascii() else _ascii_of(char) for char in mapped)


def _ascii_of(char: str) -> str:
    code = ord(char)
    if 0x2400 <= code < 0x2420:
        return "^" + chr(code - 0x2400 + 0x40)
    return "^?" if char == "␡" else f"<{code:04X}>"
