"""OTLP export requests in protobuf, as the records that OTLP/JSON gives too.

Source: opentelemetry-proto, collector/trace/v1 and collector/logs/v1.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.formats.decode import EARLIEST_NS, LATEST_NS
from collectors.formats.otel.json_request import Records
from collectors.formats.otel.span import OtelEvent, OtelLog, OtelSpan

_DEEPEST = 32  # protobuf itself ends at 100 messages in each other
_STATUSES = (0, 1, 2)


class UnreadableRequestError(ValueError):
    """The body is no such request; the text says why, without its content."""


def read_traces(body: bytes) -> Records:
    """UnreadableRequestError where the body is no protobuf."""
    request = _parsed(ExportTraceServiceRequest(), body)
    records = Records()
    for part in request.resource_spans:
        resource = _attributes(part.resource.attributes)
        for group in part.scope_spans:
            scope = group.scope.name
            records.spans += [_span(span, resource, scope) for span in group.spans]
    return records


def read_logs(body: bytes) -> Records:
    """As `read_traces`."""
    request = _parsed(ExportLogsServiceRequest(), body)
    records = Records()
    for part in request.resource_logs:
        resource = _attributes(part.resource.attributes)
        for group in part.scope_logs:
            scope = group.scope.name
            records.logs += [_log(record, resource, scope) for record in group.log_records]
    return records


def _parsed(request: Any, body: bytes) -> Any:
    try:
        request.ParseFromString(body)
    except (DecodeError, RecursionError):
        raise UnreadableRequestError("not a protobuf of this request") from None
    return request


def _span(span: Any, resource: dict[str, Any], scope: str) -> OtelSpan:
    flags: set[str] = set()
    return OtelSpan(
        trace_id=_id(span.trace_id, 16, "trace_id", flags),
        span_id=_id(span.span_id, 8, "span_id", flags),
        parent_id=_id(span.parent_span_id, 8, "parent_id", flags),
        name=span.name,
        started_ns=_time(span.start_time_unix_nano, "start", flags),
        ended_ns=_time(span.end_time_unix_nano, "end", flags),
        status=span.status.code if span.status.code in _STATUSES else 0,
        status_message=span.status.message,
        attributes=_attributes(span.attributes),
        resource=resource,
        scope=scope,
        events=[
            OtelEvent(event.name, _time(event.time_unix_nano, "events", flags), _attributes(event.attributes))
            for event in span.events
        ],
        flags=flags,
    )


def _log(record: Any, resource: dict[str, Any], scope: str) -> OtelLog:
    flags: set[str] = set()
    at_ns = _time(record.time_unix_nano, "time", flags)
    return OtelLog(
        at_ns=_time(record.observed_time_unix_nano, "time", flags) if at_ns is None else at_ns,
        event_name=record.event_name,
        body=_value(record.body, 0),
        severity=int(record.severity_number),
        trace_id=_id(record.trace_id, 16, "trace_id", flags),
        span_id=_id(record.span_id, 8, "span_id", flags),
        attributes=_attributes(record.attributes),
        resource=resource,
        scope=scope,
        flags=flags,
    )


def _id(value: bytes, size_bytes: int, name: str, flags: set[str]) -> str:
    """Hex; "" for none and for all zeros, which the specification calls invalid."""
    if not value.strip(b"\0"):
        return ""
    if len(value) != size_bytes:
        flags.add(name)
    return value.hex()


def _time(value: int, name: str, flags: set[str]) -> int | None:
    if EARLIEST_NS <= value < LATEST_NS:
        return value
    if value:
        flags.add(name)
    return None


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value, 0) for pair in pairs}


def _value(value: Any, depth: int) -> Any:
    which = value.WhichOneof("value")
    if which is None:
        return None
    held = getattr(value, which)
    if which == "array_value":
        return [_value(one, depth + 1) for one in held.values] if depth < _DEEPEST else "(nested too deeply)"
    if which == "kvlist_value":
        if depth >= _DEEPEST:
            return "(nested too deeply)"
        return {pair.key: _value(pair.value, depth + 1) for pair in held.values}
    if which == "bytes_value":
        return held.hex()
    return held
