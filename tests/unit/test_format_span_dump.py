"""Spans as SDKs dump them: real files of any-agent and openinference, and what the Python SDK itself writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from collectors.formats import recognise
from collectors.formats.base import Line, Parsed
from store.record.span import NS_PER_S
from tests.unit.format_documents import (
    by_id,
    document,
    files_of,
    loaded,
    name_of,
    rows_in,
    same_when_read_in_versions,
    total,
)
from tests.unit.format_files import Rows, lines_from, merged, needs_data, of_kind, parse, parts_of, rejected

NAME = "otel-spans"
ANY_AGENT = files_of("otel-span-json", "*_trace.json")
VERCEL = [path for path in files_of("otel-span-json", "v6-spans/*.json") if path.name != "capture-results.json"]
BAGS = [*files_of("otel-span-json", "*-B.*.json"), *files_of("otel-span-json", "openinference-genai/**/*.json")]
# (input, output) tokens, nano-dollars, model calls, tool calls: written down from the files with jq
EXPECTED = {
    "GOOGLE_trace": ((2251, 86), 250_900, 3, 3),
    "LANGCHAIN_trace": ((1262, 125), 163_700, 4, 2),
    "OPENAI_trace": ((1020, 76), 124_800, 3, 2),
    "SMOLAGENTS_trace": ((2294, 87), 255_500, 3, 3),
}


def read(path: Path) -> Parsed:
    data = path.read_bytes()
    found = recognise([data], whole=True)
    assert found is not None
    assert found.name == NAME
    return parse(NAME, [Line(0, data)], str(path))


@needs_data
@pytest.mark.parametrize("path", [*ANY_AGENT, *VERCEL, *BAGS], ids=name_of)
def test_every_real_file_is_recognised_and_read_twice_as_once(path: Path) -> None:
    parsed, again = read(path), read(path)
    assert set(rejected(parsed)) <= {"attributes alone, without a time"}
    assert bool(parsed.spans) is not bool(parsed.bad)
    assert merged(parsed.spans + again.spans) == merged(parsed.spans)


@needs_data
def test_a_summary_of_a_capture_is_no_dump() -> None:
    (path,) = files_of("otel-span-json", "capture-results.json")
    assert recognise([path.read_bytes()], whole=True) is None


# --- any-agent


@needs_data
@pytest.mark.parametrize("path", ANY_AGENT, ids=lambda path: path.stem)
def test_any_agent(path: Path) -> None:
    """Ids of 64 and 128 bits as numbers, parents as objects, the root last, cost as floats."""
    rows = merged(read(path).spans)
    raw = loaded(path)["spans"]
    (given, out), nano, calls, tools = EXPECTED[path.stem]
    assert (total(rows, "tokens_input"), total(rows, "tokens_output"), total(rows, "cost_nano")) == (given, out, nano)
    assert (len(of_kind(rows, "llm")), len(of_kind(rows, "tool")), len(of_kind(rows, "run"))) == (calls, tools, 1)
    assert given == sum(row["attributes"].get("gen_ai.usage.input_tokens", 0) for row in raw)
    assert {row["span_id"] for row in rows.values()} == {f"{row['context']['span_id']:016x}" for row in raw}
    (trace_id,) = {f"{row['context']['trace_id']:032x}" for row in raw}
    assert {(row["namespace"], row["session"]) for row in rows.values()} == {(f"trace:{trace_id}", trace_id)}
    (run,) = of_kind(rows, "run")
    assert (run["name"], run["parent_id"], run["started_ns"]) == ("any_agent", None, raw[-1]["start_time"])
    assert {row["cost_basis"] for row in of_kind(rows, "llm")} == {"reported"}
    assert not any(row["flags"] for row in rows.values())


@needs_data
def test_ids_above_63_bits_keep_every_digit() -> None:
    path = next(path for path in ANY_AGENT if path.stem == "OPENAI_trace")
    rows = merged(read(path).spans)
    assert of_kind(rows, "run")[0]["span_id"] == f"{12324293800750531911:016x}" == "ab08afea3548c547"
    google = next(path for path in ANY_AGENT if path.stem == "GOOGLE_trace")
    rows = merged(read(google).spans)
    missing = {row["parent_id"] for row in rows.values()} - {row["span_id"] for row in rows.values()} - {None}
    assert len(missing) == 4  # parents that the file does not hold: of three calls one, of three tools one each


@needs_data
def test_tool_arguments_that_are_text_in_text() -> None:
    path = next(path for path in ANY_AGENT if path.stem == "OPENAI_trace")
    parsed = read(path)
    texts = [parts_of(parsed.spans)[key] for key, row in merged(parsed.spans).items() if row["tool"] == "write_file"]
    assert texts == [{**texts[0], "input": '{"text": "2025"}', "output": "{}"}]


@needs_data
def test_a_dump_that_grows_is_one_reading() -> None:
    path = next(path for path in ANY_AGENT if path.stem == "OPENAI_trace")
    raw = loaded(path)
    versions: list[object] = [{"spans": raw["spans"][:upto]} for upto in range(1, len(raw["spans"]) + 1)]
    same_when_read_in_versions(NAME, versions)


# --- Vercel AI SDK


@needs_data
@pytest.mark.parametrize("name", ["all-spans", "spans-by-operation"])
def test_vercel_spans_count_each_call_once(name: str) -> None:
    """Five pairs of a call and its wrapper, both with usage, under three names: 152 in and 297 out, not twice that."""
    path = next(path for path in VERCEL if path.stem == name)
    rows = merged(read(path).spans)
    raw = loaded(path)
    raw = raw if isinstance(raw, list) else [row for one in raw.values() for row in one]
    assert len(rows) == len(raw) == 10
    inner = [row["attributes"] for row in raw if ".do" in row["name"]]
    names = ("ai.usage.promptTokens", "ai.usage.inputTokens", "ai.usage.tokens")
    assert total(rows, "tokens_input") == sum(held.get(key, 0) for held in inner for key in names) == 152
    assert total(rows, "tokens_output") == 20 + 9 + 156 + 112
    assert (len(of_kind(rows, "llm")), len(of_kind(rows, "run"))) == (5, 5)
    stream = by_id(rows, "5a81ef3ffb5d8603")
    assert (stream["started_ns"], stream["ended_ns"]) == (1_770_132_000_598_000_000, 1_770_132_005_984_307_375)
    assert stream["ttft_ns"] == 426_853_500
    assert {row["provider"] for row in of_kind(rows, "llm")} == {"openai"}


# --- attributes alone


@needs_data
def test_attributes_alone_are_records_where_they_say_when() -> None:
    rows: dict[str, Rows] = {path.name: merged(read(path).spans) for path in BAGS}
    assert {name for name, own in rows.items() if own} == {"opencode-B.doStream.json"}
    (row,) = rows["opencode-B.doStream.json"].values()
    assert (row["session"], row["user_id"], row["agent"]) == ("ses_163f6d41affe5UvQOoAwyu4xVP", "rchaves", "opencode")
    assert (row["tokens_input"], row["tokens_cache_read"], row["tokens_cache_write_5m"]) == (3, 0, 12_629)
    assert (row["tokens_output"], row["started_ns"], row["kind"]) == (13, None, "llm")
    assert row["model_served"] == "claude-haiku-4-5-20251001"


# --- the Python SDK


def dumped() -> list[dict[str, Any]]:
    """A trace as the SDK's own console exporter writes it: 0x ids, ISO times, an exception."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "bot"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        attributes: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7}
        with tracer.start_as_current_span("chat m", attributes=attributes) as span:
            span.record_exception(ValueError("bad"))
            span.set_status(StatusCode.ERROR, "it broke")
    provider.shutdown()
    return [json.loads(one.to_json()) for one in exporter.get_finished_spans()]


