"""OTLP JSON as files hold it: recorded requests of three writers, both id dialects, and what SDKs themselves encode."""

from __future__ import annotations

import base64
import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from collectors.formats import HEAD_LINES, recognise
from collectors.formats.base import Line, Parsed
from store.record.span import Rank
from tests.unit.format_documents import by_id, document, files_of, name_of, same_when_read_in_versions, total
from tests.unit.format_files import (
    lines_from,
    lines_of,
    merged,
    needs_data,
    of_kind,
    parse,
    parse_with_restarts,
    parts_of,
    rejected,
)

AT = "1769825640000000000"
TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"


def one(value: object) -> dict[str, Any]:
    """An attribute's value as OTLP JSON has it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def pairs(**attributes: object) -> list[dict[str, Any]]:
    return [{"key": name.replace("__", "."), "value": one(value)} for name, value in attributes.items()]


def span(own: str = SPAN, parent: str = "", **fields: Any) -> dict[str, Any]:
    row = {"traceId": TRACE, "spanId": own, "parentSpanId": parent, "name": "n", "startTimeUnixNano": AT}
    return {**row, "endTimeUnixNano": str(int(AT) + 10**9), "attributes": [], **fields}


def request(*spans: object, **resource: object) -> dict[str, Any]:
    scope = {"scope": {"name": "lib"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": pairs(**resource)}, "scopeSpans": [scope]}]}


# --- the real files

FILES = [path for path in files_of("otlp-json", "*.json") if "fluent-bit" not in str(path)]
LINES = files_of("otlp-json", "test_data.json")
COLLECTOR_LOG = files_of("log-corpora", "logfile_otel_collector.jsonl")


def is_lines(path: Path) -> bool:
    return path in LINES or path in COLLECTOR_LOG


def read(path: Path) -> Parsed:
    data = path.read_bytes()
    lines = lines_of(data) if is_lines(path) else [Line(0, data)]
    found = recognise([line.data for line in lines[:HEAD_LINES]], whole=not is_lines(path))
    assert found is not None
    assert found.name == "otlp"
    return parse("otlp", lines, str(path))


def raw_spans(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(span, its attributes by name, values as they stand), counted in another way than the parser's."""
    texts = path.read_text("utf-8").splitlines() if is_lines(path) else [path.read_text("utf-8")]
    for text in texts:
        value = json.loads(text)
        for request_ in value if isinstance(value, list) else [value]:
            for resource in request_.get("resourceSpans", []):
                for scope in resource["scopeSpans"]:
                    for row in scope["spans"]:
                        held = {pair["key"]: next(iter(pair["value"].values())) for pair in row.get("attributes", [])}
                        yield row, held


@needs_data
@pytest.mark.parametrize("path", [*FILES, *COLLECTOR_LOG], ids=name_of)
def test_every_real_file_is_recognised_and_read(path: Path) -> None:
    parsed = read(path)
    assert not parsed.bad, rejected(parsed)
    rows = merged(parsed.spans)
    spans = [row for row, _ in raw_spans(path)]
    logs = path.read_text("utf-8").count('"severityNumber"') + path.read_text("utf-8").count('"severityText"')
    assert len(rows) >= len(spans)
    assert bool(rows) == bool(spans or logs)


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_read_twice_is_read_once(path: Path) -> None:
    once, again = read(path), read(path)
    assert merged(once.spans + again.spans) == merged(once.spans)
    assert parts_of(once.spans + again.spans) == parts_of(once.spans)


@needs_data
@pytest.mark.parametrize("path", files_of("otlp-json", "rag_*.json", "smol_*.json"), ids=name_of)
def test_agentprism(path: Path) -> None:
    """Ids in base64, enums by name, the root last. Tokens as the file's own text says them."""
    rows = merged(read(path).spans)
    raw = list(raw_spans(path))
    assert len(rows) == len(raw)
    (trace_id,) = {base64.b64decode(row["traceId"]).hex() for row, _ in raw}
    assert {(row["namespace"], row["session"], row["run_id"]) for row in rows.values()} == {
        (f"trace:{trace_id}", trace_id, trace_id)
    }
    kinds = Counter(held.get("openinference.span.kind") for _, held in raw)
    assert len(of_kind(rows, "llm")) == kinds["LLM"]
    assert len(of_kind(rows, "tool")) == kinds["RETRIEVER"] + kinds["TOOL"]
    last, _ = raw[-1]
    assert "parentSpanId" not in last
    (run,) = of_kind(rows, "run")
    assert run["span_id"] == base64.b64decode(last["spanId"]).hex()
    assert {row["parent_id"] for row in rows.values()} <= {row["span_id"] for row in rows.values()} | {None}
    prompt = sum(int(held.get("llm.token_count.prompt", 0)) for _, held in raw)
    cached = sum(int(held.get("llm.token_count.prompt_details.cache_read", 0)) for _, held in raw)
    assert (total(rows, "tokens_input"), total(rows, "tokens_cache_read")) == (prompt - cached, cached)
    assert total(rows, "tokens_output") == sum(int(held.get("llm.token_count.completion", 0)) for _, held in raw)
    assert {row["status"] for row in rows.values()} == {"ok"}  # {} and STATUS_CODE_OK alike
    assert not any(row["flags"] for row in rows.values())


