"""Arguments, results and prompts: redacted text, compressed in blocks, apart from what is filtered and summed."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from typing import Any

import msgspec
import zstandard

from store.record.merge import Part, Parts
from store.record.span import Span

BLOCK_PARTS = 256
BLOCK_BYTES = 262_144
LEVEL = 3

# A stored part says only what its row does not: (position, digest), (rank, ended_ns, digest, position) where it is of
# another version than the row's measures, (rank, ended_ns, digest, block, position) where it lies in another block.
Ref = tuple[int, bytes] | tuple[int, int, bytes, int] | tuple[int, int, bytes, int, int]
_NAMES = ("input", "output", "call_id", "extra", "error_message", "effects")  # stored as their place here; only append
_CODES = {name: code for code, name in enumerate(_NAMES)}
_encode = msgspec.msgpack.Encoder().encode
_decode_refs = msgspec.msgpack.Decoder(dict[str | int, tuple[Any, ...]]).decode
_decode_texts = msgspec.msgpack.Decoder(list[str]).decode


def refs_of(span: Span) -> Parts:
    """The parts of one version, not stored yet. The digest is 8 bytes of BLAKE2b over the text."""
    ended_ns = -1 if span.ended_ns is None else span.ended_ns
    rank = int(span.rank)
    return {
        name: Part(rank, ended_ns, blake2b(text.encode(), digest_size=8).digest(), text)
        for name, text in span.parts.items()
    }


def load_parts(blob: bytes | None, rank: int, ended_ns: int | None, block: int | None) -> Parts:
    """The parts of a stored row, whose own rank, end and block are given: where they lie, without their text."""
    if blob is None:
        return {}
    own_end, own_block = -1 if ended_ns is None else ended_ns, block or 0
    parts: Parts = {}
    for name, ref in _refs(blob):
        if len(ref) == 2:
            parts[name] = Part(rank, own_end, ref[1], None, own_block, ref[0])
        else:
            parts[name] = Part(ref[0], ref[1], ref[2], None, ref[3] if len(ref) == 5 else own_block, ref[-1])
    return parts


def part_names(blob: bytes | None) -> tuple[str, ...]:
    """The names of a stored row's parts, in order."""
    return tuple(sorted(name for name, _ in _refs(blob))) if blob is not None else ()


def _refs(blob: bytes) -> list[tuple[str, tuple[Any, ...]]]:
    return [(name if isinstance(name, str) else _NAMES[name], ref) for name, ref in _decode_refs(blob).items()]


def store_refs(parts: Parts, rank: int, ended_ns: int | None) -> tuple[int | None, bytes | None]:
    """The row's columns `block` and `parts`; by name, so that equal parts are equal bytes.

    `block` is the newest that the row has a part in.
    """
    if not parts:
        return None, None
    own_end = -1 if ended_ns is None else ended_ns
    own_block = max(part.block for part in parts.values())
    refs: dict[str | int, Ref] = {}
    for plain, part in sorted(parts.items()):
        name = _CODES.get(plain, plain)
        if part.block != own_block:
            refs[name] = (part.rank, part.ended_ns, part.digest, part.block, part.position)
        elif part.rank == rank and part.ended_ns == own_end:
            refs[name] = (part.position, part.digest)
        else:
            refs[name] = (part.rank, part.ended_ns, part.digest, part.position)
    return own_block, _encode(refs)


class Blocks:
    """The texts of a batch as few blocks, each small enough that one part is cheap to read; numbered from `first`."""

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self._pending: list[str] = []
        self._size = 0
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self.packed: list[bytes] = []

    def place(self, parts: Parts) -> Parts:
        """The same parts, with every text that is not stored yet in a block. The parts of a row share one."""
        block = self.first + len(self.packed)
        placed: Parts = {}
        for name, part in parts.items():
            if part.text is None:
                placed[name] = part
                continue
            placed[name] = Part(part.rank, part.ended_ns, part.digest, None, block, len(self._pending))
            self._pending.append(part.text)
            self._size += len(part.text)
        if len(self._pending) >= BLOCK_PARTS or self._size >= BLOCK_BYTES:
            self.end()
        return placed

    def end(self) -> None:
        """Pack what is pending."""
        if self._pending:
            self.packed.append(self._compressor.compress(_encode(self._pending)))
            self._pending, self._size = [], 0


def unpacked(data: bytes) -> list[str]:
    """The texts of one block."""
    return _decode_texts(zstandard.ZstdDecompressor().decompress(data))


def next_block(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT coalesce(max(block), 0) + 1 FROM payload").fetchone()[0]
    return number


def insert_blocks(connection: sqlite3.Connection, first: int, blocks: list[bytes]) -> None:
    """Inside the caller's transaction."""
    connection.executemany("INSERT INTO payload (block, data) VALUES (?, ?)", enumerate(blocks, first))


def read_block(connection: sqlite3.Connection, block: int) -> list[str] | None:
    """Every text of one block; None where it is gone (pruned)."""
    rows = connection.execute("SELECT data FROM payload WHERE block = ?", (block,)).fetchall()
    return unpacked(rows[0][0]) if rows else None


def read_part(connection: sqlite3.Connection, part: Part) -> str | None:
    """The text of one stored part; None where its block is gone (pruned)."""
    texts = read_block(connection, part.block)
    return texts[part.position] if texts is not None and part.position < len(texts) else None
