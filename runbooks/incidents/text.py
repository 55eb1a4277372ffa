"""Untrusted text in a report that people open in any viewer: it is readable, and it can do nothing."""

from __future__ import annotations

import re
import unicodedata

LONGEST_CHARS = 200
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str, limit: int = LONGEST_CHARS) -> str:
    """One line: control, bidi, zero-width and lone surrogate characters become `\\xNN`; cut to `limit`."""
    shown = "".join(_visible(char) for char in text[: limit + 1])
    return shown if len(text) <= limit else shown[:limit] + "…"


def code(text: str | None, limit: int = LONGEST_CHARS) -> str:
    """The text as a Markdown code span: no link, image, HTML or fence in it is live, and it cannot end the span."""
    if text is None:
        return "(not known)"
    shown = plain(text, limit)
    if not shown.strip():
        return "(empty)"
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    edge = " " if longest else ""
    return f"{fence}{edge}{shown}{edge}{fence}"


def _visible(char: str) -> str:
    if char in "\n\r\t":
        return " "
    if unicodedata.category(char) not in _HIDDEN:
        return char
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
