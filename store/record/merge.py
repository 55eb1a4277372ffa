"""Join two versions of a span into one row: the same row in any order, with any repetition.

A row is the tuple of COLUMNS. The join takes measures whole from the version with the greatest (rank, ended_ns,
content), the earliest start, and of each identity field the greatest non-null value. What an effect was (EFFECT) is
known to the version that has the arguments, how it ended to another: so it is taken whole from the version with the
best basis (then: that says the most, then content). Each of the four is a maximum over a total order, so the join is
associative, commutative and idempotent; property tests hold it to that.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import msgspec

from store.record.span import COLUMNS, EFFECT, EFFECT_BASES, IDENTITY, KEY, MEASURES, Span

Row = tuple[Any, ...]

_IDENTITY_FROM = len(KEY)
_STARTED = _IDENTITY_FROM + len(IDENTITY)
_MEASURES_FROM = _STARTED + 1
_RANK = _MEASURES_FROM + MEASURES.index("rank")
_ENDED = _MEASURES_FROM + MEASURES.index("ended_ns")
_EFFECT_AT = tuple(COLUMNS.index(name) for name in EFFECT)
_effect_of = itemgetter(*_EFFECT_AT)
_measures_of = itemgetter(*(at for at in range(_MEASURES_FROM, len(COLUMNS)) if at not in _EFFECT_AT))
_BASIS_ORDER = {basis: order for order, basis in enumerate(reversed(EFFECT_BASES), 1)}
_encode = msgspec.msgpack.Encoder().encode

assert COLUMNS == (*KEY, *IDENTITY, "started_ns", *MEASURES)


class Part(msgspec.Struct, frozen=True, gc=False):
    """One payload part of a version: `text` where it still has to be stored, else its place (block, position)."""

    rank: int
    ended_ns: int
    digest: bytes
    text: str | None = None
    block: int = 0
    position: int = 0

    @property
    def version(self) -> tuple[int, int, bytes]:
        """What decides between two parts of one name."""
        return self.rank, self.ended_ns, self.digest


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
    winner, loser = (one, other) if _measure_key(one, other) else (other, one)
    row = (*one[:_IDENTITY_FROM], *identity, start_one, *winner[_MEASURES_FROM:])
    effect, instead = _effect_of(winner), _effect_of(loser)
    if effect == instead or _effect_key(effect) >= _effect_key(instead):
        return row
    fields = list(row)
    for at, value in zip(_EFFECT_AT, instead, strict=True):
        fields[at] = value
    return tuple(fields)


def join_parts(one: Parts, other: Parts) -> Parts:
    """The union of two versions' parts; of a part that both have, the greatest (rank, ended_ns, digest)."""
    if not other or one is other:
        return one
    if not one:
        return other
    merged = dict(one)
    for name, part in other.items():
        own = merged.get(name)
        if own is None or part.version > own.version:
            merged[name] = part
    return merged


def same_parts(one: Parts, other: Parts) -> bool:
    """True where the parts say the same, wherever they are stored."""
    return one.keys() == other.keys() and all(one[name].version == other[name].version for name in one)


def _measure_key(one: Row, other: Row) -> bool:
    """True where `one` gives the measures."""
    key_one = (one[_RANK], -1 if one[_ENDED] is None else one[_ENDED])
    key_other = (other[_RANK], -1 if other[_ENDED] is None else other[_ENDED])
    if key_one != key_other:
        return key_one > key_other
    return _encode(_measures_of(one)) >= _encode(_measures_of(other))


def _effect_key(effect: tuple[str | None, ...]) -> tuple[int, int, bytes]:
    """A total order of what effects were, by their content alone: the best basis, the most said, then any order."""
    return _BASIS_ORDER.get(effect[-1] or "", 0), len(effect) - effect.count(None), _encode(effect)
