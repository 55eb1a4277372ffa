"""A zip file in which every byte is accounted for: names, sizes and packed data decide it, nothing is left free.

Ordinary zip tools open it. It is written and checked by hand, because what the usual libraries skip over (dates,
flags, attributes, comments, bytes between members, spare bits of a compressed stream) is where one changed byte
would go unseen. The packed data of a member is hashed too, so that a check never has to compress anything
and does not depend on a version of zlib.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

LARGEST_FILE_BYTES = 2 * 1024**3
LARGEST_MEMBER_BYTES = 1024**3
MOST_MEMBERS = 64
MOST_BYTES_UNPACKED = 2 * 1024**3
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}\.[a-z0-9]{1,10}")

_STORED, _DEFLATED = 0, 8
_DATE, _TIME = 0x0021, 0  # 1980-01-01 00:00, the earliest a zip can say: a bundle's times are in its manifest
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_MODE = 0o100600 << 16
_CHUNK = 1 << 20


class ContainerError(Exception):
    """The file is not a container of ours, or not the one that was written; the message says where."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One member as the container holds it. `crc` is of the content; the digests are hex sha256."""

    name: str
    method: int
    crc: int
    size_bytes: int
    sha256: str
    packed_bytes: int
    packed_sha256: str

    def local_header(self) -> bytes:
        name = self.name.encode("ascii")
        return (
            _LOCAL.pack(b"PK\x03\x04", 20, 0, self.method, _TIME, _DATE, self.crc, self.packed_bytes, self.size_bytes,
                        len(name), 0)
            + name
        )  # fmt: skip

    def central_entry(self, offset: int) -> bytes:
        name = self.name.encode("ascii")
        return (
            _CENTRAL.pack(b"PK\x01\x02", 20, 3, 20, 0, 0, self.method, _TIME, _DATE, self.crc, self.packed_bytes,
                          self.size_bytes, len(name), 0, 0, 0, 0, _MODE, offset)
            + name
        )  # fmt: skip


class ContainerWriter:
    """Adds members to `file`, which is empty and writable, and ends it with the directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.members: list[Packed] = []

    def add(self, name: str, content: Iterable[bytes], *, packed: bool = True) -> Packed:
        """Write one member, packed as it comes. ContainerError where it grows too large."""
        if not NAME.fullmatch(name):
            raise ContainerError(f"{name!r} is no name for a member")
        start = self._file.tell()
        header_bytes = len(self._member(name, packed, 0, 0, "", 0, "").local_header())
        self._file.write(b"\0" * header_bytes)
        plain, wrapped = hashlib.sha256(), hashlib.sha256()
        crc = size = packed_size = 0
        pack = zlib.compressobj(6, zlib.DEFLATED, -15) if packed else None
        for chunk in content:
            plain.update(chunk)
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            if size > LARGEST_MEMBER_BYTES:
                raise ContainerError(f"{name} grows past {LARGEST_MEMBER_BYTES} bytes: name a smaller scope")
            data = chunk if pack is None else pack.compress(chunk)
            wrapped.update(data)
            packed_size += self._file.write(data)
        if pack is not None:
            data = pack.flush()
            wrapped.update(data)
            packed_size += self._file.write(data)
        member = self._member(name, packed, crc, size, plain.hexdigest(), packed_size, wrapped.hexdigest())
        self._file.seek(start)
        self._file.write(member.local_header())
        self._file.seek(0, 2)
        self.members.append(member)
        return member

    def finish(self) -> None:
        self._file.write(directory(self.members))

    @staticmethod
    def _member(
        name: str, packed: bool, crc: int, size: int, sha256: str, packed_size: int, packed_sha256: str
    ) -> Packed:
        method = _DEFLATED if packed else _STORED
        return Packed(name, method, crc, size, sha256, packed_size, packed_sha256)


def directory(members: Iterable[Packed]) -> bytes:
    """The central directory and the end record, which follow from the members alone."""
    entries = b""
    offset = count = 0
    for member in members:
        entries += member.central_entry(offset)
        offset += len(member.local_header()) + member.packed_bytes
        count += 1
    return entries + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(entries), offset, 0)


@dataclass(frozen=True, slots=True)
class Found:
    """A member as its local header says; nothing of it is believed yet."""

    name: str
    method: int
    crc: int
    size_bytes: int
    packed_bytes: int
    data_offset: int


def read_members(file: BinaryIO, size: int) -> list[Found]:
    """The members from the front of the file. ContainerError for anything a writer of ours would not write."""
    found: list[Found] = []
    total = 0
    offset = 0
    while True:
        file.seek(offset)
        head = file.read(_LOCAL.size)
        if head[:4] == b"PK\x01\x02" and found:
            return found
        if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
            raise ContainerError(f"at byte {offset}: no member of a bundle starts here")
        _, version, flags, method, time, date, crc, packed_bytes, size_bytes, name_length, extra = _LOCAL.unpack(head)
        if (version, flags, time, date, extra) != (20, 0, _TIME, _DATE, 0) or method not in {_STORED, _DEFLATED}:
            raise ContainerError(f"at byte {offset}: the header of a member was changed or is not ours")
        name = _name(file.read(name_length), offset)
        if any(member.name == name for member in found):
            raise ContainerError(f"{name} is there twice")
        data_offset = offset + _LOCAL.size + name_length
        total += size_bytes
        if len(found) >= MOST_MEMBERS or size_bytes > LARGEST_MEMBER_BYTES or total > MOST_BYTES_UNPACKED:
            raise ContainerError(f"{name}: it would unpack to more than a bundle may hold")
        if data_offset + packed_bytes > size:
            raise ContainerError(f"{name}: it is cut off")
        found.append(Found(name, method, crc, size_bytes, packed_bytes, data_offset))
        offset = data_offset + packed_bytes


def _name(raw: bytes, offset: int) -> str:
    text = raw.decode("ascii", "replace")
    if not NAME.fullmatch(text):
        raise ContainerError(f"at byte {offset}: {ascii(text)[:80]} is no name of a member of a bundle")
    return text


def packed_chunks(file: BinaryIO, member: Found) -> Iterator[bytes]:
    """The bytes of a member as they lie in the file."""
    file.seek(member.data_offset)
    left = member.packed_bytes
    while left and (chunk := file.read(min(_CHUNK, left))):
        left -= len(chunk)
        yield chunk


def content_chunks(file: BinaryIO, member: Found) -> Iterator[bytes]:
    """The content of a member, never more than it says. ContainerError where it is another length."""
    produced = 0
    unpack = None if member.method == _STORED else zlib.decompressobj(-15)
    for chunk in packed_chunks(file, member):
        pending = chunk
        while pending:
            if unpack is None:
                data, pending = pending, b""
            else:
                try:
                    data = unpack.decompress(pending, _CHUNK)
                except zlib.error:
                    raise ContainerError(f"{member.name}: its packed data is damaged") from None
                pending = unpack.unconsumed_tail
                if unpack.unused_data:
                    raise ContainerError(f"{member.name}: bytes follow its packed data")
            produced += len(data)
            if produced > member.size_bytes:
                raise ContainerError(f"{member.name}: it unpacks to more than it says")
            yield data
    if unpack is not None and not unpack.eof:
        data = unpack.flush()  # at most the rest of one match
        produced += len(data)
        yield data
        if not unpack.eof:
            raise ContainerError(f"{member.name}: its packed data is cut off")
    if produced != member.size_bytes:
        raise ContainerError(f"{member.name}: it unpacks to {produced} bytes, not to {member.size_bytes}")


def hashed(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
