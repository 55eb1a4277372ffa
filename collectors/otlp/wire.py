"""Protobuf's wire format, walked without decoding it: how much a request holds, and its records one by one.

A decoder makes an object of 50 to 100 bytes of every message, and a message may be as short as two bytes. So what a
request holds is counted before it is decoded. https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_DEEPEST = 100  # as deep as the decoder goes
_MAX_VARINT_BYTES = 10

Shape = dict[int, "Shape"]
"""The fields of a message that are messages, by number; {} where nothing below them is asked for."""


class WireError(ValueError):
    """These bytes are no protobuf."""


class TooManyError(ValueError):
    """More messages than were allowed."""


def count(data: bytes, shape: Shape, most: int) -> int:
    """How many messages there are by `shape`, all levels together. TooManyError past `most`, WireError."""
    return most - _count(data, 0, len(data), shape, most, 0)


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content) of each field that has a length, in order. WireError."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at, end)
        if tag & 7 == LENGTH:
            length, at = _varint(data, at, end)
            if length > end - at:
                raise WireError("a field is longer than its message")
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            at = _after(data, at, end, tag & 7)


def _count(data: bytes, at: int, end: int, shape: Shape, left: int, depth: int) -> int:
    """What is left of `left` after data[at:end]."""
    if depth > _DEEPEST:
        raise WireError("nested too deeply")
    while at < end:
        tag = data[at]
        at += 1
        if tag > 0x7F:
            tag, at = _varint(data, at - 1, end)
        if tag & 7 != LENGTH:
            at = _after(data, at, end, tag & 7)
            continue
        if at >= end:
            raise WireError("it ends within a field")
        length = data[at]
        at += 1
        if length > 0x7F:
            length, at = _varint(data, at - 1, end)
        if length > end - at:
            raise WireError("a field is longer than its message")
        inner = shape.get(tag >> 3)
        if inner is not None:
            left -= 1
            if left < 0:
                raise TooManyError
            if inner and length:
                left = _count(data, at, at + length, inner, left, depth + 1)
        at += length
    return left


def _after(data: bytes, at: int, end: int, kind: int) -> int:
    """Where a field without a length ends."""
    if kind == VARINT:
        return _varint(data, at, end)[1]
    at += {FIXED64: 8, FIXED32: 4}.get(kind, end)
    if at > end:
        raise WireError("it ends within a field, or holds one of an unknown type")
    return at


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, where it ends)."""
    value = 0
    for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
        if at >= end:
            raise WireError("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WireError("a number of more than ten bytes")