@needs_data
def test_the_figures_of_agentprism_written_out() -> None:
    """Counted by hand from the file: 6 calls of o1, 8 spans; prompt 17,952 of which 5,504 cached, completion 7,122."""
    (path,) = files_of("otlp-json", "smol_*.json")
    rows = merged(read(path).spans)
    assert (len(rows), total(rows, "tokens_input"), total(rows, "tokens_cache_read")) == (8, 12_448, 5_504)
    assert total(rows, "tokens_output") == 7_122
    assert {row["model"] for row in of_kind(rows, "llm")} == {"o1-2024-12-17"}


@needs_data
def test_otel_tui() -> None:
    """One request a line, logs, metrics and traces mixed; no GenAI: roots are runs, the rest steps without a kind."""
    (path,) = LINES
    parsed = read(path)
    rows = merged(parsed.spans)
    raw = [row for row, _ in raw_spans(path)]
    text = path.read_text("utf-8")
    requests = [json.loads(line) for line in text.splitlines()]
    assert (
        parsed.unknown_types
        == {"otlp/metrics": sum("resourceMetrics" in one for one in requests)}
        == {"otlp/metrics": 39}
    )
    spans = {key: row for key, row in rows.items() if len(key[1]) == 16}
    assert len(spans) == len({(row["traceId"], row["spanId"]) for row in raw}) == 547
    logs = [row for key, row in rows.items() if len(key[1]) == 32]
    assert len(logs) == text.count('"severityText"') == 23
    assert len({row["run_id"] for row in spans.values()}) == 141
    assert Counter(row["status"] for row in spans.values()) == {"error": 107, "ok": 440}  # 440 are {}
    failed = [row for row in raw if row["status"].get("code") == 2]
    said = sum("message" in row["status"] for row in failed)
    thrown = sum("message" not in row["status"] and '"exception.message"' in json.dumps(row) for row in failed)
    assert (said, thrown) == (27, 20)
    assert sum(row["error_message"] is not None for row in spans.values()) == 47
    assert Counter(row["kind"] for row in spans.values()) == {
        "run": sum(not row["parentSpanId"] for row in raw),
        None: sum(bool(row["parentSpanId"]) for row in raw),
    }
    ids = {row["span_id"] for row in spans.values()}
    assert sum(row["parent_id"] is not None and row["parent_id"] not in ids for row in spans.values()) == 1  # an orphan
    assert "frontend" in {row["agent"] for row in spans.values()}


@needs_data
def test_payloads_without_ids_are_no_two_the_same() -> None:
    """All-zero ids, which the protocol forbids: the spans are kept apart by what they say."""
    paths = files_of("otlp-json", "payloads/*.json", "forge-attempt/*.json")
    rows = {path.stem: next(iter(merged(read(path).spans).values())) for path in paths}
    assert len(rows) == len({row["span_id"] for row in rows.values()}) == 4
    assert {row["run_id"] for row in rows.values()} == {None}
    assert (rows["claude_code"]["session"], rows["cursor"]["session"]) == ("ses_dogfood_claude_code_0001", None)
    assert (rows["claude_code"]["tokens_input"], rows["claude_code"]["tokens_output"]) == (187, 53)
    assert (rows["cursor"]["tokens_input"], rows["cursor"]["model"]) == (412, "gpt-5.4")
    assert (rows["claude_code"]["kind"], rows["raw_otlp_advanced"]["kind"]) == ("llm", "run")
    forged = rows["attribution"]
    assert (forged["user_id"], forged["tenant_id"], forged["session"]) == (None, None, None)  # claims of another's


@needs_data
def test_the_examples_of_the_protocol() -> None:
    (path,) = files_of("otlp-json", "examples/trace.json")
    (row,) = merged(read(path).spans).values()
    assert (row["namespace"], row["span_id"]) == (f"trace:{TRACE}", SPAN)  # they are in upper case
    assert (row["parent_id"], row["kind"]) == (PARENT, None)  # a parent that does not exist
    (path,) = files_of("otlp-json", "examples/logs.json")
    (row,) = merged(read(path).spans).values()
    assert (row["parent_id"], row["run_id"], row["status"]) == (SPAN, TRACE, "ok")
    (path,) = files_of("otlp-json", "examples/events.json")
    (span_,) = read(path).spans
    assert span_.name == "browser.page_view"
    assert json.loads(span_.parts["output"])["type"] == 0
    (path,) = files_of("otlp-json", "examples/metrics.json")
    assert read(path).unknown_types == {"otlp/metrics": 1}


