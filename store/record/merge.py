"""Join two versions of a span into one row: the same row in any order, with any repetition.

A row is the tuple of COLUMNS. The join takes measures whole from the version with the greatest (rank, ended_ns,
content), the earliest start, and of each identity field the greatest non-null value. Each of the three is a maximum
over a total order, so the join is associative, commutative and idempotent; property tests hold it to that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from store.record.span import COLUMNS, IDENTITY, KEY, MEASURES, Span

Row = tuple[Any, ...]

_IDENTITY_FROM = len(KEY)
_STARTED = _IDENTITY_FROM + len(IDENTITY)
_MEASURES_FROM = _STARTED + 1
_RANK = _MEASURES_FROM + MEASURES.index("rank")
_ENDED = _MEASURES_FROM + MEASURES.index("ended_ns")
_encode = msgspec.msgpack.Encoder().encode

assert COLUMNS == (*KEY, *IDENTITY, "started_ns", *MEASURES)


class Part(NamedTuple):
    """One payload part of a version: `text` where it still has to be stored, else its place (block, position)."""

    rank: int
    ended_ns: int
    digest: bytes
    text: str | None = None
    block: int = 0
    position: int = 0


Parts = dict[str, Part]


def row_of(span: Span) -> Row:
    """The span's row; its parts are apart."""
    return msgspec.structs.astuple(span)[:-1]


def join(one: Row, other: Row) -> Row:
    """The row that two versions of one key come to."""
    if one == other:
        return one
    identity = tuple(
        a if b is None or (a is not None and a >= b) else b
        for a, b in zip(one[_IDENTITY_FROM:_STARTED], other[_IDENTITY_FROM:_STARTED], strict=True)
    )
    start_one, start_other = one[_STARTED], other[_STARTED]
    if start_one is None or (start_other is not None and start_other < start_one):
        start_one = start_other
    winner = one if _measure_key(one, other) else other
    return (*one[:_IDENTITY_FROM], *identity, start_one, *winner[_MEASURES_FROM:])


def join_parts(one: Parts, other: Parts) -> Parts:
    """The union of two versions' parts; of a part that both have, the greatest (rank, ended_ns, digest)."""
    if not other or one is other:
        return one
    if not one:
        return other
    merged = dict(one)
    for name, part in other.items():
        own = merged.get(name)
        if own is None or part[:3] > own[:3]:
            merged[name] = part
    return merged


def same_parts(one: Parts, other: Parts) -> bool:
    """True where the parts say the same, wherever they are stored."""
    return one.keys() == other.keys() and all(one[name][:3] == other[name][:3] for name in one)


def _measure_key(one: Row, other: Row) -> bool:
    """True where `one` gives the measures."""
    key_one = (one[_RANK], -1 if one[_ENDED] is None else one[_ENDED])
    key_other = (other[_RANK], -1 if other[_ENDED] is None else other[_ENDED])
    if key_one != key_other:
        return key_one > key_other
    return _encode(one[_MEASURES_FROM:]) >= _encode(other[_MEASURES_FROM:])
