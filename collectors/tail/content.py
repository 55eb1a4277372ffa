"""The bytes of an open file as a reader wants them: as they lie there, or unpacked where the file is gzip.

Positions are those of the unpacked bytes. An offset in a log therefore stays good when the log is compressed, and a
rotated `app.log.1.gz` is known by the same hashes as the `app.log` that it was.
"""

from __future__ import annotations

import enum
import os
import struct
import zlib
from typing import Protocol

from collectors.tail.identity import HEAD_BYTES

GZIP_MAGIC = b"\x1f\x8b"
MAX_UNPACKED_BYTES = 16 << 30
MAX_RATIO = 250  # text packs at most about 100 to 1; deflate itself ends at 1,032
RATIO_FROM_BYTES = 16 << 20  # a small file may be as regular as it likes
_IN_BYTES = 64 << 10
_OUT_BYTES = 256 << 10
_BACK_BYTES = 2 << 20  # how far back of the furthest byte a reader may go without unpacking anew


class Trouble(enum.Enum):
    """Why a packed file gives no more bytes though its end was not reached."""

    CUT = "its compressed data ends too early"  # or is still being written
    DAMAGED = "its compressed data is damaged"
    BOMB = "it unpacks to far more than a log would"


def is_trouble(message: str | None) -> bool:
    """True where the message of a source says that it cannot be unpacked to its end."""
    return message is not None and message.startswith(tuple(trouble.value for trouble in Trouble))


class Content(Protocol):
    """What a reader reads. `packed`: its bytes are unpacked on the way, front to back."""

    packed: bool

    def pread(self, length: int, position: int) -> bytes:
        """Up to `length` bytes at `position`. OSError where the file cannot be read."""

    def size(self) -> int:
        """How many bytes there are; of a packed file that has more to unpack, one more than are known."""


class Plain:
    """A file as it lies there."""

    packed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pread(self, length: int, position: int) -> bytes:
        return os.pread(self._descriptor, length, position)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size


class Packed:
    """A gzip file: all its members, one after the other. Memory is bounded, whatever it unpacks to."""

    packed = True

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._known = 0  # the most that was ever unpacked of it
        self._rewind()

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong at the place where unpacking stands still, once it does."""
        if self._trouble is not None:
            return self._trouble
        return Trouble.CUT if self._at_end and not self._member_ended else None

    @property
    def is_whole(self) -> bool:
        """True once the last member was unpacked to its end."""
        return self._at_end and self._member_ended and self._trouble is None

    @property
    def unpacked(self) -> int:
        """How many bytes are known."""
        return self._known

    def disk_size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def pread(self, length: int, position: int) -> bytes:
        pieces: list[bytes] = []
        most = _BACK_BYTES - _OUT_BYTES  # that much the window holds for sure, though unpacking goes a piece too far
        while length > most:
            pieces.append(self._pread(most, position))
            if len(pieces[-1]) < most:
                return b"".join(pieces)
            position, length = position + most, length - most
        return b"".join((*pieces, self._pread(length, position)))

    def _pread(self, length: int, position: int) -> bytes:
        if position + length <= len(self._head):
            return self._head[position : position + length]
        if position < self._window_from:
            self._rewind()
        self._unpack_to(position + length)
        start = max(0, position - self._window_from)
        return bytes(self._window[start : start + length])

    def size(self) -> int:
        if self.disk_size() < self._taken:  # it was cut: nothing of it is what it was
            self._rewind()
            self._known = 0
            return 0
        return self._known if self._stands_still() else self._known + 1

    def advance(self, position: int, budget_bytes: int) -> bool:
        """Unpack towards `position`, at most `budget_bytes` of it now; True once it is reached or no more can be."""
        self._unpack_to(min(position, self._out + budget_bytes))
        return self._out >= position or self._stands_still()

    def stated_size(self) -> int | None:
        """What its last eight bytes say of its size, modulo 2**32; true of a file of one member."""
        end = os.pread(self._descriptor, 4, max(0, self.disk_size() - 4))
        return int(struct.unpack("<I", end)[0]) if len(end) == 4 else None

    def _stands_still(self) -> bool:
        if self._trouble is not None:
            return True
        return self._at_end and self.disk_size() <= self._taken

    def _rewind(self) -> None:
        self._taken = 0  # compressed bytes that were read
        self._out = 0
        self._raw = b""
        self._window = bytearray()
        self._window_from = 0
        self._head = b""
        self._member_ended = True
        self._at_end = False
        self._trouble: Trouble | None = None
        self._inflate = zlib.decompressobj(wbits=31)

    def _unpack_to(self, position: int) -> None:
        while self._out < position and self._trouble is None:
            if not self._raw:
                self._raw = os.pread(self._descriptor, _IN_BYTES, self._taken)
                self._taken += len(self._raw)
                self._at_end = not self._raw
            if not self._raw or not self._inflate_some():
                return

    def _inflate_some(self) -> bool:
        """Unpack one piece of what was read; False where that needs more of the file than is there."""
        if self._member_ended:
            self._raw = self._raw.lstrip(b"\0")  # members may be padded
            if not self._raw:
                return True
            self._inflate = zlib.decompressobj(wbits=31)
            self._member_ended = False
        before = self._inflate.copy()
        try:
            data = self._inflate.decompress(self._raw, _OUT_BYTES)
        except zlib.error:
            self._take(_up_to_damage(before, self._raw))
            self._trouble = Trouble.DAMAGED
            return False
        self._raw = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        self._member_ended = self._inflate.eof
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        self._out += len(data)
        self._known = max(self._known, self._out)
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self._window += data
        surplus = len(self._window) - 2 * _BACK_BYTES
        if surplus > 0:
            del self._window[: surplus + _BACK_BYTES]
            self._window_from += surplus + _BACK_BYTES
        used = self._taken - len(self._raw)
        if self._out > MAX_UNPACKED_BYTES or (self._out > RATIO_FROM_BYTES and self._out > used * MAX_RATIO):
            self._trouble = Trouble.BOMB


def _up_to_damage(inflate: zlib._Decompress, raw: bytes) -> bytes:
    """What can be unpacked before the damage, to the byte: the same at every reading, however it was read before."""
    data = b""
    for step in (4096, 64, 1):
        try:
            while True:
                before, rest = inflate.copy(), raw
                piece = inflate.decompress(raw, step)
                raw = inflate.unconsumed_tail
                if not piece and raw == rest:
                    return data
                data += piece
        except zlib.error:
            inflate, raw = before, rest
    return data


def content_of(descriptor: int) -> Plain | Packed:
    """What the open file is to be read as; the descriptor stays its owner's. OSError where it cannot be read."""
    return Packed(descriptor) if os.pread(descriptor, 2, 0) == GZIP_MAGIC else Plain(descriptor)