@needs_data
def test_a_restart_at_every_line_changes_nothing() -> None:
    (path,) = LINES
    lines = lines_of(path.read_bytes())
    whole, pieces = parse("otlp", lines), parse_with_restarts("otlp", lines)
    assert merged(pieces.spans) == merged(whole.spans)
    assert parts_of(pieces.spans) == parts_of(whole.spans)
    assert pieces.unknown_types == whole.unknown_types


# --- shapes and dialects

CALL = span(
    SPAN,
    PARENT,
    attributes=pairs(
        gen_ai__operation__name="chat",
        gen_ai__request__model="gpt-4o",
        gen_ai__usage__input_tokens=10,
        gen_ai__usage__output_tokens=5,
    ),
    status={"code": 1},
)
ROOT = span(PARENT, attributes=pairs(gen_ai__operation__name="invoke_agent"), status={})


@pytest.mark.parametrize("shape", ["one", "array", "lines", "arrays a line", "pretty"])
def test_one_request_an_array_or_one_a_line(shape: str) -> None:
    first, second = request(CALL, service__name="bot"), request(ROOT, service__name="bot")
    lines = {
        "one": lines_from(request(CALL, ROOT, service__name="bot")),
        "array": lines_from([first, second]),
        "lines": lines_from(first, second),
        "arrays a line": lines_from([first], [second]),
        "pretty": document([first, second]),
    }[shape]
    found = recognise([line.data for line in lines])
    assert found is not None
    assert found.name == "otlp"
    rows = merged(parse("otlp", lines).spans)
    assert rows == merged(parse("otlp", lines_from(request(CALL, ROOT, service__name="bot"))).spans)
    assert (by_id(rows, SPAN)["kind"], by_id(rows, PARENT)["kind"]) == ("llm", "run")
    assert (total(rows, "tokens_input"), total(rows, "tokens_output")) == (10, 5)
    assert {row["agent"] for row in rows.values()} == {"bot"}


def in_proto3_json(value: Any) -> Any:
    """The same request as plain proto3 JSON: base64 ids, enums by name."""
    if isinstance(value, list):
        return [in_proto3_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {0: "STATUS_CODE_UNSET", 1: "STATUS_CODE_OK", 2: "STATUS_CODE_ERROR"}
    out = {}
    for name, held in value.items():
        if name in ("traceId", "spanId", "parentSpanId"):
            held = base64.b64encode(bytes.fromhex(held)).decode()
        elif name == "status" and held:
            held = {**held, "code": names[held["code"]]}
        out[name] = in_proto3_json(held)
    return out


def test_both_dialects_of_ids_and_enums_are_one_record() -> None:
    plain = request(CALL, {**ROOT, "status": {"code": 2, "message": "boom"}})
    rows = merged(parse("otlp", lines_from(plain)).spans)
    assert merged(parse("otlp", lines_from(in_proto3_json(plain))).spans) == rows
    upper = json.loads(json.dumps(plain).replace(TRACE, TRACE.upper()).replace(SPAN, SPAN.upper()))
    assert merged(parse("otlp", lines_from(upper)).spans) == rows
    assert by_id(rows, PARENT)["error_message"] == "boom"


@pytest.mark.parametrize("keep_names", [False, True])
def test_what_protobuf_itself_writes_as_json(keep_names: bool) -> None:
    message = ExportTraceServiceRequest(resource_spans=[ResourceSpans()])
    resource = message.resource_spans[0]
    resource.resource.attributes.add(key="service.name").value.string_value = "bot"
    own = resource.scope_spans.add().spans.add(
        trace_id=bytes.fromhex(TRACE),
        span_id=bytes.fromhex(SPAN),
        parent_span_id=bytes.fromhex(PARENT),
        name="chat",
        start_time_unix_nano=int(AT),
        end_time_unix_nano=int(AT) + 5,
    )
    own.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    own.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 7
    own.attributes.add(key="raw").value.bytes_value = b"hi"
    own.attributes.add(key="list").value.array_value.values.add().double_value = 0.5
    own.status.code = 2
    text = MessageToJson(message, preserving_proto_field_name=keep_names)
    (row,) = (parsed := parse("otlp", [Line(0, text.encode())])).spans
    assert not parsed.bad
    assert (row.namespace, row.span_id, row.parent_id) == (f"trace:{TRACE}", SPAN, PARENT)
    assert (row.kind, row.tokens_input, row.status, row.agent) == ("llm", 7, "error", "bot")
    assert json.loads(row.parts["attributes"]) == {"raw": "hi", "list": [0.5]}
    assert (row.started_ns, row.ended_ns) == (int(AT), int(AT) + 5)


# --- what is damaged


def test_a_bad_item_costs_the_others_nothing() -> None:
    timeless = {"traceId": TRACE, "spanId": "1" * 16, "name": "n"}
    parsed = parse("otlp", lines_from(request(CALL, 7, timeless, ROOT)))
    assert [one.span_id for one in parsed.spans] == [SPAN, PARENT]
    assert rejected(parsed) == ["2 of its 4 items: no time that can be read"]


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ({}, "not an OTLP request"),
        ([], "no request in it"),
        ([7], "not an OTLP request"),
        ({"resourceSpans": {}}, "resourceSpans is not a list"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": "x"}]}]}, "spans is not a list"),
        (request(timeless := {"traceId": TRACE, "spanId": SPAN}), "no time that can be read"),
    ],
)
def test_what_holds_no_record_is_rejected_and_says_why(damaged: object, reason: str) -> None:
    assert rejected(parse("otlp", lines_from(damaged))) == [reason]


