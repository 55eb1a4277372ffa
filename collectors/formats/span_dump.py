"""Spans as an SDK dumps them, which is not how OTLP carries them: OpenTelemetry's Python and JavaScript SDKs.

Python (`ReadableSpan.to_json`, any-agent): `context`, `parent` or `parent_id`, times in ns or ISO, ids as 0x hex or as
decimal numbers of 64 and 128 bits. JavaScript (`ReadableSpan`, openinference): `spanContext`, times as [seconds, ns].
Captures of a span's attributes alone are records only where an attribute says when.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.decode import UnreadableError, decode_value, text_of, time_ns
from collectors.formats.items import ItemsParser
from collectors.formats.otel.json_values import SPAN_BYTES, TRACE_BYTES, any_value, hex_id, status_code
from collectors.formats.otel.records import spans_of
from collectors.formats.otel.span import UNSET, OtelEvent, OtelSpan
from store.record.span import NS_PER_S

_PREFIXES = ("gen_ai.", "openinference.", "llm.", "ai.", "traceloop.")
_TIMES = ("ai.response.timestamp",)
_MAX_GROUPS = 1000


class SpanDump:
    """The format itself."""

    name = "otel-spans"
    namespace = "trace"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            rows = list(_rows(value))
            hits += bool(rows) and all(_is_span(row) or _is_bag(row) for row in rows)
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> SpanDumpParser:  # noqa: ARG002 - it holds none
        return SpanDumpParser(facts)


def _rows(value: Any) -> Iterable[object]:
    """The spans of a line: itself, those of a list, those under `spans`, those in lists by the name of an operation."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and not _is_span(value):
        if isinstance(value.get("spans"), list):
            spans: list[object] = value["spans"]
            return spans
        if 0 < len(value) <= _MAX_GROUPS and all(isinstance(one, list) for one in value.values()):
            return [row for one in value.values() for row in one]
    return [value]


def _is_span(row: object) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("attributes", {}), dict):
        return False
    python = isinstance(row.get("context"), dict) and "span_id" in row["context"] and "start_time" in row
    return python or (isinstance(row.get("spanContext"), dict) and "startTime" in row)


def _is_bag(row: object) -> bool:
    """Attributes without a span, or with no more than its name."""
    if not isinstance(row, dict):
        return False
    if "spanName" in row and "scopeName" in row and isinstance(row.get("attributes"), dict):
        return True
    own = sum(1 for name in row if name.startswith(_PREFIXES))
    return own > 2 and own * 2 > len(row) and ("gen_ai.operation.name" in row or "openinference.span.kind" in row)


