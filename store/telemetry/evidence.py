"""Every stored span of a scope with its redacted payload, for a bundle: complete, in time order, in short reads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from store.folder import StoreFolder
from store.record.merge import Part
from store.record.scope import Scope
from store.record.span import COLUMNS, Span
from store.record.window import Window
from store.telemetry.effects import scope_condition
from store.telemetry.payload import load_parts, read_block
from store.telemetry.schema import open_telemetry_reader

MOST_SPANS = 200_000
_CHUNK = 500
_BLOCKS_KEPT = 64
_AT = "coalesce(started_ns, ended_ns, 0)"


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it is now, and the names of the parts that retention has taken away."""

    span: Span
    pruned: tuple[str, ...]


class Evidence:
    """A read-only connection of its own, for one thread. StoreError where there is no store.

    Holds what started (or, without a start, ended) at or before `as_of_ns`, inside `window` if there is one; a
    span that ended later than that is given with its end. Past MOST_SPANS the newest are taken.
    """

    def __init__(self, folder: StoreFolder, scope: Scope, as_of_ns: int, window: Window | None = None) -> None:
        self._connection = open_telemetry_reader(folder).connection
        self._blocks: OrderedDict[int, list[str] | None] = OrderedDict()
        condition, values = scope_condition(scope)
        bounds: list[Any] = [*values, as_of_ns]
        where = f"{condition} AND {_AT} <= ?"
        if window is not None:
            where += f" AND {_AT} >= ? AND {_AT} < ?"
            bounds += [window.from_ns, window.to_ns]
        self.total = int(self._connection.execute(f"SELECT count(*) FROM span WHERE {where}", bounds).fetchall()[0][0])
        rows = self._connection.execute(
            f"SELECT no FROM span WHERE {where} ORDER BY {_AT} DESC, namespace DESC, span_id DESC LIMIT ?",
            [*bounds, MOST_SPANS],
        ).fetchall()
        self._numbers = [int(row[0]) for row in reversed(rows)]

    def __enter__(self) -> Evidence:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def left_out(self) -> int:
        """How many spans of the scope are older than the ones that are given."""
        return self.total - len(self._numbers)

    def __iter__(self) -> Iterator[Stored]:
        columns = ", ".join(COLUMNS)
        for start in range(0, len(self._numbers), _CHUNK):
            numbers = self._numbers[start : start + _CHUNK]
            marks = ", ".join("?" * len(numbers))
            rows = self._connection.execute(
                f"SELECT no, {columns}, block, parts FROM span WHERE no IN ({marks})", numbers
            ).fetchall()
            by_number = {row[0]: row for row in rows}
            for number in numbers:
                if number in by_number:  # else it was pruned since
                    yield self._stored(by_number[number])

    def _stored(self, row: tuple[Any, ...]) -> Stored:
        span = Span(**dict(zip(COLUMNS, row[1:-2], strict=True)))
        texts = {
            name: self._text(part) for name, part in load_parts(row[-1], span.rank, span.ended_ns, row[-2]).items()
        }
        parts = {name: text for name, text in texts.items() if text is not None}
        pruned = tuple(name for name, text in texts.items() if text is None)
        return Stored(msgspec.structs.replace(span, parts=parts), pruned)

    def _text(self, part: Part) -> str | None:
        """Neighbours in time lie in the same block, so a few blocks kept open make each be unpacked about once."""
        if part.block in self._blocks:
            self._blocks.move_to_end(part.block)
        else:
            self._blocks[part.block] = read_block(self._connection, part.block)
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        texts = self._blocks[part.block]
        return texts[part.position] if texts is not None and part.position < len(texts) else None
