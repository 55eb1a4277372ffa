"""Is one file the start of another? Byte for byte, a piece at a turn."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from collectors.tail.content import Content
from collectors.tail.identity import TAIL_BYTES, Verdict, verdict

if TYPE_CHECKING:
    from collectors.tail.file import TailedFile

_COMPARE_BYTES = 4 << 20  # at a turn
_PIECE_BYTES = 256 << 10


class Likeness(enum.Enum):
    """What a file is to the one that it is compared with."""

    EMPTY = "it has no bytes yet"
    UNKNOWN = "not all was compared, or the other one is not read to its end"
    COPY = "it is the start of the other one, or the whole of it"
    LONGER = "the other one is the start of it"
    OTHER = "other bytes"


class Mirror:
    """How far a file was found to be the same as `original`."""

    def __init__(self, original: TailedFile) -> None:
        self.original = original
        self.same_up_to = 0
        self._last = b""  # the bytes before `same_up_to`: a copy that is made anew is compared anew

    def compare(self, copy: Content) -> Likeness:
        """Compare what was not compared yet, a piece at a time. OSError where the copy cannot be read."""
        original = self.original
        if not original.is_open:
            return Likeness.OTHER
        other = original.content
        if self._last != copy.pread(len(self._last), self.same_up_to - len(self._last)):
            self.same_up_to, self._last = 0, b""
        end = self.same_up_to + _COMPARE_BYTES
        while self.same_up_to < end:
            piece = copy.pread(_PIECE_BYTES, self.same_up_to)
            if not piece:
                return Likeness.COPY if self.same_up_to else Likeness.EMPTY
            theirs = other.pread(len(piece), self.same_up_to)
            if not piece.startswith(theirs):
                return Likeness.OTHER
            self.same_up_to += len(theirs)
            self._last = (self._last + theirs)[-TAIL_BYTES:]
            if len(theirs) < len(piece):
                return self._longer(copy)
        return Likeness.UNKNOWN

    def _longer(self, copy: Content) -> Likeness:
        """The original ends here: it may be about to be read on, or have been cut just now."""
        original = self.original
        offset = original.source.offset
        if not offset:
            return Likeness.OTHER
        if original.content.size() < offset:
            return Likeness.LONGER if verdict(copy, original.source) is Verdict.SAME else Likeness.OTHER
        if original.queued:
            return Likeness.UNKNOWN
        return Likeness.LONGER if original.at_end else Likeness.OTHER
