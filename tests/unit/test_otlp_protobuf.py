"""OTLP in protobuf: the same records as OTLP/JSON, and no more objects than were allowed."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.formats.decode import decode_value
from collectors.formats.otel.json_request import Records, is_request, read_request
from collectors.formats.otel.json_values import hex_id
from collectors.otlp import protobuf, wire
from collectors.otlp.body import RefusedError
from collectors.otlp.protobuf import TooLargeRequestError, UnreadableRequestError, read_logs, read_traces
from collectors.otlp.request import LOGS, METRICS, TRACES, delivery_of
from tests.unit.format_files import DATA, needs_data

TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))
START = 1_790_000_000_000_000_000


def traces() -> tuple[ExportTraceServiceRequest, Any]:
    """A request and its one span, which is whole."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add().scope_spans.add()
    span = group.spans.add()
    span.trace_id, span.span_id = TRACE, SPAN
    span.name, span.start_time_unix_nano, span.end_time_unix_nano = "chat", START, START + 10**9
    return request, span


def as_bytes(request: dict[str, Any], make: Callable[[], Any]) -> bytes:
    """OTLP/JSON as protobuf. Ids are hex there and base64 in proto3's own JSON, which is what ParseDict reads."""
    own = copy.deepcopy(request)
    sizes = {"traceId": 16, "spanId": 8, "parentSpanId": 8}

    def walk(value: Any) -> None:
        for held in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(held)
        if isinstance(value, dict):
            for name in sizes.keys() & value.keys():
                value[name] = base64.b64encode(bytes.fromhex(hex_id(value[name], sizes[name]) or "")).decode()

    walk(own)
    return bytes(ParseDict(own, make(), ignore_unknown_fields=True).SerializeToString())


def real_requests() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((DATA / "otlp-json").rglob("*.json*")):
        data = path.read_bytes()
        try:
            values = [decode_value(data)[0]]
        except ValueError:
            values = [decode_value(line)[0] for line in data.splitlines() if line.strip().startswith(b"{")]
        for value in values:
            for one in value if isinstance(value, list) else [value]:
                if is_request(one) and any(name in one for name in ("resourceSpans", "resourceLogs")):
                    yield str(path.relative_to(DATA)), one


@needs_data
def test_real_requests_are_the_same_records_either_way() -> None:
    compared = 0
    for name, request in real_requests():
        for signal, make, read in (
            ("resourceSpans", ExportTraceServiceRequest, read_traces),
            ("resourceLogs", ExportLogsServiceRequest, read_logs),
        ):
            if signal not in request:
                continue
            own = {signal: request[signal]}
            told, came = read_request(own), read(as_bytes(own, make))
            assert (came.spans, came.logs) == (told.spans, told.logs), name
            compared += len(told.spans) + len(told.logs)
    assert compared > 500


def test_every_kind_of_value_is_the_same_either_way() -> None:
    request: dict[str, Any] = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "bot"}}]},
                "scopeSpans": [{"scope": {"name": "lib"}, "spans": []}],
            }
        ]
    }
    values: list[dict[str, Any]] = [
        {"stringValue": "text \u20ac \U0001f600"},
        {"intValue": str(2**63 - 1)},
        {"intValue": str(-(2**63))},
        {"doubleValue": 0.1},
        {"doubleValue": "NaN"},
        {"doubleValue": "Infinity"},
        {"doubleValue": "-Infinity"},
        {"boolValue": False},
        {"bytesValue": base64.b64encode(b"plain text").decode()},
        {"bytesValue": base64.b64encode(b"\xff\x00").decode()},
        {"arrayValue": {"values": [{"stringValue": "a"}, {"arrayValue": {"values": [{"intValue": "1"}]}}]}},
        {"arrayValue": {}},
        {"kvlistValue": {"values": [{"key": "k", "value": {"kvlistValue": {"values": [{"key": "z"}]}}}]}},
    ]
    attributes = [{"key": f"v{number}", "value": value} for number, value in enumerate(values)]
    request["resourceSpans"][0]["scopeSpans"][0]["spans"] = [
        {
            "traceId": TRACE.hex(),
            "spanId": SPAN.hex(),
            "parentSpanId": "00" * 8,
            "name": "chat",
            "startTimeUnixNano": str(START),
            "endTimeUnixNano": "12",  # no time: flagged
            "status": {"code": 2, "message": "no"},
            "attributes": [*attributes, attributes[0]],
            "events": [{"name": "exception", "timeUnixNano": str(START), "attributes": attributes}],
        }
    ]
    came, told = read_traces(as_bytes(request, ExportTraceServiceRequest)), read_request(request)
    assert came == told
    (span,) = came.spans
    assert (span.parent_id, span.ended_ns, span.flags) == ("", None, {"end"})
    assert list(span.attributes.values()) == [
        *("text \u20ac \U0001f600", 2**63 - 1, -(2**63), 0.1, "NaN", "Infinity", "-Infinity", False),
        *("plain text", "/wA=", ["a", [1]], [], {"k": {"z": None}}),
    ]
    log = {"timeUnixNano": "7", "observedTimeUnixNano": str(START), "body": values[10], "severityText": "ERROR"}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{**log, "attributes": attributes, "eventName": "e"}]}]}]}
    assert read_logs(as_bytes(logs, ExportLogsServiceRequest)) == read_request(logs)
    assert read_request(logs).logs[0].severity == 17


