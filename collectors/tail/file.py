"""One open file and what is known of it: the source that is saved, the reader, and the parser between them."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass

import msgspec

from collectors.formats.base import Format, Line, Parser, SourceFacts
from collectors.tail.identity import FileKey, digest, new_source
from collectors.tail.lines import MAX_LINE_BYTES, LineReader, Stretch
from store.record.batch import Source

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class NotAFile(OSError):  # noqa: N818 - what it is, not that it is an error
    """A FIFO, socket, device or folder where a file was expected; it is not opened."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a stat said; anything that differs is a reason to look, nothing is decided by a time."""

    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Seen:
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


NEVER = Seen(-1, 0, 0)
"""Not seen yet: any stat differs from it."""


def regular(found: os.stat_result) -> os.stat_result:
    """`found` again, or NotAFile saying what it is."""
    kinds = {
        stat.S_IFIFO: "it is a FIFO",
        stat.S_IFSOCK: "it is a socket",
        stat.S_IFCHR: "it is a device",
        stat.S_IFBLK: "it is a device",
        stat.S_IFDIR: "it is a folder",
    }
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile(f"{kinds.get(stat.S_IFMT(found.st_mode), 'it is not a file')}, and was not opened")
    return found


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """Open a regular file for reading, without ever waiting. OSError or NotAFile."""
    regular(os.stat(path))  # noqa: PTH116 - a device must not even be opened
    descriptor = os.open(path, _FLAGS)
    try:
        return descriptor, regular(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise


class TailedFile:
    """A file that is read. `path` None: no name leads to it any more, only the open handle."""

    def __init__(
        self, source: Source, path: str, key: FileKey, seen: Seen, max_line_bytes: int = MAX_LINE_BYTES
    ) -> None:
        self.source = source
        self.path: str | None = path
        self.key = key
        self.seen = seen
        self.format: Format | None = None
        self.parser: Parser | None = None
        self.after: TailedFile | None = None  # read to its end before this one
        self.head_is_final = False
        self.queued = False
        self.names: set[str] = set()
        self.at_end = False
        self.saved: Source | None = None  # the source as it was last put into a batch
        self.used_s = time.monotonic()  # when it last grew
        self._max_line_bytes = max_line_bytes
        self._descriptor: int | None = None
        self._reader: LineReader | None = None

    @classmethod
    def new(cls, path: str, key: FileKey, found: os.stat_result, max_line_bytes: int = MAX_LINE_BYTES) -> TailedFile:
        return cls(new_source(path, key, found.st_size), path, key, Seen.of(found), max_line_bytes)

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        assert self._descriptor is not None, "the file is closed"
        return self._descriptor

    def hold(self, descriptor: int) -> None:
        """Own `descriptor`, which was verified to be this source at its offset."""
        self.close()
        self._descriptor = descriptor
        self._reader = LineReader(descriptor, self.source.offset, self._max_line_bytes)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._reader = None

    def give_up_descriptor(self) -> int:
        """The descriptor, which the caller owns from now on."""
        descriptor = self.descriptor
        self._descriptor = None
        self._reader = None
        return descriptor

    def parse_as(self, form: Format) -> None:
        """Read on as `form`, from the parser state that was saved."""
        self.format = form
        self.source.format = form.name
        self.parser = form.parser(self.facts(), self.source.parser_state)

    def read(self) -> Stretch:
        """The next stretch; the source moves on with it, but for its parser state."""
        assert self._reader is not None, "the file is closed"
        stretch = self._reader.read()
        if not stretch.changed:
            self._advance(self._reader, stretch)
        return stretch

    def save_parser(self) -> None:
        """Take the parser's state into the source: it belongs to the offset that was just reached."""
        if self.parser is not None:
            self.source.parser_state = self.parser.state()

    def snapshot(self) -> Source:
        """The source as it is now, to be written."""
        self.saved = msgspec.structs.replace(self.source)
        return self.saved

    def unended(self) -> tuple[Line, Parser] | None:
        """A last line without its newline, with a parser of its own: reading it changes nothing here."""
        if self._reader is None or self.format is None:
            return None
        line = self._reader.unended_line()
        return (line, self.format.parser(self.facts(), self.source.parser_state)) if line else None

    def note_size(self, size_bytes: int, now_ns: int) -> None:
        """Keep the count of what waits for its newline, and since when."""
        source = self.source
        source.size_bytes = size_bytes
        source.pending_bytes = max(0, size_bytes - source.offset)
        if not source.pending_bytes:
            source.pending_since_ns = None
        elif source.pending_since_ns is None:
            source.pending_since_ns = now_ns

    def _advance(self, reader: LineReader, stretch: Stretch) -> None:
        source = self.source
        moved = reader.offset != source.offset
        now_ns = time.time_ns()
        if moved or stretch.size_bytes != source.size_bytes:
            self.used_s = time.monotonic()
            source.seen_ns = now_ns
        if moved:
            source.pending_since_ns = None
            source.offset = reader.offset
            source.head_length, source.head_hash = len(reader.head), digest(reader.head)
            source.tail_length, source.tail_hash = len(reader.tail), digest(reader.tail)
            source.lines += len(stretch.lines) + len(stretch.oversize)
            source.blank_lines += stretch.blank
        self.at_end = not stretch.more
        self.note_size(max(stretch.size_bytes, source.offset), now_ns)

    def facts(self) -> SourceFacts:
        return SourceFacts(self.source.source_id, self.source.path, self.source.agent)
