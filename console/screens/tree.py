"""A session's spans as rows, made only when a row is looked at. No Textual here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from console.widgets.figures import duration, usd
from console.widgets.rows import Cell, Column, Row
from store.telemetry.views import SpanRow, Trace

UNFOLDED_UP_TO = 2_000  # more spans than this: only the first two levels are open at first
KINDS = {"side_effect": "⚑ effect"}


COLUMNS = (
    Column("step", 0, weight=3),
    Column("", 0, weight=2, gap=2, since=72),
    Column("took", 8, right=True),
    Column("$", 7, right=True, since=48),
    Column("", 11, gap=2, since=56),
)


def key_of(span: SpanRow) -> str:
    return f"{span.namespace}\x00{span.span_id}"


class TreeRows(Sequence[Row]):
    """The rows of the spans that are not folded away; a row is built when it is asked for."""

    def __init__(self, trace: Trace, folded: frozenset[str], as_of_ns: int) -> None:
        self._spans = trace.spans
        self._folded = folded
        self._as_of_ns = as_of_ns
        starts = [span.started_ns for span in trace.spans if span.started_ns is not None]
        ends = [span.ended_ns for span in trace.spans if span.ended_ns is not None]
        self._from_ns = min(starts, default=0)
        running = any(span.status == "running" for span in trace.spans)
        self._to_ns = max([*ends, as_of_ns if running else 0], default=0)
        self._shown = _shown(trace.spans, folded)
        self._places = {key_of(self._spans[index]): place for place, index in enumerate(self._shown)}

    def __len__(self) -> int:
        return len(self._shown)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self._row(self._spans[place]) for place in self._shown[index]]
        return self._row(self._spans[self._shown[index]])

    def place_of(self, key: str) -> int | None:
        """The place of the row with this key, without building rows."""
        return self._places.get(key)

    def span(self, key: str) -> SpanRow | None:
        place = self._places.get(key)
        return None if place is None else self._spans[self._shown[place]]

    def _row(self, span: SpanRow) -> Row:
        key = key_of(span)
        mark = "·" if not span.children else "▸" if key in self._folded else "▾"
        kind = KINDS.get(span.kind, span.kind)
        name = span.tool or span.name or span.model or ""
        if span.kind in {"run", "reasoning"}:
            name = span.name or ""
        effect = f" ⚑ {span.effect_system}" if span.effect_system and span.kind != "side_effect" else ""
        if span.kind == "side_effect":
            name = f"{span.effect_system or '?'} {span.name or ''}"
        indent = "  " * min(span.depth, 12)
        took = duration(span.duration_ns)
        if span.status == "running" and span.started_ns is not None:
            took = duration(max(0, self._as_of_ns - span.started_ns)) + "…"
        word, tone = _word(span)
        return Row(
            key,
            (
                Cell(f"{indent}{mark} {kind} {name}{effect}"),
                Cell("", "warn" if tone == "bad" else "", self._stretch_of(span)),
                Cell(took),
                Cell(usd(span.cost_nano)),
                Cell(word, tone),
            ),
        )

    def _stretch_of(self, span: SpanRow) -> tuple[float, float] | None:
        """Where on the session's time the span lies, as parts of it."""
        whole = self._to_ns - self._from_ns
        if span.started_ns is None or whole <= 0:
            return None
        end_ns = span.ended_ns if span.ended_ns is not None else self._to_ns
        return (span.started_ns - self._from_ns) / whole, (end_ns - self._from_ns) / whole


def _word(span: SpanRow) -> tuple[str, str]:
    """What is said at the right of a span: nothing where all is well."""
    if span.status == "ok":
        return (span.effect_status or "", "") if span.kind == "side_effect" else ("", "")
    if span.status == "unknown":
        return "? unknown", "warn"
    if span.status == "running":
        return "● running", ""
    return f"✖ {span.status}", "bad"


def _shown(spans: Sequence[SpanRow], folded: frozenset[str]) -> list[int]:
    """Indexes of the spans under no folded span; they come in depth-first order."""
    shown: list[int] = []
    hidden_below: int | None = None
    for index, span in enumerate(spans):
        if hidden_below is not None and span.depth > hidden_below:
            continue
        hidden_below = span.depth if folded and key_of(span) in folded else None
        shown.append(index)
    return shown


def folded_at_first(trace: Trace) -> frozenset[str]:
    """Nothing, unless the session is large."""
    if len(trace.spans) <= UNFOLDED_UP_TO:
        return frozenset()
    return frozenset(key_of(span) for span in trace.spans if span.children and span.depth >= 1)
