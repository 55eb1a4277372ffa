"""OTLP export requests in protobuf, as the records that OTLP/JSON gives too.

Source: opentelemetry-proto, collector/trace/v1 and collector/logs/v1. What is mended is flagged as in `json_request`,
so that a record is the same row whichever way it came.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collectors.formats.decode import EARLIEST_NS, LATEST_NS
from collectors.formats.otel.json_request import Records, severity
from collectors.formats.otel.json_values import SPAN_BYTES, TRACE_BYTES, bytes_text
from collectors.formats.otel.span import UNSET, OtelEvent, OtelLog, OtelSpan
from collectors.otlp.wire import Shape, TooManyError, WireError, count, fields

MOST_RECORDS = 20_000
MOST_MESSAGES = 1_000_000
_FEW_BYTES = 1 << 20  # a body so short is harmless once its records are counted
_RESOURCE, _GROUP, _SCOPE, _RECORD = 1, 2, 1, 2  # field numbers; the same for traces and logs
_STATUSES = (0, 1, 2)

_any: Shape = {}
_pair: Shape = {2: _any}  # KeyValue.value
_any.update({5: {1: _any}, 6: {1: _pair}})  # ArrayValue.values, KeyValueList.values
_of_pairs: Shape = {3: _pair}  # InstrumentationScope.attributes, Event.attributes
_span: Shape = {9: _pair, 11: _of_pairs, 13: {4: _pair}, 15: {}}
_log: Shape = {5: _any, 6: _pair}
_outside: Shape = {_RESOURCE: {1: _pair}}
_RECORDS: Shape = {1: {_GROUP: {_RECORD: {}}}}
_SPANS: Shape = {1: {**_outside, _GROUP: {_SCOPE: _of_pairs, _RECORD: _span}}}
_LOGS: Shape = {1: {**_outside, _GROUP: {_SCOPE: _of_pairs, _RECORD: _log}}}


class UnreadableRequestError(ValueError):
    """The body is no such request; the text says why, without its content."""


class TooLargeRequestError(ValueError):
    """It holds more than is read at once."""


def read_traces(body: bytes) -> Records:
    """UnreadableRequestError where the body is no protobuf, TooLargeRequestError where it holds too much."""
    _check(body, _SPANS)
    request, records = ExportTraceServiceRequest(), Records()
    try:
        request.ParseFromString(body)
    except (DecodeError, RecursionError):
        return _one_by_one(body, Span, lambda *record: records.spans.append(_read_span(*record)), records)
    for part in request.resource_spans:
        resource = _attributes(part.resource.attributes)
        for group in part.scope_spans:
            scope = group.scope.name
            records.spans += [_read_span(span, resource, scope) for span in group.spans]
    return records


def read_logs(body: bytes) -> Records:
    """As `read_traces`."""
    _check(body, _LOGS)
    request, records = ExportLogsServiceRequest(), Records()
    try:
        request.ParseFromString(body)
    except (DecodeError, RecursionError):
        return _one_by_one(body, LogRecord, lambda *record: records.logs.append(_read_log(*record)), records)
    for part in request.resource_logs:
        resource = _attributes(part.resource.attributes)
        for group in part.scope_logs:
            scope = group.scope.name
            records.logs += [_read_log(record, resource, scope) for record in group.log_records]
    return records


def _check(body: bytes, shape: Shape) -> None:
    try:
        count(body, _RECORDS, MOST_RECORDS)
        if len(body) > _FEW_BYTES:
            count(body, shape, MOST_MESSAGES)
    except TooManyError:
        raise TooLargeRequestError(f"more than {MOST_RECORDS:,} records or {MOST_MESSAGES:,} values") from None
    except WireError:
        raise UnreadableRequestError("not a protobuf of this request") from None


def _one_by_one(
    body: bytes, kind: Callable[[], Any], add: Callable[[Any, dict[str, Any], str], None], records: Records
) -> Records:
    """A request that the decoder refuses, for a text that is no UTF-8, say: a bad record costs the others nothing."""
    try:
        for number, part in fields(body):
            if number != 1:
                continue
            resource = _decoded(Resource, [one for at, one in fields(part) if at == _RESOURCE])
            attributes = _attributes(resource.attributes) if resource is not None else {}
            for group in (one for at, one in fields(part) if at == _GROUP):
                scope = _decoded(InstrumentationScope, [one for at, one in fields(group) if at == _SCOPE])
                name = scope.name if scope is not None else ""
                for record in (one for at, one in fields(group) if at == _RECORD):
                    decoded = _decoded(kind, [record])
                    if decoded is None:
                        records.bad.append("a record is no protobuf, or holds text that is no UTF-8")
                    else:
                        add(decoded, attributes, name)
    except WireError:
        raise UnreadableRequestError("not a protobuf of this request") from None
    if not (records.spans or records.logs or records.bad):
        raise UnreadableRequestError("not a protobuf of this request")
    return records


def _decoded(kind: Callable[[], Any], pieces: list[bytes]) -> Any:
    """A message of its pieces, which protobuf joins; None where they are none."""
    message = kind()
    try:
        message.ParseFromString(b"".join(pieces))
    except (DecodeError, RecursionError):
        return None
    return message


def _read_span(span: Any, resource: dict[str, Any], scope: str) -> OtelSpan:
    flags: set[str] = set()
    status = span.status
    code = status.code
    if code not in _STATUSES:
        flags.add("status")
        code = UNSET
    read = OtelSpan(
        trace_id=_id(span.trace_id, TRACE_BYTES, "trace_id", flags),
        span_id=_id(span.span_id, SPAN_BYTES, "span_id", flags),
        parent_id=_id(span.parent_span_id, SPAN_BYTES, "parent_id", flags),
        name=span.name,
        started_ns=_time(span.start_time_unix_nano, "start", flags),
        ended_ns=_time(span.end_time_unix_nano, "end", flags),
        status=code,
        status_message=status.message,
        attributes=_attributes(span.attributes),
        resource=resource,
        scope=scope,
        flags=flags,
    )
    if span.events:
        read.events = [
            OtelEvent(event.name, _time(event.time_unix_nano), _attributes(event.attributes)) for event in span.events
        ]
    return read


def _read_log(record: Any, resource: dict[str, Any], scope: str) -> OtelLog:
    flags: set[str] = set()
    at_ns = _time(record.time_unix_nano, "time", flags)
    return OtelLog(
        at_ns=_time(record.observed_time_unix_nano) if at_ns is None else at_ns,
        event_name=record.event_name,
        body=_value(record.body),
        severity=severity(int(record.severity_number), record.severity_text),
        trace_id=_id(record.trace_id, TRACE_BYTES, "trace_id", flags),
        span_id=_id(record.span_id, SPAN_BYTES, "span_id", flags),
        attributes=_attributes(record.attributes),
        resource=resource,
        scope=scope,
        flags=flags,
    )


def _id(value: bytes, size_bytes: int, name: str, flags: set[str]) -> str:
    """Hex; "" for none, for all zeros, which the specification calls invalid, and for what is no id of that size."""
    if not value:
        return ""
    if len(value) != size_bytes:
        flags.add(name)
        return ""
    return value.hex() if value.strip(b"\0") else ""


def _time(value: int, name: str = "", flags: set[str] | None = None) -> int | None:
    if EARLIEST_NS <= value < LATEST_NS:
        return value
    if value and flags is not None:
        flags.add(name)
    return None


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    """As `json_values.any_value`. It ends by itself: the decoder refuses what is nested more than 100 deep."""
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value
    if which is None:
        return None
    held = getattr(value, which)
    if which == "array_value":
        return [_value(one) for one in held.values]
    if which == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in held.values}
    if which == "bytes_value":
        return bytes_text(held)
    if which == "double_value" and not math.isfinite(held):
        return "NaN" if math.isnan(held) else "Infinity" if held > 0 else "-Infinity"
    return held
