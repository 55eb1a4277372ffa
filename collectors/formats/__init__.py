"""The formats that Andon reads, and how it tells them apart: by content, never by a file's name."""

from __future__ import annotations

from collectors.formats.andon import AndonNdjson
from collectors.formats.base import Format
from collectors.formats.claude_code import ClaudeCode
from collectors.formats.pi import Pi

FORMATS: tuple[Format, ...] = (AndonNdjson(), Pi(), ClaudeCode())
HEAD_LINES = 20


def recognise(head: list[bytes]) -> Format | None:
    """The format of a file that starts with these complete lines, or None."""
    lines = [line for line in head if line.strip()][:HEAD_LINES]
    return next((one for one in FORMATS if one.recognises(lines)), None) if lines else None


def by_name(name: str) -> Format | None:
    """The format of that name, or None."""
    return next((one for one in FORMATS if one.name == name), None)
