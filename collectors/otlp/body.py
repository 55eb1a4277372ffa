"""A request's body, within limits: how long it is, what it unpacks to, how long it may take to come."""

from __future__ import annotations

import asyncio
import mmap
import zlib
from collections.abc import AsyncIterator

MAX_BODY_BYTES = 16 << 20  # as it comes
MAX_UNPACKED_BYTES = 24 << 20
MAX_RATIO = 200  # text that repeats itself packs to a hundredth at most, a bomb to a thousandth
MAX_BODY_S = 30.0
WBITS = {"gzip": 31, "deflate": 15}  # by the name of the coding; "deflate" is zlib's wrapping, as exporters send it
_SMALL_BYTES = 1 << 20  # of what is so small neither ratio nor place matters
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


class Held:
    """The body of one request, within the budget; given back at the end of the `with`.

    Past a MiB it lies in pages of its own, which the system has back at once: malloc would keep them.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._small = bytearray()
        self._pages: mmap.mmap | None = None
        self.size_bytes = 0

    def add(self, piece: bytes, most_bytes: int) -> None:
        """RefusedError: 413 past `most_bytes`, the same at each call; 503 where there is no room."""
        limit(self.size_bytes + len(piece), most_bytes)
        self._budget.take(len(piece))
        self.size_bytes += len(piece)
        if self._pages is None and self.size_bytes > _SMALL_BYTES:
            try:
                self._pages = mmap.mmap(-1, most_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError:
                raise RefusedError(503, "there is no memory; try again") from None
            self._pages.write(self._small)
            self._small = bytearray()
        if self._pages is not None:
            self._pages.write(piece)
        else:
            self._small += piece

    def value(self) -> bytes:
        """A copy."""
        return self._pages[: self.size_bytes] if self._pages is not None else bytes(self._small)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self.size_bytes)
        if self._pages is not None:
            self._pages.close()


async def read_body(chunks: AsyncIterator[bytes], *, coding: str, stated_bytes: int | None, held: Held) -> None:
    """Read it whole, unpacked, into `held`. RefusedError: 413 too long, 408 too slow, 400 damaged, 503 no room.

    `coding`: "", or a key of WBITS. `stated_bytes`: its Content-Length, if it has one.
    """
    limit(stated_bytes or 0, MAX_BODY_BYTES)
    try:
        async with asyncio.timeout(MAX_BODY_S):
            if coding:
                await _unpack(chunks, WBITS[coding], held)
            else:
                async for chunk in chunks:
                    held.add(chunk, MAX_BODY_BYTES)
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {MAX_BODY_S:g} s") from None


async def _unpack(chunks: AsyncIterator[bytes], wbits: int, held: Held) -> None:
    """Unpacked as it comes: a bomb is refused at the limit, not after it."""
    came_bytes, members = 0, 1
    inflate = zlib.decompressobj(wbits)
    try:
        async for chunk in chunks:
            came_bytes += len(chunk)
            limit(came_bytes, MAX_BODY_BYTES)
            rest = chunk
            while rest:
                if inflate.eof:
                    members += 1
                    if members > _MAX_MEMBERS:
                        raise RefusedError(413, "packed in too many pieces")
                    inflate = zlib.decompressobj(wbits)
                piece = inflate.decompress(rest, _STEP_BYTES)
                rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                size_bytes = held.size_bytes + len(piece)
                if size_bytes > max(_SMALL_BYTES, (came_bytes - len(rest)) * MAX_RATIO):
                    raise RefusedError(413, f"it unpacks to more than {MAX_RATIO} times its size")
                held.add(piece, MAX_UNPACKED_BYTES)
    except zlib.error:
        raise RefusedError(400, "the body is not packed as it says") from None
    if came_bytes and not inflate.eof:
        raise RefusedError(400, "the packed body ends too early")


def limit(size_bytes: int, most_bytes: int) -> None:
    """RefusedError with 413 past it."""
    if size_bytes > most_bytes:
        raise RefusedError(413, f"more than {most_bytes >> 20} MiB; send smaller batches")
