"""Which file is this? A path is only a name, and an inode is given again as soon as it is free.

A file is known by (device, inode), by the hash of its first bytes that were read, and by the hash of the bytes
before the offset. Only bytes up to the offset are hashed, so a file that grows keeps its identity throughout.
"""

from __future__ import annotations

import enum
import hashlib
import os
import uuid
from typing import TYPE_CHECKING, NamedTuple

from store.record.batch import Source

if TYPE_CHECKING:
    from collectors.tail.content import Content

HEAD_BYTES = 4096
TAIL_BYTES = 1024
_SIGNED = 1 << 63


class FileKey(NamedTuple):
    """(device, inode), each as the signed 64-bit integer that the store can hold."""

    device: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileKey:
        return cls(_signed(stat.st_dev), _signed(stat.st_ino))


class Verdict(enum.Enum):
    """What an open file is to a source whose (device, inode) it has."""

    SAME = "same"
    SHORTER = "shorter"  # it ends before the offset: it was cut
    OTHER = "other"  # other bytes lie where ours were: written anew, or the inode was given again


def digest(data: bytes) -> bytes:
    """16 bytes of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=16).digest()


def is_sound(source: Source) -> bool:
    """False where a saved place cannot be one: the row was damaged, and the file is to be read anew."""
    lengths = (source.offset, source.head_length, source.tail_length)
    if not all(isinstance(length, int) for length in lengths) or not isinstance(source.parser_state, bytes):
        return False
    most = (source.offset, min(source.offset, HEAD_BYTES), min(source.offset, TAIL_BYTES))
    return all(0 <= length <= limit for length, limit in zip(lengths, most, strict=True))


def verdict(content: Content, source: Source) -> Verdict:
    """Compare the file with what `source` remembers. OSError where it cannot be read.

    Of a packed file only the head is compared: its reader compares the rest when it gets there.
    """
    if source.whole:
        return Verdict.SAME  # each version of a document is read whole
    if content.packed:
        head = content.pread(source.head_length, 0)
        return Verdict.SAME if digest(head) == source.head_hash else Verdict.OTHER
    if content.size() < source.offset:
        return Verdict.SHORTER
    head = content.pread(source.head_length, 0)
    tail = content.pread(source.tail_length, source.offset - source.tail_length)
    if (digest(head), digest(tail)) != (source.head_hash, source.tail_hash):
        return Verdict.OTHER
    return Verdict.SAME


def new_source(path: str, key: FileKey, size_bytes: int) -> Source:
    """A source at offset 0, with an id of its own."""
    empty = digest(b"")
    return Source(
        source_id=uuid.uuid4().hex,
        path=path,
        device=key.device,
        inode=key.inode,
        head_length=0,
        head_hash=empty,
        offset=0,
        tail_length=0,
        tail_hash=empty,
        size_bytes=size_bytes,
    )


def key_of(source: Source) -> FileKey:
    return FileKey(source.device, source.inode)


def _signed(value: int) -> int:
    return value - 2 * _SIGNED if value >= _SIGNED else value