def test_what_is_no_id_and_no_status_is_left_out_and_flagged() -> None:
    request, span = traces()
    span.trace_id, span.span_id, span.parent_span_id, span.status.code = b"short", bytes(8), SPAN, 7
    (read,) = read_traces(request.SerializeToString()).spans
    assert (read.trace_id, read.span_id, read.parent_id, read.status) == ("", "", SPAN.hex(), 0)
    assert read.flags == {"trace_id", "status"}


def test_a_record_that_the_decoder_refuses_costs_the_others_nothing() -> None:
    request, span = traces()
    span.name = "MARK-"
    request.resource_spans[0].resource.attributes.add(key="service.name").value.string_value = "bot"
    request.resource_spans[0].scope_spans[0].scope.name = "lib"
    good = request.resource_spans[0].scope_spans[0].spans.add()
    good.CopyFrom(span)
    good.name, good.span_id = "good", b"12345678"
    body = request.SerializeToString().replace(b"MARK-", b"MAR\xff-")  # no UTF-8
    records = read_traces(body)
    assert [(one.name, one.scope, one.resource) for one in records.spans] == [("good", "lib", {"service.name": "bot"})]
    assert records.bad == ["a record is no protobuf, or holds text that is no UTF-8"]
    delivery = delivery_of("f", TRACES, body, as_json=False)
    assert (delivery.feed.records, delivery.feed.rejected, [one.agent for one in delivery.spans]) == (1, 1, ["bot"])
    request, span = traces()
    value = span.attributes.add(key="deep").value
    for _ in range(99):
        value = value.array_value.values.add()
    assert read_traces(request.SerializeToString()).bad == ["a record is no protobuf, or holds text that is no UTF-8"]


@pytest.mark.parametrize(
    "body",
    [b"\xff\xff\xff", b"{}", b"\x0a\x05\x00", b"\x0a", b"\x0b\x0c", b"\x09\x01", b"\x0a\x02\x12\x05", b"\x08" * 9],
)
def test_what_is_no_protobuf_is_said_to_be_none(body: bytes) -> None:
    for read in (read_traces, read_logs):
        with pytest.raises(UnreadableRequestError):
            read(body)


def test_an_empty_request_is_one() -> None:
    assert read_traces(b"") == read_logs(b"") == Records()
    for signal in (TRACES, LOGS):
        for body, as_json in ((b"", False), (b"{}", True), (b'{"resourceSpans":[]}', True)):
            assert delivery_of("f", signal, body, as_json=as_json).feed.rejected == 0
    metrics = delivery_of("f", METRICS, b"anything", as_json=False)
    assert (metrics.unknown_types, metrics.spans, metrics.bad) == ({"otlp/metrics": 1}, [], [])


def length(field: int, body: bytes) -> bytes:
    size, out = len(body), bytearray([field << 3 | 2])
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(out) + bytes([size]) + body


def test_more_than_is_read_at_once_is_counted_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "_FEW_BYTES", 100)
    spans = length(1, length(2, b"\x12\x00" * 20_001))
    attributes = length(1, length(2, length(2, b"\x4a\x00" * 1_000_001)))
    array = length(2, length(5, b"\x0a\x00" * 1_000_001))
    values = length(1, length(2, length(2, length(9, array))))
    resources = b"\x0a\x00" * 20_001

    def boom(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(protobuf, "ExportTraceServiceRequest", boom)
    monkeypatch.setattr(protobuf, "ExportLogsServiceRequest", boom)
    for body in (spans, attributes, values, resources):
        with pytest.raises(TooLargeRequestError):
            read_traces(body)
    for body in (spans, resources):
        with pytest.raises(TooLargeRequestError):
            read_logs(body)


def test_more_json_than_is_read_at_once_is_refused() -> None:
    dense = b'{"resourceSpans":[' + b"{}," * 1_000_001 + b"{}]}"
    commas = b'{"resourceSpans":[' + b"1," * 2_000_001 + b"1]}"
    many: dict[str, Any] = {"resourceSpans": [{"scopeSpans": [{"spans": [{}] * 20_001}]}]}
    for body in (dense, commas, json.dumps(many).encode()):
        with pytest.raises(RefusedError) as refused:
            delivery_of("f", TRACES, body, as_json=True)
        assert refused.value.status == 413
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"[" * 50_000
    with pytest.raises(RefusedError) as refused:
        delivery_of("f", TRACES, body, as_json=True)
    assert refused.value.status == 400


def test_counting_agrees_with_the_decoder() -> None:
    request, span = traces()
    for number in range(5):
        span.attributes.add(key=f"k{number}").value.array_value.values.add().int_value = number
    span.events.add(name="e").attributes.add(key="k").value.string_value = "x" * 300
    span.links.add(trace_id=TRACE)
    body = request.SerializeToString()
    # resource_spans, scope_spans, span; 5 x (pair, value, array, value); event, pair, value; link
    assert wire.count(body, protobuf._SPANS, 1000) == 3 + 20 + 3 + 1
    assert wire.count(body, protobuf._RECORDS, 1000) == 3
    with pytest.raises(wire.TooManyError):
        wire.count(body, protobuf._SPANS, 26)
    assert [number for number, _ in wire.fields(body)] == [1]


def test_damaged_json_is_flagged_on_each_record() -> None:
    body = msgspec.json.encode(
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "MARK", "startTimeUnixNano": str(START)}]}]}]}
    )
    delivery = delivery_of("f", TRACES, body.replace(b"MARK", b"MA\xff"), as_json=True)
    assert delivery.spans[0].flags == "utf8"
