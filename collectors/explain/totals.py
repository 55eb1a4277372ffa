"""What a whole file comes to, and what is odd about that."""

from __future__ import annotations

from collections import Counter
from typing import Any

from collectors.explain.model import Explained, Shown
from collectors.formats.base import Line, Parsed
from collectors.formats.decode import UnreadableError, decode_value
from collectors.formats.own_mapping import OwnMapping
from collectors.formats.own_paths import MISSING
from store.record.merge import Row, join, row_of
from store.record.span import COLUMNS

_AT = {name: place for place, name in enumerate(COLUMNS)}
_TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
_SHOWN_REASONS = 20


class Count:
    """Adds up parsed lines. Versions of a span are joined, as the store would."""

    def __init__(self, mapping: OwnMapping | None) -> None:
        self._mapping = mapping
        self._rows: dict[tuple[str, str], Row] = {}
        self._there: Counter[str] = Counter()
        self._lines = self._records = 0
        self._rejected: Counter[str] = Counter()
        self._rejected_at: dict[str, int] = {}
        self._unknown: Counter[str] = Counter()

    def add(self, number: int, line: Line, parsed: Parsed) -> None:
        self._lines += 1
        self._records += len(parsed.spans)
        for span in parsed.spans:
            key, row = (span.namespace, span.span_id), row_of(span)
            before = self._rows.get(key)
            self._rows[key] = row if before is None else join(before, row)
        for bad in parsed.bad:
            self._rejected[bad.reason] += 1
            self._rejected_at.setdefault(bad.reason, number)
        self._unknown.update(parsed.unknown_types)
        if self._mapping is not None:
            self._look(line, self._mapping)

    def reject(self, number: int, reason: str) -> None:
        """A line that no parser was given."""
        self._lines += 1
        self._rejected[reason] += 1
        self._rejected_at.setdefault(reason, number)

    def into(self, out: Explained, shown: Shown) -> None:
        totals = out.totals
        rows = self._rows.values()
        totals.lines, totals.records, totals.spans = self._lines, self._records, len(rows)
        totals.sessions = len({row[_AT["session"]] for row in rows} - {None})
        moments = [row[_AT[name]] for row in rows for name in ("started_ns", "ended_ns") if row[_AT[name]] is not None]
        totals.first_ns, totals.last_ns = min(moments, default=None), max(moments, default=None)
        totals.kinds = dict(Counter(row[_AT["kind"]] or "" for row in rows).most_common())
        totals.statuses = dict(Counter(row[_AT["status"]] or "open" for row in rows).most_common())
        totals.rejected = {shown.text(why): count for why, count in self._rejected.most_common(_SHOWN_REASONS)}
        totals.rejected_at = {shown.text(why): number for why, number in self._rejected_at.items()}
        totals.unknown_types = {shown.text(name): count for name, count in self._unknown.most_common(_SHOWN_REASONS)}
        flags = Counter(flag for row in rows if row[_AT["flags"]] for flag in row[_AT["flags"]].split(","))
        totals.flags = {shown.text(name): count for name, count in flags.most_common()}
        totals.fields = {
            name: sum(1 for row in rows if row[place] is not None) for name, place in _AT.items() if name not in _OURS
        }
        totals.tokens = {name: self._sum(f"tokens_{name}") for name in _TOKENS if totals.fields[f"tokens_{name}"]}
        totals.cost_nano = self._sum("cost_nano") if totals.fields["cost_nano"] else None
        if self._mapping is not None and self._lines:
            totals.never = [
                (one.name, self._mapping.paths_of(one.name))
                for one in self._mapping.fields
                if one.paths and not self._there[one.name]
            ]
        out.hints = list(self._hints(out))

    def _sum(self, column: str) -> int:
        return sum(row[_AT[column]] or 0 for row in self._rows.values())

    def _look(self, line: Line, mapping: OwnMapping) -> None:
        try:
            value, _ = decode_value(line.data)
        except UnreadableError:
            return
        for row in value if isinstance(value, list) else [value]:
            if isinstance(row, dict) and (mapping.where is None or mapping.where.passes_over(row) is None):
                self._there.update(one.name for one in mapping.fields if one.read(row, mapping).raw is not MISSING)

    def _hints(self, out: Explained) -> list[str]:
        """What is read without a fault and is still likely wrong."""
        totals, said = out.totals, list[str]()
        rows = list(self._rows.values())
        if len(rows) >= 10 and totals.sessions == len(rows):
            said.append("every span is a session of its own: is session_id the id of a conversation?")
        spans_per_key = self._records / len(rows) if rows else 0
        if spans_per_key > 3 and self._mapping is not None and "span_id" in _names(self._mapping):
            said.append(f"{self._records:,} records are only {len(rows):,} spans: is span_id the id of a step?")
        timed = [row for row in rows if row[_AT["started_ns"]] is not None and row[_AT["ended_ns"]] is not None]
        if not timed and rows:
            said.append("no span has both its start and its end: durations will be unknown")
        elif rows and timed and self._longest_ns(timed) > 7 * 86_400 * 10**9:
            said.append("a span lasts more than a week: is duration_unit or time_format right?")
        return said

    @staticmethod
    def _longest_ns(rows: list[Row]) -> int:
        return max(int(row[_AT["ended_ns"]]) - int(row[_AT["started_ns"]]) for row in rows)


_OURS = frozenset({"namespace", "rank"})


def _names(mapping: OwnMapping) -> set[Any]:
    return {one.name for one in mapping.fields}
