"""Reading log files as the collector does, and joining what a format makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import by_name
from collectors.formats.base import Format, Line, Parsed, SourceFacts
from store.record.merge import join, row_of
from store.record.span import COLUMNS, Span

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
CLAUDE = DATA / "claude-code"
VIEWER = CLAUDE / "d-kimuson__claude-code-viewer" / "projects" / "sample-project"
PI_FILE = DATA / "pi" / "badlogic__pi-mono" / "fixtures" / "large-session.jsonl"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real logs are not beside the checkout: {DATA}")

Rows = dict[tuple[str, str], dict[str, Any]]


def lines_of(data: bytes) -> list[Line]:
    """Complete lines with their offsets; the last one counts without a newline too."""
    lines, offset = [], 0
    for one in data.split(b"\n"):
        if one.strip():
            lines.append(Line(offset, one))
        offset += len(one) + 1
    return lines


def lines_from(*rows: object) -> list[Line]:
    """Objects as lines; bytes are taken as they are."""
    encoded = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return lines_of(b"\n".join(encoded) + b"\n")


def format_of(name: str) -> Format:
    found = by_name(name)
    assert found is not None
    return found


def parse(name: str, lines: list[Line], path: str = "/logs/session-1.jsonl", agent: str | None = None) -> Parsed:
    return format_of(name).parser(SourceFacts("source", path, agent)).parse(lines)


def parse_with_restarts(name: str, lines: list[Line], path: str = "/logs/session-1.jsonl") -> Parsed:
    """One line at a time, each by a new parser that knows no more than the saved state."""
    whole, state = Parsed(), b""
    for line in lines:
        parser = format_of(name).parser(SourceFacts("source", path), state)
        part = parser.parse([line])
        state = parser.state()
        assert len(state) < 16_384
        whole.spans += part.spans
        whole.bad += part.bad
        for key, count in part.unknown_types.items():
            whole.unknown_types[key] = whole.unknown_types.get(key, 0) + count
    return whole


def merged(spans: list[Span]) -> Rows:
    """Rows by key, as the store would hold them."""
    rows: dict[tuple[str, str], tuple[Any, ...]] = {}
    for span in spans:
        key, row = (span.namespace, span.span_id), row_of(span)
        rows[key] = join(rows[key], row) if key in rows else row
    return {key: dict(zip(COLUMNS, row, strict=True)) for key, row in rows.items()}


def parts_of(spans: list[Span]) -> dict[tuple[str, str], dict[str, str]]:
    parts: dict[tuple[str, str], dict[str, str]] = {}
    for span in spans:
        parts.setdefault((span.namespace, span.span_id), {}).update(span.parts)
    return parts


def of_kind(rows: Rows, kind: str) -> list[dict[str, Any]]:
    return [row for row in rows.values() if row["kind"] == kind]


def rejected(parsed: Parsed) -> list[str]:
    return [bad.reason for bad in parsed.bad]
