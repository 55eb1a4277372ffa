"""Arguments, results and prompts: redacted text, compressed in blocks, apart from what is filtered and summed."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b

import msgspec
import zstandard

from store.record.merge import Part, Parts
from store.record.span import Span

BLOCK_PARTS = 256
BLOCK_BYTES = 262_144

_encode = msgspec.msgpack.Encoder().encode
_decode_refs = msgspec.msgpack.Decoder(dict[str, tuple[int, int, bytes, int, int]]).decode
_decode_texts = msgspec.msgpack.Decoder(list[str]).decode


def refs_of(span: Span) -> Parts:
    """The parts of one version, not stored yet. The digest is 8 bytes of BLAKE2b over the text."""
    ended_ns = -1 if span.ended_ns is None else span.ended_ns
    rank = int(span.rank)
    return {
        name: Part(rank, ended_ns, blake2b(text.encode(), digest_size=8).digest(), text)
        for name, text in span.parts.items()
    }


def load_parts(blob: bytes | None) -> Parts:
    """The parts of a stored row: where they lie, without their text."""
    if blob is None:
        return {}
    return {name: Part(ref[0], ref[1], ref[2], None, ref[3], ref[4]) for name, ref in _decode_refs(blob).items()}


def store_refs(parts: Parts) -> bytes | None:
    """The row's `parts` column: by name, so that equal parts are equal bytes."""
    if not parts:
        return None
    return _encode(
        {
            name: (part.rank, part.ended_ns, part.digest, part.block, part.position)
            for name, part in sorted(parts.items())
        }
    )


class BlockWriter:
    """Writes the texts of a batch as few blocks, each small enough that one part is cheap to read."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=3)

    def store(self, connection: sqlite3.Connection, rows: list[Parts]) -> list[Parts]:
        """The same parts with every text stored; inside the caller's transaction."""
        pending: list[str] = []
        size = 0
        block = connection.execute("SELECT coalesce(max(block), 0) + 1 FROM payload").fetchone()[0]
        blocks: list[tuple[int, bytes]] = []
        stored: list[Parts] = []
        for parts in rows:
            placed: Parts = {}
            for name, part in parts.items():
                if part.text is None:
                    placed[name] = part
                    continue
                placed[name] = part._replace(text=None, block=block, position=len(pending))
                pending.append(part.text)
                size += len(part.text)
                if len(pending) >= BLOCK_PARTS or size >= BLOCK_BYTES:
                    blocks.append((block, self._pack(pending)))
                    pending, size, block = [], 0, block + 1
            stored.append(placed)
        if pending:
            blocks.append((block, self._pack(pending)))
        connection.executemany("INSERT INTO payload (block, data) VALUES (?, ?)", blocks)
        return stored

    def _pack(self, texts: list[str]) -> bytes:
        return self._compressor.compress(_encode(texts))


def read_block(connection: sqlite3.Connection, block: int) -> list[str] | None:
    """Every text of one block; None where it is gone (pruned)."""
    rows = connection.execute("SELECT data FROM payload WHERE block = ?", (block,)).fetchall()
    return _decode_texts(zstandard.ZstdDecompressor().decompress(rows[0][0])) if rows else None


def read_part(connection: sqlite3.Connection, part: Part) -> str | None:
    """The text of one stored part; None where its block is gone (pruned)."""
    texts = read_block(connection, part.block)
    return texts[part.position] if texts is not None and part.position < len(texts) else None
