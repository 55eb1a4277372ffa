"""An OTLP export request in JSON (traces, logs, metrics), taken apart into its records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from collectors.formats.decode import text_of
from collectors.formats.otel.json_values import (
    SPAN_BYTES,
    TRACE_BYTES,
    any_value,
    attributes,
    hex_id,
    is_given,
    nanos,
    status_code,
)
from collectors.formats.otel.span import UNSET, OtelEvent, OtelLog, OtelSpan

SIGNALS = ("resourceSpans", "resourceLogs", "resourceMetrics")
_SNAKE = ("resource_spans", "resource_logs", "resource_metrics")
_SPAN_LISTS = ("scopeSpans", "instrumentationLibrarySpans", "spans")
_LOG_LISTS = ("scopeLogs", "instrumentationLibraryLogs", "logRecords")
_NO_RESOURCE: dict[str, Any] = {}
_LETTERS = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}


@dataclass(slots=True)
class Records:
    """What a request holds. `bad`: why an item of it could not be read, once an item."""

    spans: list[OtelSpan] = field(default_factory=list)
    logs: list[OtelLog] = field(default_factory=list)
    metrics: int = 0  # resources with metrics, which nobody reads
    bad: list[str] = field(default_factory=list)


class TooManyRecordsError(ValueError):
    """The request holds more records than were asked for at most."""


def is_request(value: object) -> bool:
    """True for an object that holds spans, logs or metrics by resource."""
    if not isinstance(value, dict):
        return False
    return any(isinstance(value.get(name), list) for name in (*SIGNALS, *_SNAKE))


def read_request(value: Any, *, most: int | None = None) -> Records:
    """Take a request apart. Nothing in it raises, but RecursionError where it is nested too deeply.

    TooManyRecordsError past `most` records, before more of them are made.
    """
    records = Records()
    if not isinstance(value, dict):
        records.bad.append("not an OTLP request")
        return records
    if any(name in value for name in _SNAKE):
        value = _camel(value)
    if not any(name in value for name in SIGNALS):
        records.bad.append("not an OTLP request")
    for resource, scope, flags, row in _items(value, "resourceSpans", _SPAN_LISTS, records.bad):
        records.spans.append(_span(row, resource, scope, set(flags)))
        if most is not None and len(records.spans) > most:
            raise TooManyRecordsError
    for resource, scope, flags, row in _items(value, "resourceLogs", _LOG_LISTS, records.bad):
        records.logs.append(_log(row, resource, scope, set(flags)))
        if most is not None and len(records.logs) > most:
            raise TooManyRecordsError
    metrics = value.get("resourceMetrics")
    records.metrics = len(metrics) if isinstance(metrics, list) else 0
    return records


def _items(
    request: dict[str, Any], signal: str, lists: tuple[str, str, str], bad: list[str]
) -> Iterator[tuple[dict[str, Any], str, set[str], dict[str, Any]]]:
    """(resource, scope, what had to be mended of them, item) of a signal. A list that is none is bad, as is an item."""
    groups, older, leaf = lists
    for part in _objects(request.get(signal), signal, bad):
        flags: set[str] = set()
        holder = part.get("resource")
        resource = attributes(holder.get("attributes"), flags, "resource") if isinstance(holder, dict) else _NO_RESOURCE
        for group in _objects(part.get(groups, part.get(older)), groups, bad):
            named = group.get("scope", group.get("instrumentationLibrary"))
            scope = (text_of(named.get("name")) or "") if isinstance(named, dict) else ""
            for row in _objects(group.get(leaf), leaf, bad):
                yield resource, scope, flags, row


def _objects(value: object, name: str, bad: list[str]) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        bad.append(f"{name} is not a list")
        return []
    objects = [one for one in value if isinstance(one, dict)]
    bad += [f"{name} holds what is no object"] * (len(value) - len(objects))
    return objects


def _span(row: dict[str, Any], resource: dict[str, Any], scope: str, flags: set[str]) -> OtelSpan:
    get = row.get
    name, started, ended, status = get("name"), get("startTimeUnixNano"), get("endTimeUnixNano"), get("status")
    started_ns, ended_ns = nanos(started), nanos(ended)
    if started_ns is None and is_given(started):
        flags.add("start")
    if ended_ns is None and is_given(ended):
        flags.add("end")
    code, said = UNSET, None
    if isinstance(status, dict) and status:
        code_or_none, said = status_code(status.get("code")), status.get("message")
        if code_or_none is None:
            flags.add("status")
        else:
            code = code_or_none
    events = get("events")
    span = OtelSpan(
        trace_id=_id(get("traceId"), TRACE_BYTES, "trace_id", flags),
        span_id=_id(get("spanId"), SPAN_BYTES, "span_id", flags),
        parent_id=_id(get("parentSpanId"), SPAN_BYTES, "parent_id", flags),
        name=name if isinstance(name, str) else "",
        started_ns=started_ns,
        ended_ns=ended_ns,
        status=code,
        status_message=said if isinstance(said, str) else "",
        attributes=attributes(get("attributes"), flags),
        resource=resource,
        scope=scope,
        flags=flags,
    )
    if events:
        span.events = _events(events, flags)
    return span


def _events(rows: object, flags: set[str]) -> list[OtelEvent]:
    events = []
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, dict):
            flags.add("events")
            continue
        name = row.get("name")
        own = attributes(row.get("attributes"), flags, "events")
        events.append(OtelEvent(name if isinstance(name, str) else "", nanos(row.get("timeUnixNano")), own))
    return events


def _log(row: dict[str, Any], resource: dict[str, Any], scope: str, flags: set[str]) -> OtelLog:
    at_ns = nanos(row.get("timeUnixNano"))
    if at_ns is None:
        at_ns = nanos(row.get("observedTimeUnixNano"))
        if is_given(row.get("timeUnixNano")):
            flags.add("time")
    event = row.get("eventName")
    return OtelLog(
        at_ns=at_ns,
        event_name=event if isinstance(event, str) else "",
        body=any_value(row.get("body"), flags, "body"),
        severity=severity(row.get("severityNumber"), row.get("severityText")),
        trace_id=_id(row.get("traceId"), TRACE_BYTES, "trace_id", flags),
        span_id=_id(row.get("spanId"), SPAN_BYTES, "span_id", flags),
        attributes=attributes(row.get("attributes"), flags),
        resource=resource,
        scope=scope,
        flags=flags,
    )


def severity(value: object, text: object = None) -> int:
    """A severity number (9 is INFO, an error from 17 on) of a number, an enum's name or a level's; 0: not told."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 24:
        return value
    for said in (value, text):
        if isinstance(said, str):
            level = said.upper().removeprefix("SEVERITY_NUMBER_")
            if (number := _LETTERS.get(level.rstrip("234"))) is not None:
                return number
    return 0


def _id(value: object, size_bytes: int, name: str, flags: set[str]) -> str:
    own = hex_id(value, size_bytes)
    if own is None:
        flags.add(name)
        return ""
    return own


def _camel(value: Any) -> Any:
    """Names as proto3 JSON has them, of a writer that kept those of the .proto file. Attribute keys are values here."""
    if isinstance(value, dict):
        return {_camel_name(name): _camel(one) for name, one in value.items()}
    return [_camel(one) for one in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(one.capitalize() for one in others)
