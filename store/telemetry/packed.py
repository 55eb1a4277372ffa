"""Records of one stretch of logs, folded by key and packed so that another process can hand them to the writer.

Packing does what needs no store: fold versions by key, compress the texts, add up what the rows contribute. Rows are
grouped by which of their columns hold a value, because binding sixty mostly empty columns is what an insert costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Any, TypeVar

import msgspec

from store.record.merge import Part, Parts, Row, join, join_parts, row_of, same_parts
from store.record.span import COLUMNS, NS_PER_S, Span
from store.telemetry.mend import mended
from store.telemetry.payload import Blocks, load_parts, refs_of, store_refs, unpacked
from store.telemetry.totals import Deltas, at_ns, contribution

FUTURE_NS = 300 * NS_PER_S
Key = tuple[str, str]
Folded = dict[Key, tuple[Row, Parts]]

SPAN_COLUMNS = (*COLUMNS, "at_ns", "future", "block", "parts")
WIDTH = len(COLUMNS)
_RANK, _ENDED, _BLOCK = COLUMNS.index("rank"), COLUMNS.index("ended_ns"), WIDTH + 2

Known = TypeVar("Known")
Sum = tuple[str, str, list[int], list[Any]]


class Packed(msgspec.Struct, array_like=True):
    """New rows by pattern, their blocks numbered from 0, and what all of them add to the totals."""

    records: int
    duplicates: int  # versions that said nothing new beside the others of this stretch
    groups: dict[bytes, list[tuple[Any, ...]]]  # pattern of SPAN_COLUMNS (1: holds a value) -> the values of each row
    blocks: list[bytes]
    runs: list[Sum]  # session, run id, sums, extremes
    minutes: list[tuple[int, str, list[int]]]

    def keys(self) -> list[Key]:
        """The key of every row: its first two columns always hold a value."""
        return [values[:2] for rows in self.groups.values() for values in rows]


def fold(spans: Iterable[Span]) -> tuple[Folded, int]:
    """Versions joined by key, and how many of them said nothing new."""
    folded: Folded = {}
    duplicates = 0
    for span in spans:
        row = row_of(span)
        parts = refs_of(span) if span.parts else {}
        key = row[:2]
        own = folded.get(key)
        if own is None:
            folded[key] = (row, parts)
        elif own[0] == row and same_parts(own[1], parts):
            duplicates += 1
        else:
            folded[key] = (join(own[0], row), join_parts(own[1], parts))
    return folded, duplicates


def pack(spans: list[Span], ingest_ns: int) -> Packed:
    """Fold and pack. `ingest_ns` is the wall clock at reading; it decides only what is `future`."""
    try:
        return pack_folded(*fold(spans), len(spans), ingest_ns)
    except (UnicodeEncodeError, OverflowError, TypeError):
        # a value that SQLite or msgpack cannot hold: mend all of them once, and flag what was mended
        return pack_folded(*fold(mended(spans)), len(spans), ingest_ns)


def pack_folded(folded: Folded, duplicates: int, records: int, ingest_ns: int) -> Packed:
    """Pack rows that are all new. UnicodeEncodeError, OverflowError or TypeError for a value that cannot be stored."""
    blocks, groups = Blocks(), Groups()
    runs, minutes = Deltas(), Deltas()
    latest_allowed_ns = ingest_ns + FUTURE_NS
    for row, parts in folded.values():
        future = int((at_ns(row) or 0) > latest_allowed_ns)
        groups.add(row, future, blocks.place(parts))
        new = contribution(row, future)
        key = (new.session, new.run_id)
        runs.add(key, new.sums)
        runs.raise_extremes(key, new.extremes)
        if new.minute is not None:
            minutes.add(new.minute, new.sums)
    blocks.end()
    return Packed(
        records,
        duplicates,
        groups.rows,
        blocks.packed,
        [(*key, sums, runs.extremes[key]) for key, sums in runs.sums.items()],
        [(*key, sums) for key, sums in minutes.sums.items()],
    )


def unpack(packed: Packed) -> Folded:
    """What was packed, with every text: for rows that must be joined with stored ones."""
    texts = [unpacked(block) for block in packed.blocks]
    folded: Folded = {}
    for pattern, rows in packed.groups.items():
        for row in expanded(pattern, rows):
            parts = {
                name: msgspec.structs.replace(part, text=texts[part.block][part.position], block=0, position=0)
                for name, part in stored_parts(row).items()
            }
            folded[row[0], row[1]] = (row[:WIDTH], parts)
    return folded


def stored_parts(row: Row) -> dict[str, Part]:
    """The parts of a row of SPAN_COLUMNS."""
    return load_parts(row[-1], row[_RANK], row[_ENDED], row[_BLOCK])


def expanded(pattern: bytes, rows: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """Rows of all SPAN_COLUMNS again."""
    places = [index for index, held in enumerate(pattern) if held]
    for values in rows:
        row: list[Any] = [None] * len(pattern)
        for index, value in zip(places, values, strict=True):
            row[index] = value
        yield tuple(row)


def parted(
    groups: dict[bytes, list[tuple[Any, ...]]], first: int, before: dict[Key, Known]
) -> tuple[dict[bytes, list[tuple[Any, ...]]], list[tuple[Row, Known]]]:
    """The rows that are new, and those of SPAN_COLUMNS whose key is in `before`, each with what is there.

    Their blocks are counted from `first` on. Block and parts, where a row has any, are its last two values.
    """
    new: dict[bytes, list[tuple[Any, ...]]] = {}
    known: list[tuple[Row, Known]] = []
    for pattern, rows in groups.items():
        moved = [(*row[:-2], row[-2] + first, row[-1]) for row in rows] if pattern[-1] else rows
        if before:
            known += [(row, before[row[:2]]) for row in expanded(pattern, (r for r in moved if r[:2] in before))]
            moved = [row for row in moved if row[:2] not in before]
        if moved:
            new[pattern] = moved
    return new, known


class Groups:
    """Rows by pattern."""

    def __init__(self) -> None:
        self.rows: dict[bytes, list[tuple[Any, ...]]] = {}

    def add(self, row: Row, future: int, parts: Parts) -> None:
        block, refs = store_refs(parts, row[_RANK], row[_ENDED])
        full = (*row, at_ns(row), future, block, refs)
        pattern = bytes([value is not None for value in full])
        held = tuple(compress(full, pattern))
        own = self.rows.get(pattern)
        if own is None:
            self.rows[pattern] = [held]
        else:
            own.append(held)
