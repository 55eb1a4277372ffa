"""A request's body, within limits: how long it is, what it unpacks to, how long it may take to come."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

MAX_BODY_BYTES = 16 << 20
MAX_UNPACKED_BYTES = 32 << 20
MAX_BODY_S = 30.0
_STEP_BYTES = 256 << 10


class RefusedError(Exception):
    """The request is refused with this HTTP status; the text is for its sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Budget:
    """Bytes of all requests together that are held between their arrival and their commit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0

    def take(self, count: int) -> None:
        """RefusedError with 503 where that is more than there is: the sender tries again."""
        if self._used_bytes + count > self._limit_bytes:
            raise RefusedError(503, "too much is waiting for the store; try again")
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

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self.bytes)


async def read_body(chunks: AsyncIterator[bytes], *, gzipped: bool, share: Share) -> bytes:
    """The whole body, unpacked. RefusedError: 413 too long, 408 too slow, 400 damaged, 503 no room."""
    try:
        async with asyncio.timeout(MAX_BODY_S):
            return await (_unpacked(chunks, share) if gzipped else _plain(chunks, share))
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {MAX_BODY_S:g} s") from None


async def _plain(chunks: AsyncIterator[bytes], share: Share) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        _limit(len(body) + len(chunk), MAX_BODY_BYTES)
        share.take(len(chunk))
        body += chunk
    return bytes(body)


async def _unpacked(chunks: AsyncIterator[bytes], share: Share) -> bytes:
    """Unpacked as it comes: a bomb is refused at the limit, not after it."""
    body = bytearray()
    came_bytes = 0
    inflate = zlib.decompressobj(wbits=31)
    try:
        async for chunk in chunks:
            came_bytes += len(chunk)
            _limit(came_bytes, MAX_BODY_BYTES)
            rest = chunk
            while rest:
                if inflate.eof:  # another member
                    inflate = zlib.decompressobj(wbits=31)
                piece = inflate.decompress(rest, _STEP_BYTES)
                _limit(len(body) + len(piece), MAX_UNPACKED_BYTES)
                share.take(len(piece))
                body += piece
                rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    except zlib.error:
        raise RefusedError(400, "the body is no gzip") from None
    if came_bytes and not inflate.eof:
        raise RefusedError(400, "the gzip body ends too early")
    return bytes(body)


def _limit(size_bytes: int, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise RefusedError(413, f"more than {most_bytes >> 20} MiB; send smaller batches")
