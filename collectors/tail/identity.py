"""Which file is this? A path is only a name, and an inode is given again as soon as it is free.

A file is known by (device, inode), by the hash of its first bytes that were read, and by the hash of the bytes
before the offset. Only bytes up to the offset are hashed, so a file that grows keeps its identity throughout.
"""

from __future__ import annotations

import enum
import hashlib
import os
import uuid
from typing import NamedTuple

from store.record.batch import Source

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


def verdict(descriptor: int, size_bytes: int, source: Source) -> Verdict:
    """Compare the file with what `source` remembers. OSError where it cannot be read."""
    if size_bytes < source.offset:
        return Verdict.SHORTER
    head = os.pread(descriptor, source.head_length, 0)
    tail = os.pread(descriptor, source.tail_length, source.offset - source.tail_length)
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