@pytest.mark.parametrize("depth", [90, 700, 990, 5_000, 100_000])
def test_json_in_a_text_that_is_nested_too_deeply_costs_its_span_at_most(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    texts = [
        pairs(gen_ai__system="x", gen_ai__input__messages=f'[{{"role":"system","content":{deep}}}]'),
        pairs(gen_ai__system="x", gen_ai__request__model="m", gen_ai__output__messages=f'["reasoning", {deep}]'),
    ]
    spans = [span(f"{number:016x}", attributes=own) for number, own in enumerate(texts, 1)]
    parsed = parse("otlp", lines_from(request(*spans, CALL)))
    assert SPAN in {row.span_id for row in parsed.spans}
    assert len(parsed.spans) >= 3 or "nested too deeply" in rejected(parsed)[0]


def test_a_document_that_grows_is_one_reading() -> None:
    same_when_read_in_versions("otlp", [[request(CALL)], [request(CALL), request(ROOT)]])


def test_an_empty_request_is_no_fault() -> None:
    requests: list[Any] = [{"resourceSpans": []}, {"resourceSpans": [{"scopeSpans": []}]}, {"resourceLogs": [{}]}]
    for empty in requests:
        parsed = parse("otlp", lines_from(empty))
        assert not parsed.bad
        assert not parsed.spans


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({"traceId": "1234"}, "trace_id"),
        ({"spanId": "zz"}, "span_id"),
        ({"parentSpanId": "?"}, "parent_id"),
        ({"status": {"code": "NOT_A_STATUS"}}, "status"),
        ({"startTimeUnixNano": "yesterday"}, "start"),
        ({"events": ["x"]}, "events"),
        ({"attributes": "x"}, "attributes"),
    ],
)
def test_what_had_to_be_dropped_is_flagged_and_the_span_kept(changed: dict[str, Any], flag: str) -> None:
    parsed = parse("otlp", lines_from(request({**CALL, **changed})))
    (row,) = parsed.spans
    assert not parsed.bad
    assert row.flags is not None
    assert flag in row.flags.split(",")


def test_an_end_that_cannot_be_read_leaves_a_start() -> None:
    (row,) = parse("otlp", lines_from(request({**CALL, "endTimeUnixNano": "x"}))).spans
    assert (row.rank, row.ended_ns, row.flags) == (Rank.STARTED, None, "end")


def test_bytes_that_are_no_text_are_mended_and_flagged() -> None:
    line = json.dumps(request({**CALL, "name": "NAME"})).encode().replace(b"NAME", b"\xff\xfe")
    (row,) = parse("otlp", [Line(0, line)]).spans
    assert row.flags == "utf8"


def test_a_resource_that_cannot_be_read_is_flagged_on_its_spans() -> None:
    broken = copy.deepcopy(request(CALL))
    broken["resourceSpans"][0]["resource"]["attributes"] = "x"
    (row,) = parse("otlp", lines_from(broken)).spans
    assert row.flags == "resource"


def test_a_configured_agent_goes_before_the_service() -> None:
    (row,) = parse("otlp", lines_from(request(CALL, service__name="bot")), agent="mine").spans
    assert row.agent == "mine"


@pytest.mark.parametrize(
    "other",
    [
        {"resourceSpans": "x"},
        {"spans": []},
        {"trace": {}, "observations": []},
        [{"name": "a"}],
        {"case": {"input": {"resourceSpans": []}}},
    ],
)
def test_others_are_not_taken_for_it(other: object) -> None:
    found = recognise([json.dumps(other).encode()])
    assert found is None or found.name != "otlp"
