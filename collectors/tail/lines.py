"""Complete lines of one open file, from an offset on, in bounded memory.

The offset moves past a newline and nothing else. What follows the last newline is pending, however long it is.
A line past the limit is hashed as it goes by and handed on as an `Oversize`, never held whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from collectors.formats.base import Line
from collectors.tail.content import Content
from collectors.tail.identity import HEAD_BYTES, TAIL_BYTES

MAX_LINE_BYTES = 1 << 20
READ_BYTES = 256 << 10
MAX_LINES = 5_000
SAMPLE_BYTES = 8_192
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Oversize:
    """A line longer than the limit: where it starts, how long it is, its hash, and its first bytes."""

    offset: int
    length: int
    line_hash: str
    sample: bytes


@dataclass(slots=True)
class Stretch:
    """What one read came to. `changed`: the bytes before the offset are not those that were read; start anew."""

    lines: list[Line] = field(default_factory=list)
    oversize: list[Oversize] = field(default_factory=list)
    blank: int = 0
    nul_bytes: int = 0
    size_bytes: int = 0
    more: bool = False  # there is more to read now
    changed: bool = False


@dataclass(slots=True)
class _LongLine:
    """A line past the limit whose end was not reached yet."""

    offset: int
    scanned: int  # no newline lies between `offset` and here
    sample: bytes
    hash: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))


class LineReader:
    """Reads `content`, which stays its owner's. `head` and `tail` are the bytes that tell the file again."""

    def __init__(self, content: Content, offset: int = 0, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._content = content
        self._max_line_bytes = max_line_bytes
        self._nuls = 0  # NUL bytes after the offset that were skipped
        self._long: _LongLine | None = None
        self.offset = offset
        self.head = content.pread(min(offset, HEAD_BYTES), 0)
        self.tail = self._tail_at(offset)

    def read(self, max_lines: int = MAX_LINES) -> Stretch:
        """The next lines: at most `max_lines`, and about READ_BYTES or one line. OSError where reading fails."""
        stretch = Stretch(size_bytes=self._content.size())
        position = self._long.scanned if self._long else self.offset + self._nuls
        if stretch.size_bytes < position:
            stretch.changed = True
            return stretch
        body = self._content.pread(READ_BYTES, position)
        if self._long is None and len(body) == READ_BYTES and b"\n" not in body:
            body = self._content.pread(self._max_line_bytes + 2, position)
        if self._content.packed:
            stretch.size_bytes = self._content.size()  # reading unpacked more of it
        # looked at after the read: whatever was cut before it is seen here
        if self._tail_at(self.offset) != self.tail:
            stretch.changed = True
            return stretch
        if self._long is not None:
            self._go_on(self._long, body, stretch)
        elif body.startswith(b"\n") and not body.strip(b"\n"):
            stretch.blank += len(body)
            self._move(position + len(body), body if position == self.offset else b"")
            stretch.more = self.offset < stretch.size_bytes
        elif body:
            self._split(body, position, max_lines, stretch)
        return stretch

    def pending_bytes(self, size_bytes: int) -> int:
        """How much lies after the last newline, where everything before it was read."""
        return max(0, size_bytes - self.offset)

    def unended_line(self) -> Line | None:
        """The bytes after the last newline, if they fit into a line; the offset stays where it is."""
        start = self.offset + self._nuls
        if self._long is not None:
            return None
        body = self._content.pread(self._max_line_bytes + 1, start)
        if not body or len(body) > self._max_line_bytes or b"\n" in body:
            return None
        offset, data = _trimmed(start, body)
        return Line(offset, data) if data.strip() else None

    def _split(self, body: bytes, position: int, max_lines: int, stretch: Stretch) -> None:
        parts = body.split(b"\n", max_lines)
        rest = parts.pop()
        if not parts:
            self._without_newline(body, position, stretch)
            return
        stretch.nul_bytes += self._nuls
        start = position
        has_nul = b"\0" in body
        for raw in parts:
            length = len(raw)
            offset, data = _trimmed(start, raw) if has_nul or start == 0 else (start, raw)
            stretch.nul_bytes += offset - start if has_nul else 0
            data = data[:-1] if data.endswith(b"\r") else data
            if len(data) > self._max_line_bytes:
                line_hash = hashlib.blake2b(data, digest_size=16).hexdigest()
                stretch.oversize.append(Oversize(offset, len(data), line_hash, data[:SAMPLE_BYTES]))
            elif not data or data.isspace():
                stretch.blank += 1
            else:
                stretch.lines.append(Line(offset, data))
            start += length + 1
        self._move(start, body[: start - position] if position == self.offset else b"")
        stretch.more = b"\n" in rest or position + len(body) < stretch.size_bytes

    def _without_newline(self, body: bytes, position: int, stretch: Stretch) -> None:
        nuls = len(body) - len(body.lstrip(b"\0"))
        if nuls:
            self._nuls += nuls
            stretch.more = position + nuls < stretch.size_bytes
        elif len(body) > self._max_line_bytes + 1:
            self._long = _LongLine(position, position + len(body), body[:SAMPLE_BYTES])
            self._long.hash.update(body)
            stretch.more = self._long.scanned < stretch.size_bytes

    def _go_on(self, line: _LongLine, body: bytes, stretch: Stretch) -> None:
        end = body.find(b"\n")
        if end < 0:
            line.hash.update(body)
            line.scanned += len(body)
            stretch.more = bool(body) and line.scanned < stretch.size_bytes
            return
        line.hash.update(body[:end])
        start = line.scanned + end + 1
        stretch.oversize.append(Oversize(line.offset, start - 1 - line.offset, line.hash.hexdigest(), line.sample))
        stretch.nul_bytes += self._nuls
        self._move(start, b"")
        stretch.more = start < stretch.size_bytes

    def _move(self, offset: int, passed: bytes) -> None:
        """Go to `offset`; `passed` are the bytes just before it, where they are at hand from the old offset on."""
        self.offset = offset
        self._nuls = 0
        self._long = None
        if passed:
            self.tail = passed[-TAIL_BYTES:] if len(passed) >= TAIL_BYTES else (self.tail + passed)[-TAIL_BYTES:]
            if len(self.head) < HEAD_BYTES:
                self.head = (self.head + passed[:HEAD_BYTES])[:HEAD_BYTES]
        else:
            self.tail = self._tail_at(offset)
            if len(self.head) < HEAD_BYTES:
                self.head = self._content.pread(min(offset, HEAD_BYTES), 0)

    def _tail_at(self, offset: int) -> bytes:
        length = min(offset, TAIL_BYTES)
        return self._content.pread(length, offset - length) if length else b""


def _trimmed(offset: int, raw: bytes) -> tuple[int, bytes]:
    """Without the NULs that a cut file leaves at its start, and without a byte order mark at offset 0."""
    data = raw.lstrip(b"\0")
    if offset == 0 and data.startswith(_BOM) and len(data) == len(raw):
        return len(_BOM), raw[len(_BOM) :]
    return offset + len(raw) - len(data), data
