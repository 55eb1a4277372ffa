"""The first lines of a file, to tell its format by, and the files that can be told unreadable from them."""

from __future__ import annotations

from collectors.formats.base import Line
from collectors.tail.content import Content
from collectors.tail.lines import LineReader

HEAD_LINES = 20
_HEAD_LIMIT_BYTES = 1 << 20  # enough lines to tell a format by
_LOOK_BYTES = 128 << 20  # how far to look for the end of a first line that is too long
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
}


def unreadable_as_text(content: Content) -> str | None:
    """Why the file cannot be lines of UTF-8, or None."""
    start = content.pread(512, 0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is UTF-16; convert it to UTF-8"
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            return f"it is compressed ({name}); unpack it first"
    if b"\0" in start.lstrip(b"\0"):
        return "it is binary"
    return None


def head_lines(content: Content, max_line_bytes: int, *, with_unended: bool) -> tuple[list[bytes], bool]:
    """Up to HEAD_LINES first lines that are not blank, and True where more of the file cannot change them."""
    reader = LineReader(content, 0, max_line_bytes)
    lines: list[Line] = []
    looked = 0
    more = True
    while more and len(lines) < HEAD_LINES and looked < _LOOK_BYTES:
        stretch = reader.read(HEAD_LINES)
        if stretch.changed:
            return [], False
        lines += stretch.lines
        more = stretch.more
        looked += max_line_bytes if stretch.oversize or not stretch.lines else 0
        if sum(len(line.data) for line in lines) > _HEAD_LIMIT_BYTES:
            more = False
            looked = _LOOK_BYTES
    if with_unended and len(lines) < HEAD_LINES:
        last = reader.unended_line()
        lines += [last] if last else []
    enough = len(lines) >= HEAD_LINES or looked >= _LOOK_BYTES
    return [line.data for line in lines[:HEAD_LINES]], enough