@pytest.mark.parametrize("shape", ["lines", "list", "spans"])
def test_what_the_python_sdk_writes(shape: str) -> None:
    rows_ = dumped()
    lines = {"lines": lines_from(*rows_), "list": document(rows_), "spans": document({"spans": rows_})}[shape]
    found = recognise([line.data for line in lines])
    assert found is not None
    assert found.name == NAME
    parsed = parse(NAME, lines)
    rows = merged(parsed.spans)
    (call,), (run,) = of_kind(rows, "llm"), of_kind(rows, "run")
    assert (call["parent_id"], call["namespace"]) == (run["span_id"], run["namespace"])
    assert (call["status"], call["error_type"], call["error_message"]) == ("error", "ValueError", "bad")
    assert (call["agent"], call["tokens_input"], run["status"]) == ("bot", 7, "ok")
    assert run["started_ns"] <= call["started_ns"] <= call["ended_ns"] <= run["ended_ns"]
    assert "0x" not in call["span_id"] + call["namespace"]
    assert not call["flags"]


# --- what is damaged


def dump(**changed: Any) -> dict[str, Any]:
    row = {
        "name": "n",
        "context": {"trace_id": 5, "span_id": 2**63 + 1},
        "parent": None,
        "start_time": 1_769_825_640 * NS_PER_S,
        "end_time": 1_769_825_641 * NS_PER_S,
        "status": {"status_code": "ok"},
        "attributes": {},
    }
    return {**row, **changed}


@pytest.mark.parametrize(
    ("changed", "flags"),
    [
        ({}, None),
        ({"context": {"trace_id": str(2**127 + 1), "span_id": str(2**63 + 1)}}, None),  # numbers as text
        ({"context": {"trace_id": 2**128, "span_id": -1}}, "span_id,trace_id"),
        ({"context": {"trace_id": 5.5, "span_id": True}}, "span_id,trace_id"),
        ({"parent": {"span_id": "x"}}, "parent_id"),
        ({"status": {"status_code": "perhaps"}}, "status"),
        ({"status": {"status_code": "StatusCode.OK"}}, None),
        ({"start_time": "yesterday"}, "start"),
        ({"start_time": [1_769_825_640, 5]}, None),
        ({"start_time": [1_769_825_640, NS_PER_S]}, "start"),
        ({"events": [7, {"name": "e", "timestamp": "x"}]}, "events"),
        ({"resource": {"attributes": 7}}, "attributes"),
    ],
)
def test_what_had_to_be_dropped_is_flagged(changed: dict[str, Any], flags: str | None) -> None:
    (row,) = rows_in(NAME, dump(**changed)).values()
    assert row["flags"] == flags


def test_a_bad_item_costs_the_others_nothing() -> None:
    parsed = parse(NAME, document([dump(), 7, {"name": "x"}]))
    assert len(parsed.spans) == 1
    assert rejected(parsed) == ["2 of its 3 items: not a span"]
    assert rejected(parse(NAME, document(dump(start_time=None, end_time=None)))) == ["no time that can be read"]


@pytest.mark.parametrize(
    "other",
    [
        {"spans": []},
        {"a": [], "b": []},
        {"name": "x", "attributes": {}},
        {"llm.model": 1},
        {"spans": [{"span_id": 1}]},
        [[]],
    ],
)
def test_others_are_not_taken_for_it(other: object) -> None:
    found = recognise([json.dumps(other).encode()])
    assert found is None or found.name != NAME