class SpanDumpParser(ItemsParser):
    """Reads one dump a line, each by itself."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent
        super().__init__(SpanDump.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)

        def read(row: object) -> None:
            otel = _otel_of(row)
            otel.flags |= mended
            self._out.spans += spans_of(otel, agent=self._agent, format_name=SpanDump.name)

        self._each(_rows(value), read)


def _otel_of(row: object) -> OtelSpan:
    if isinstance(row, dict) and isinstance(row.get("context"), dict):
        return _python(row)
    if isinstance(row, dict) and isinstance(row.get("spanContext"), dict):
        return _javascript(row)
    if isinstance(row, dict) and _is_bag(row):
        return _bag(row)
    raise UnreadableError("not a span")


def _python(row: dict[str, Any]) -> OtelSpan:
    context, parent = row["context"], row.get("parent")
    parent_id = parent.get("span_id") if isinstance(parent, dict) else row.get("parent_id")
    return _span(
        row,
        trace_id=context.get("trace_id"),
        span_id=context.get("span_id"),
        parent_id=parent_id,
        start=row.get("start_time"),
        end=row.get("end_time"),
        code_name="status_code",
        message_name="description",
        event_time="timestamp",
    )


def _javascript(row: dict[str, Any]) -> OtelSpan:
    context, parent = row["spanContext"], row.get("parentSpanContext")
    parent_id = parent.get("spanId") if isinstance(parent, dict) else row.get("parentSpanId")
    return _span(
        row,
        trace_id=context.get("traceId"),
        span_id=context.get("spanId"),
        parent_id=parent_id,
        start=row.get("startTime"),
        end=row.get("endTime"),
        code_name="code",
        message_name="message",
        event_time="time",
    )


def _bag(row: dict[str, Any]) -> OtelSpan:
    """A span of which only the attributes were kept: its moment is when its answer came, where that is one of them."""
    flags: set[str] = set()
    own = _attributes(row["attributes"] if "spanName" in row else row, flags)
    at_ns = next((at for name in _TIMES if (at := time_ns(own.get(name))) is not None), None)
    if at_ns is None:
        raise UnreadableError("attributes alone, without a time")
    name = text_of(row.get("spanName")) or ""
    scope = text_of(row.get("scopeName")) or ""
    resource = {"service.name": scope} if scope else {}
    flags.add("parent_id")
    return OtelSpan(trace_id="", span_id="", name=name, ended_ns=at_ns, attributes=own, resource=resource, flags=flags)


def _span(
    row: dict[str, Any],
    *,
    trace_id: object,
    span_id: object,
    parent_id: object,
    start: object,
    end: object,
    code_name: str,
    message_name: str,
    event_time: str,
) -> OtelSpan:
    flags: set[str] = set()
    status = row.get("status")
    status = status if isinstance(status, dict) else {}
    stated = status.get(code_name)
    code = status_code(stated.rpartition(".")[2] if isinstance(stated, str) else stated)
    if code is None:
        flags.add("status")
    name, said, resource = row.get("name"), status.get(message_name), row.get("resource")
    return OtelSpan(
        trace_id=_id(trace_id, TRACE_BYTES, "trace_id", flags),
        span_id=_id(span_id, SPAN_BYTES, "span_id", flags),
        parent_id=_id(parent_id, SPAN_BYTES, "parent_id", flags),
        name=name if isinstance(name, str) else "",
        started_ns=_time(start, "start", flags),
        ended_ns=_time(end, "end", flags),
        status=UNSET if code is None else code,
        status_message=said if isinstance(said, str) else "",
        attributes=_attributes(row.get("attributes"), flags),
        resource=_attributes(resource.get("attributes"), flags) if isinstance(resource, dict) else {},
        events=_events(row.get("events"), event_time, flags),
        flags=flags,
    )


def _events(rows: object, event_time: str, flags: set[str]) -> list[OtelEvent]:
    events = []
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            flags.add("events")
            continue
        name = row.get("name")
        at_ns = _time(row.get(event_time), "events", flags)
        events.append(
            OtelEvent(name if isinstance(name, str) else "", at_ns, _attributes(row.get("attributes"), flags))
        )
    return events


def _attributes(own: object, flags: set[str]) -> dict[str, Any]:
    """Attributes are plain here, but for lists that a capture left as `{values: [{stringValue: …}]}`."""
    if not isinstance(own, dict):
        if own is not None:
            flags.add("attributes")
        return {}
    return {name: _plain(one, flags) if isinstance(one, dict) else one for name, one in own.items()}


def _plain(value: dict[str, Any], flags: set[str]) -> Any:
    if set(value) == {"values"} and isinstance(value["values"], list):
        return [any_value(one, flags, "attributes") for one in value["values"]]
    return value


def _id(value: object, size_bytes: int, name: str, flags: set[str]) -> str:
    """Ids as OTLP has them; a number is the id's value, and a number in a text is one where it cannot be hex."""
    own: str | None
    if isinstance(value, int) and not isinstance(value, bool):
        own = f"{value:0{2 * size_bytes}x}" if 0 < value < 1 << 8 * size_bytes else "" if value == 0 else None
    else:
        own = hex_id(value, size_bytes)
        if own is None and isinstance(value, str) and len(value) < 40 and value.isdecimal():
            return _id(int(value), size_bytes, name, flags)
    if own is None:
        flags.add(name)
        return ""
    return own


def _time(value: object, name: str, flags: set[str]) -> int | None:
    """Ns, ISO 8601, or [seconds, ns] -> ns."""
    if value is None or value == 0:
        return None
    pair = value if isinstance(value, list) and len(value) == 2 else None
    if pair is not None and all(isinstance(one, int) and not isinstance(one, bool) for one in pair):
        value = pair[0] * NS_PER_S + pair[1] if 0 <= pair[1] < NS_PER_S else None
    at_ns = time_ns(value)
    if at_ns is None:
        flags.add(name)
    return at_ns
