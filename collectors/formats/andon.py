"""Andon NDJSON: what an agent writes when it just logs JSON.

A whole line is read in one typed decode. A line that the struct refuses is read a second time, field by
field: what fits is kept, what does not is dropped and named in `flags`, what is unknown goes into the part
`extra`. Namespace: `session:<session id>`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from collectors.formats.andon_line import AndonLine, json_schema
from collectors.formats.andon_span import fit_line, to_span
from collectors.formats.base import BadLine, Line, Parsed, SourceFacts
from collectors.formats.decode import CANNOT, UnreadableError, decode_object, type_name
from store.record.span import KINDS, Span

__all__ = ["AndonNdjson", "AndonParser", "json_schema"]

_decode_line = msgspec.json.Decoder(AndonLine).decode


class AndonNdjson:
    """The format itself; its parsers hold no state, because every line stands alone."""

    name = "andon"
    namespace = "session"
    whole = False

    def recognises(self, head: list[bytes]) -> bool:
        """More than half of the lines that are JSON objects name a session and a kind; a bad line says nothing."""
        hits = rows = 0
        for data in head:
            try:
                row, _ = decode_object(data)
            except UnreadableError:
                continue
            rows += 1
            hits += "session_id" in row and row.get("kind") in KINDS
        return hits * 2 > rows

    def parser(self, facts: SourceFacts, state: bytes = b"") -> AndonParser:  # noqa: ARG002 - it holds none
        return AndonParser(facts)


class AndonParser:
    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent or AndonNdjson.name

    def state(self) -> bytes:
        return b""

    def parse(self, lines: list[Line]) -> Parsed:
        parsed = Parsed()
        for line in lines:
            try:
                span = self._span(line.data, parsed)
            except UnreadableError as error:
                parsed.bad.append(BadLine(line, str(error)))
            except RecursionError:
                parsed.bad.append(BadLine(line, "nested too deeply"))
            except Exception as error:  # noqa: BLE001 - no line may ever stop the collector; it is kept as a reject
                parsed.bad.append(BadLine(line, f"{CANNOT} ({type(error).__name__})"))
            else:
                if span is not None:
                    parsed.spans.append(span)
        return parsed

    def _span(self, data: bytes, parsed: Parsed) -> Span | None:
        flags: set[str] = set()
        extra: dict[str, Any] = {}
        try:
            row = _decode_line(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            decoded, flags = decode_object(data)
            kind = decoded.get("kind")
            if isinstance(kind, str) and kind not in KINDS:
                name = f"{AndonNdjson.name}/{type_name(kind)}"
                parsed.unknown_types[name] = parsed.unknown_types.get(name, 0) + 1
                return None
            row = fit_line(decoded, extra, flags)
        return to_span(row, data, format_name=AndonNdjson.name, agent=self._agent, extra=extra, flags=flags)
