"""Which value of a line a field came of, for any format: each value is changed a little, and what changes is its own.

It asks the parser itself, so it is true of every format, also of values that are joined, moved or computed. A value
whose change makes the line another one (its type, a broken time) decides what the line is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from collectors.explain.model import FieldRow, Shown, SpanRows
from collectors.formats.base import Format, Line, SourceFacts
from collectors.formats.decode import UnreadableError, canonical, decode_value, iso_ns, number_ns
from collectors.formats.own_paths import Path, leaves_of, path_text
from store.record.span import COLUMNS, Span

MAX_LEAVES = 250
MAX_TRACED_BYTES = 128 << 10
MAX_SPANS = 6
_LEFT_OUT = frozenset({"namespace", "rank", "price_ref", "effect_basis"})
_HEX = re.compile(r"[0-9a-fA-F-]{16,}")


@dataclass(slots=True)
class Traced:
    """Spans with the paths their fields came of; `unused` are paths that nothing came of."""

    spans: list[SpanRows] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def trace(form: Format, facts: SourceFacts, state: bytes, line: Line, shown: Shown) -> Traced:
    """What the line came to, `state` being the parser's before it."""
    base = form.parser(facts, state).parse([line]).spans
    try:
        row, _ = decode_value(line.data)
    except UnreadableError:
        return Traced()
    leaves = leaves_of(row, MAX_LEAVES) if len(line.data) <= MAX_TRACED_BYTES else []
    came_of: dict[tuple[int, str], list[tuple[Path, Any]]] = {}
    used: set[Path] = set()
    of_the_bytes = _changed(base, form.parser(facts, state).parse([Line(line.offset, line.data + b" ")]).spans)
    for path, value in leaves:
        if (other := _nudged(value)) is None:
            continue
        data = canonical(_with(row, path, other)).encode("utf-8", "replace")
        spans = form.parser(facts, state).parse([Line(line.offset, data)]).spans
        if len(spans) != len(base):
            used.add(path)
            spans = _matched(base, spans)
        for key in _changed(base, spans) - of_the_bytes:
            used.add(path)
            came_of.setdefault(key, []).append((path, value))
    rows = [_span_rows(number, span, came_of, shown) for number, span in enumerate(base[:MAX_SPANS])]
    unused = [
        f"{shown.text(path_text(path))} = {shown.raw(value)}"
        for path, value in leaves
        if path not in used and value is not None
    ]
    return Traced(rows, unused)


def _span_rows(
    number: int, span: Span, came_of: dict[tuple[int, str], list[tuple[Path, Any]]], shown: Shown
) -> SpanRows:
    rows: list[FieldRow] = []
    values: list[tuple[str, Any]] = [(name, getattr(span, name)) for name in COLUMNS if name not in _LEFT_OUT]
    values += [(f"part {name}", text) for name, text in span.parts.items()]
    for name, value in values:
        if value is None:
            continue
        sources = sorted(came_of.get((number, name), []), key=lambda one: not _says(value, one[1]))
        # an id that is made of many values is no field of theirs
        path, raw = sources[0] if 0 < len(sources) <= 4 else ((), None)
        more = f"and {', '.join(path_text(one) for one, _ in sources[1:])}" if 1 < len(sources) <= 4 else ""
        rows.append(
            FieldRow(
                shown.text(name),
                shown.text(path_text(path)),
                shown.raw(raw) if path else None,
                shown.became(name, value),
                shown.text(more),
            )
        )
    return SpanRows(shown.text(span.span_id), span.kind or "", rows)


def _matched(base: list[Span], spans: list[Span]) -> list[Span]:
    """For each span of `base` the one of its kind and turn, for an id may be of the bytes; itself where none is."""
    own = dict(zip(_turns(spans), spans, strict=True))
    return [own.get(turn, span) for turn, span in zip(_turns(base), base, strict=True)]


def _turns(spans: list[Span]) -> list[tuple[str | None, int]]:
    seen: dict[str | None, int] = {}
    turns = []
    for span in spans:
        seen[span.kind] = seen.get(span.kind, 0) + 1
        turns.append((span.kind, seen[span.kind]))
    return turns


def _says(value: Any, raw: Any) -> bool:
    """True where the field says the value itself, or a longer text that has it in it."""
    return value == raw or (isinstance(value, str) and isinstance(raw, str) and len(raw) > 5 and raw in value)


def _changed(one: list[Span], other: list[Span]) -> set[tuple[int, str]]:
    """(number of the span, field or part) in which the two differ."""
    changed: set[tuple[int, str]] = set()
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        changed |= {(number, name) for name in COLUMNS if getattr(a, name) != getattr(b, name)}
        changed |= {
            (number, f"part {name}")
            for name in a.parts.keys() | b.parts.keys()
            if a.parts.get(name) != b.parts.get(name)
        }
    return changed


def _nudged(value: Any) -> Any:
    """Another value of the same kind; None where there is none."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + (1 if number_ns(value) is None else 10 ** max(0, len(str(abs(value))) - 10))
    if isinstance(value, float):
        return value + 1
    if not isinstance(value, str):
        return None
    if iso_ns(value) is not None:
        moved = datetime.fromisoformat(value) + timedelta(seconds=1)
        return moved.isoformat()
    if value.isdigit():
        return value[:-1] + ("1" if value[-1] != "1" else "2")
    if _HEX.fullmatch(value):
        return value[:-1] + ("a" if value[-1] != "a" else "b")
    return value + "x"


def _with(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    if isinstance(tree, dict):
        return {key: _with(own, path[1:], value) if str(key) == path[0] else own for key, own in tree.items()}
    return [_with(own, path[1:], value) if str(at) == path[0] else own for at, own in enumerate(tree)]
