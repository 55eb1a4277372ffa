"""One open file and what is known of it: the source that is saved, the reader, and the parser between them."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass

import msgspec

from collectors.formats.base import Format, Line, Parser, SourceFacts
from collectors.tail.content import Content, Packed, Trouble, content_of
from collectors.tail.document import read_document
from collectors.tail.identity import FileKey, digest, new_source
from collectors.tail.lines import MAX_LINE_BYTES, LineReader, Stretch
from collectors.tail.mirror import Likeness, Mirror
from store.record.batch import Source

_UNPACK_BYTES = 4 << 20  # how much is unpacked at a turn on the way to an offset
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
        self.mirror: Mirror | None = None  # the file that this one is a copy of, as far as can be seen
        self.kin = ""  # see collectors.tail.copies.kin_name
        self.unlike: set[TailedFile] = set()  # what it was compared with and is no copy of
        self.is_its_own = False  # it is no copy of anything
        self.branched_from: tuple[str, int] | None = None  # source id and offset that a copy was read on from
        self.used_s = time.monotonic()  # when it last grew
        self._max_line_bytes = max_line_bytes
        self._descriptor: int | None = None
        self._content: Content | None = None
        self._reader: LineReader | None = None
        self._resting_bytes: int | None = None  # size on disk at which a packed file has nothing more to say

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

    @property
    def content(self) -> Content:
        assert self._content is not None, "the file is closed"
        return self._content

    @property
    def trouble(self) -> Trouble | None:
        """Why a packed file cannot be read to its end, where that is so."""
        return self._content.trouble if isinstance(self._content, Packed) else None

    def hold(self, descriptor: int, *, same_inode: bool = False) -> None:
        """Own `descriptor`, which was verified to be this source at its offset (a packed file: at its head).

        `same_inode`: it is the very file that was read before; a packed one of the same size is not unpacked again.
        OSError where it cannot be read; it is owned all the same.
        """
        source = self.source
        self.close()
        self._descriptor = descriptor
        self._content = content = content_of(descriptor)
        if not isinstance(content, Packed):
            self._reader = LineReader(content, source.offset, self._max_line_bytes)
        elif same_inode and source.offset == source.size_bytes and content.stated_size() == source.size_bytes % 2**32:
            self._resting_bytes = content.disk_size()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._let_go()

    def _let_go(self) -> None:
        self._descriptor = self._content = self._reader = self._resting_bytes = None

    def give_up_descriptor(self) -> int:
        """The descriptor, which the caller owns from now on."""
        descriptor = self.descriptor
        self._let_go()
        return descriptor

    def parse_as(self, form: Format) -> None:
        """Read on as `form`, from the parser state that was saved."""
        self.format = form
        self.source.format = form.name
        self.parser = form.parser(self.facts(), self.source.parser_state)

    def grew(self) -> bool:
        """True where the open file is not as long as when it was last read."""
        if isinstance(self._content, Packed):
            return self._content.disk_size() != self.seen.size_bytes
        return self.content.size() != self.source.size_bytes

    def read(self) -> Stretch:
        """The next stretch; the source moves on with it, but for its parser state."""
        if self.source.whole:
            return self._read_whole()
        stretch = self._reflect() if self.mirror is not None else self._go_on()
        if not stretch.changed:
            self._advance(stretch)
        return stretch

    def be_document(self) -> None:
        """Read the file whole from now on, each version of it anew."""
        source = self.source
        source.whole, source.offset, source.head_length, source.tail_length = True, 0, 0, 0
        source.head_hash = source.tail_hash = digest(b"")
        source.parser_state = b""

    def _read_whole(self) -> Stretch:
        source, now_ns = self.source, time.time_ns()
        stretch = read_document(self.content, source)
        self.at_end = True
        if stretch.changed:
            source.size_bytes = source.offset  # all of the document was read; what it is now is read as lines
        elif stretch.lines or stretch.oversize:
            self.used_s = time.monotonic()
            source.seen_ns, source.pending_since_ns = now_ns, None
            if self.format is not None:
                self.parser = self.format.parser(self.facts())
        if not stretch.changed:
            self.note_size(stretch.size_bytes, now_ns)
        return stretch

    def mirrors(self, original: TailedFile) -> bool:
        """True while this file waits as a copy of `original`."""
        return self.mirror is not None and self.mirror.original is original

    def branch(self, original: TailedFile) -> None:
        """Read on from where `original` is read up to: what lies before it here are the same bytes."""
        own = self.source
        self.source = msgspec.structs.replace(
            original.source, source_id=own.source_id, path=own.path, device=own.device, inode=own.inode
        )
        self.source.lines = self.source.blank_lines = self.source.rejected = 0
        self.branched_from = (original.source.source_id, original.source.offset)
        self.take(self.source)

    def take(self, source: Source) -> None:
        """Be `source` from now on, and read on at its offset."""
        self.mirror = self.saved = None
        self.source = source
        self.hold(os.dup(self.descriptor))
        if self.format is not None and source.format == self.format.name:
            self.parse_as(self.format)
        else:
            self.format = self.parser = None

    def _go_on(self) -> Stretch:
        if self._reader is None:
            assert isinstance(self._content, Packed), "only a packed file is opened without its reader"
            waiting = self._unpack(self._content)
            if waiting is not None:
                return waiting
        assert self._reader is not None, "it was made just now"
        return self._reader.read()

    def _reflect(self) -> Stretch:
        """Compare this file with the one that it seems to be a copy of, and read it only where it is none."""
        assert self.mirror is not None, "the caller looked"
        likeness = self.mirror.compare(self.content)
        if likeness is Likeness.LONGER:
            self.branch(self.mirror.original)
        elif likeness is Likeness.OTHER:
            self.unlike.add(self.mirror.original)
            self.mirror = None
        more = likeness not in (Likeness.COPY, Likeness.EMPTY)
        return Stretch(size_bytes=self.content.size(), more=more)

    def _unpack(self, content: Packed) -> Stretch | None:
        """Get to the offset in a packed file. None once its reader is there, else what came of this turn."""
        source = self.source
        if self._resting_bytes == content.disk_size():
            return Stretch(size_bytes=source.size_bytes)
        self._resting_bytes = None
        if not content.advance(source.offset, _UNPACK_BYTES):
            return Stretch(size_bytes=content.size(), more=True)
        if content.unpacked < source.offset:
            return Stretch(size_bytes=content.unpacked, changed=content.is_whole)
        tail = content.pread(source.tail_length, source.offset - source.tail_length)
        if digest(tail) != source.tail_hash:
            return Stretch(changed=True)
        self._reader = LineReader(content, source.offset, self._max_line_bytes)
        return None

    def save_parser(self) -> None:
        """Take the parser's state into the source: it belongs to the offset that was just reached."""
        if self.parser is not None and not self.source.whole:
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

    def _advance(self, stretch: Stretch) -> None:
        self.at_end = not stretch.more
        if self.mirror is not None:
            self.saved = self.source  # nothing is known of it that were worth saving: it is found again
            return
        source, reader = self.source, self._reader
        if reader is None:
            return  # still on the way to the offset
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
        known_bytes = self._content.unpacked if isinstance(self._content, Packed) else stretch.size_bytes
        self.note_size(max(known_bytes, source.offset), now_ns)

    def facts(self) -> SourceFacts:
        return SourceFacts(self.source.source_id, self.source.path, self.source.agent)
