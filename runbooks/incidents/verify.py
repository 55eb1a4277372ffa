"""Is a bundle, byte for byte, the one that was written? Nothing is unpacked to disk to find out."""

from __future__ import annotations

import json
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from runbooks.incidents.container import (
    LARGEST_FILE_BYTES,
    ContainerError,
    Found,
    Packed,
    content_chunks,
    directory,
    hashed,
    packed_chunks,
    read_members,
)
from runbooks.incidents.manifest import LARGEST_MANIFEST_BYTES, MANIFEST, SUM, Manifest, Member, sum_line


@dataclass(frozen=True, slots=True)
class Verification:
    """`problems` says in plain words what is wrong, first things first; it is empty exactly where `ok`.

    `manifest_sha256` is the bundle's identity: compare it with the one printed at export to notice a bundle
    that was made anew as a whole.
    """

    ok: bool
    problems: tuple[str, ...]
    members: tuple[str, ...] = ()
    manifest_sha256: str | None = None
    manifest: Manifest | None = None


def verify_bundle(path: Path) -> Verification:
    """Check every byte of the file. Never raises for what is in it, nor where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return _bad(f"{str(path)!r} cannot be opened: {getattr(error, 'strerror', None) or error}")
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        return _bad(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if found.st_size > LARGEST_FILE_BYTES:
            return _bad(f"{path} is larger than a bundle can be ({LARGEST_FILE_BYTES >> 30} GiB)")
        try:
            return verify_file(file, found.st_size)
        except OSError as error:
            return _bad(f"{path} cannot be read: {error.strerror}")


def verify_file(file: BinaryIO, size: int) -> Verification:
    """The same of an open file of `size` bytes. OSError where reading fails."""
    try:
        found = read_members(file, size)
        names = tuple(member.name for member in found)
        if len(found) < 3 or names[-2:] != (MANIFEST, SUM):
            return _bad(f"it does not end with {MANIFEST} and {SUM}: this is no bundle of Andon", names)
        manifest, sha256 = _manifest(file, found[-2], found[-1])
        packed = _members(file, found[:-2], manifest)
        packed += [_as_found(file, member) for member in found[-2:]]
        _tail(file, packed, size)
    except (ContainerError, zlib.error) as error:
        return _bad(str(error))
    return Verification(ok=True, problems=(), members=names, manifest_sha256=sha256, manifest=manifest)


def _bad(problem: str, names: tuple[str, ...] = ()) -> Verification:
    return Verification(ok=False, problems=(problem,), members=names)


def _manifest(file: BinaryIO, manifest: Found, line: Found) -> tuple[Manifest, str]:
    for member in (manifest, line):
        if member.method != 0 or member.size_bytes > LARGEST_MANIFEST_BYTES:
            raise ContainerError(f"{member.name} is packed or too large")
    data = b"".join(content_chunks(file, manifest))
    sha256 = hashed([data])
    if b"".join(content_chunks(file, line)) != sum_line(sha256):
        raise ContainerError(f"{MANIFEST} is not the one that {SUM} is the sum of: one of the two was changed")
    try:
        return Manifest.model_validate(json.loads(data)), sha256
    except (ValidationError, ValueError, RecursionError):
        raise ContainerError(f"{MANIFEST} is not one that this Andon can read") from None


def _members(file: BinaryIO, found: list[Found], manifest: Manifest) -> list[Packed]:
    """Each member as the manifest has it; any difference is a problem that names the member."""
    if [member.name for member in found] != [member.name for member in manifest.members]:
        raise ContainerError(f"the members are not the ones that {MANIFEST} lists")
    packed = []
    for member, listed in zip(found, manifest.members, strict=True):
        if (member.size_bytes, member.packed_bytes) != (listed.size_bytes, listed.packed_bytes):
            raise ContainerError(f"{member.name} is not as long as {MANIFEST} says")
        if hashed(packed_chunks(file, member)) != listed.packed_sha256:
            raise ContainerError(f"{member.name} was changed")
        own = _as_found(file, member)
        if (own.sha256, own.crc) != (listed.sha256, member.crc):
            raise ContainerError(f"{member.name} does not unpack to what was packed")
        packed.append(own)
    return packed


def _as_found(file: BinaryIO, member: Found) -> Packed:
    """The member with its sums as they are; its checksum must be the one its header gives."""
    crc = 0
    for chunk in content_chunks(file, member):
        crc = zlib.crc32(chunk, crc)
    if crc != member.crc:
        raise ContainerError(f"{member.name}: its checksum does not hold")
    listed = Member(
        name=member.name,
        size_bytes=member.size_bytes,
        sha256=hashed(content_chunks(file, member)),
        packed_bytes=member.packed_bytes,
        packed_sha256=hashed(packed_chunks(file, member)),
    )
    return Packed(
        listed.name, member.method, crc, listed.size_bytes, listed.sha256, listed.packed_bytes, listed.packed_sha256
    )


def _tail(file: BinaryIO, packed: list[Packed], size: int) -> None:
    """After the last member comes the directory that follows from the members, and nothing else."""
    start = sum(len(member.local_header()) + member.packed_bytes for member in packed)
    expected = directory(packed)
    if size - start != len(expected):
        raise ContainerError("bytes were added to or cut off the end of the file")
    file.seek(start)
    if file.read(len(expected)) != expected:
        raise ContainerError("the directory at the end of the file was changed")
