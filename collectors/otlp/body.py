"""A request's body, within limits: how long it is, what it unpacks to, how long it may take to come."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

MAX_BODY_BYTES = 16 << 20  # as it comes
MAX_UNPACKED_BYTES = 24 << 20
MAX_RATIO = 200  # text that repeats itself packs to a hundredth at most, a bomb to a thousandth
MAX_BODY_S = 30.0
WBITS = {"gzip": 31, "deflate": 15}  # by the name of the coding; "deflate" is zlib's wrapping, as exporters send it
_SMALL_BYTES = 1 << 20  # the ratio of what is small does not matter
_MAX_MEMBERS = 1000
_STEP_BYTES = 256 << 10


class RefusedError(Exception):
    """The request is refused with this HTTP status; the text is for its sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Budget:
    """Bytes of all bodies of one address that are held until they are decoded. For one thread: the server's."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0

    def take(self, count: int) -> None:
        """RefusedError with 503 where that is more than there is: the sender tries again."""
        if self._used_bytes + count > self._limit_bytes:
            raise RefusedError(503, "too much is being received; try again")
        self._used_bytes += count

    def give_back(self, count: int) -> None:
        self._used_bytes -= count


class Share:
    """What one request holds of the budget; given back at the end of the `with`."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.bytes = 0

    def take(self, count: int) -> None:
        self._budget.take(count)
        self.bytes += count

    def give_back(self, count: int) -> None:
        self._budget.give_back(count)
        self.bytes -= count

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self.bytes)


async def read_body(chunks: AsyncIterator[bytes], *, coding: str, stated_bytes: int | None, share: Share) -> bytes:
    """The whole body, unpacked. RefusedError: 413 too long, 408 too slow, 400 damaged, 503 no room.

    `coding`: "", or a key of WBITS. `stated_bytes`: its Content-Length, if it has one.
    """
    _limit(stated_bytes or 0, MAX_BODY_BYTES)
    try:
        async with asyncio.timeout(MAX_BODY_S):
            return await (_unpacked(chunks, WBITS[coding], share) if coding else _plain(chunks, share))
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {MAX_BODY_S:g} s") from None


async def _plain(chunks: AsyncIterator[bytes], share: Share) -> bytes:
    pieces: list[bytes] = []  # of the size they came in: one growing buffer would leave holes behind, and be moved
    async for chunk in chunks:
        share.take(len(chunk))
        _limit(share.bytes, MAX_BODY_BYTES)
        pieces.append(chunk)
    return _joined(pieces, share)


async def _unpacked(chunks: AsyncIterator[bytes], wbits: int, share: Share) -> bytes:
    """Unpacked as it comes: a bomb is refused at the limit, not after it."""
    pieces: list[bytes] = []
    came_bytes, members = 0, 1
    inflate = zlib.decompressobj(wbits)
    try:
        async for chunk in chunks:
            came_bytes += len(chunk)
            _limit(came_bytes, MAX_BODY_BYTES)
            rest = chunk
            while rest:
                if inflate.eof:
                    members += 1
                    if members > _MAX_MEMBERS:
                        raise RefusedError(413, "packed in too many pieces")
                    inflate = zlib.decompressobj(wbits)
                piece = inflate.decompress(rest, _STEP_BYTES)
                rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                share.take(len(piece))
                _limit(share.bytes, MAX_UNPACKED_BYTES)
                if share.bytes > max(_SMALL_BYTES, (came_bytes - len(rest)) * MAX_RATIO):
                    raise RefusedError(413, f"it unpacks to more than {MAX_RATIO} times its size")
                pieces.append(piece)
    except zlib.error:
        raise RefusedError(400, "the body is not packed as it says") from None
    if came_bytes and not inflate.eof:
        raise RefusedError(400, "the packed body ends too early")
    return _joined(pieces, share)


def _joined(pieces: list[bytes], share: Share) -> bytes:
    size_bytes = share.bytes
    share.take(size_bytes)  # for a moment it is there twice
    body = b"".join(pieces)
    pieces.clear()
    share.give_back(size_bytes)
    return body


def _limit(size_bytes: int, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise RefusedError(413, f"more than {most_bytes >> 20} MiB; send smaller batches")
