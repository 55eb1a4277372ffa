"""Langfuse exports: usage counted once however often wrappers repeat it, JSON within JSON text, levels, old fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import recognise
from collectors.formats.base import Line
from store.record.span import Rank
from tests.unit.format_documents import (
    by_id,
    document,
    files_of,
    loaded,
    name_of,
    read_file,
    rows_in,
    same_when_read_in_versions,
    total,
)
from tests.unit.format_files import lines_from, merged, needs_data, of_kind, parse, parts_of, rejected

FILES = files_of("langfuse", "*.json")
# file -> model calls, tool calls, tokens in and out, nano-dollars: added up by hand from the GENERATION observations
# that hold no other (`jq '.observations[] | select(.type=="GENERATION") | [.id, .parentObservationId, .usageDetails]'`)
FIGURES = {
    "claude-agent-2025-12-22": (4, 2, 5 + 5 + 5 + 19, 94 + 56 + 53 + 29, 1_425_000 + 855_000 + 810_000 + 492_000),
    "google-adk-2025-08-28": (2, 1, 39 + 28, 6 + 3, 6_300 + 4_000),
    "langgraph-python-2025-08-22": (2, 0, 60 + 108, 15 + 51, 75_000 + 159_000),
    "microsoft-agent-2025-12-17": (2, 1, 77 + 216, 86 + 20, 191_250 + 94_000),
    "openai-agents-2025-09-30": (2, 1, 85 + 55, 29 + 15, 402_000 + 230_000),
    "vercel-aisdk-2025-11-17": (1, 1, 62, 85, 927_500),
}
T0, T1 = "2026-01-31T02:14:00.000Z", "2026-01-31T02:14:02.500Z"
T0_NS = 1_769_825_640_000_000_000
TRACE = {"id": "t1", "timestamp": T0, "sessionId": "s1", "userId": "u1", "projectId": "p", "environment": "prod"}


def observation(own: str, kind: str = "GENERATION", **fields: Any) -> dict[str, Any]:
    row = {"id": own, "traceId": "t1", "type": kind, "startTime": T0, "endTime": T1, "level": "DEFAULT"}
    return {**row, "parentObservationId": None, **fields}


def export(*observations: dict[str, Any], **trace: Any) -> dict[str, Any]:
    return {"trace": {**TRACE, **trace}, "observations": list(observations)}


def one(**fields: Any) -> dict[str, Any]:
    return by_id(rows_in("langfuse", export(observation("o1", **fields))), "o1")


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_real_export(path: Path) -> None:
    rows = merged(read_file(path, "langfuse").spans)
    raw = loaded(path)["observations"]
    llm, tools = of_kind(rows, "llm"), of_kind(rows, "tool")
    figures = (len(llm), len(tools), total(rows, "tokens_input"), total(rows, "tokens_output"))
    assert (*figures, total(rows, "cost_nano")) == FIGURES[path.name.partition(".")[0]]
    assert len(rows) == len(raw) + 1  # every observation, and the trace
    assert {row["session"] for row in rows.values()} == {loaded(path)["trace"]["sessionId"] or raw[0]["traceId"]}
    (run,) = of_kind(rows, "run")
    assert run["status"] == "ok"
    assert {row["run_id"] for row in rows.values()} == {raw[0]["traceId"]}
    assert all(row["tool"] for row in tools)
    assert {row["cost_basis"] for row in llm} == {"reported"}
    assert run["ended_ns"] - run["started_ns"] == round(loaded(path)["trace"]["latency"] * 1000) * 10**6


@needs_data
def test_payloads_are_undone_down_to_the_innermost_text() -> None:
    (path,) = (path for path in FILES if path.name.startswith("claude-agent"))
    spans = read_file(path, "langfuse").spans
    trace_input = next(span.parts["input"] for span in spans if span.kind == "run")
    raw = loaded(path)["trace"]["input"]
    assert raw.startswith('"{')  # JSON text within JSON text
    assert json.loads(trace_input) == json.loads(json.loads(raw))
    assert {span.tool for span in spans if span.kind == "tool"} == {"mcp__weather__get_weather"}


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_observations_one_a_line_count_the_same(path: Path) -> None:
    lines = lines_from(*loaded(path)["observations"])
    found = recognise([line.data for line in lines])
    assert found is not None
    assert found.name == "langfuse"
    whole, apart = merged(read_file(path, "langfuse").spans), merged(parse("langfuse", lines).spans)
    assert len(of_kind(apart, "llm")) == len(of_kind(whole, "llm"))  # an outer call is known by its name
    for field in ("tokens_input", "tokens_output", "cost_nano"):
        assert total(apart, field) == total(whole, field)


def test_a_wrapper_with_usage_of_its_own_does_not_count_it() -> None:
    usage: dict[str, Any] = {"usageDetails": {"input": 10, "output": 5, "total": 15}, "totalCost": 0.5}
    rows = rows_in(
        "langfuse",
        export(
            observation("a", "AGENT", **usage),
            observation("g", parentObservationId="a", **usage),
            observation("h", parentObservationId="g", **usage),
            observation("i", parentObservationId="a", **usage),
        ),
    )
    assert total(rows, "tokens_input") == 20
    assert total(rows, "cost_nano") == 1_000_000_000
    assert by_id(rows, "g")["kind"] is None
    assert [by_id(rows, own)["kind"] for own in ("h", "i")] == ["llm", "llm"]


def test_a_model_call_whose_tool_calls_a_model_keeps_its_own_usage() -> None:
    usage: dict[str, Any] = {"usageDetails": {"input": 10, "output": 5, "total": 15}}
    rows = rows_in(
        "langfuse",
        export(
            observation("agent", "AGENT", **usage),
            observation("outer", parentObservationId="agent", **usage),
            observation("tool", "TOOL", parentObservationId="outer"),
            observation("sub", "AGENT", parentObservationId="tool", **usage),
            observation("inner", parentObservationId="sub", **usage),
        ),
    )
    assert {row["span_id"]: row["tokens_input"] for row in of_kind(rows, "llm")} == {"outer": 10, "inner": 10}
    assert total(rows, "tokens_input") == 20


def test_parents_in_a_circle_and_parents_that_are_missing() -> None:
    usage: dict[str, Any] = {"usageDetails": {"input": 10, "output": 5}}
    rows = rows_in(
        "langfuse",
        export(
            observation("a", parentObservationId="b", **usage),
            observation("b", parentObservationId="a", **usage),
            observation("c", parentObservationId="gone", **usage),
        ),
    )
    assert by_id(rows, "c")["parent_id"] == "gone"
    assert by_id(rows, "c")["tokens_input"] == 10


@pytest.mark.parametrize(
    ("usage", "fresh", "read", "write", "out", "flags"),
    [
        ({"input": 10, "output": 5}, 10, None, None, 5, None),
        # disjoint, as Langfuse means it
        ({"input": 10, "output": 5, "input_cached_tokens": 4, "total": 19}, 10, 4, None, 5, None),
        ({"input": 10, "output": 5, "cache_read_input_tokens": 4}, 10, 4, None, 5, None),
        # the sender put all of the input there: its total says so
        ({"input": 10, "output": 5, "input_cached_tokens": 4, "total": 15}, 6, 4, None, 5, None),
        (
            {"input": 90, "output": 5, "input_cache_read": 40, "input_cache_creation": 30, "total": 95},
            20,
            40,
            30,
            5,
            None,
        ),
        # reasoning beside the answer, and within it
        ({"input": 10, "output": 5, "output_reasoning_tokens": 7, "total": 22}, 10, None, None, 12, None),
        ({"input": 10, "output": 9, "output_reasoning_tokens": 7, "total": 19}, 10, None, None, 9, None),
        ({"input": 10, "output": 5, "total": 99}, 10, None, None, 5, "total_tokens"),
        ({"input": "x", "output": 5}, None, None, None, 5, "tokens.input"),
        ({"input": 0, "output": 0, "total": 0}, None, None, None, None, None),
    ],
)
def test_what_input_means_shows_in_the_total(
    usage: dict[str, Any], fresh: int | None, read: int | None, write: int | None, out: int | None, flags: str | None
) -> None:
    row = one(usageDetails=usage)
    counts = [row[name] for name in ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m", "tokens_output")]
    assert counts == [fresh, read, write, out]
    assert row["flags"] == flags


def test_older_fields_of_usage_and_cost() -> None:
    legacy = one(usage={"input": 7, "output": 3, "total": 10, "unit": "TOKENS"}, calculatedTotalCost=0.25)
    assert (legacy["tokens_input"], legacy["tokens_output"], legacy["cost_nano"]) == (7, 3, 250_000_000)
    older = one(promptTokens=7, completionTokens=3, totalTokens=10)
    assert (older["tokens_input"], older["tokens_output"], older["flags"]) == (7, 3, None)
    flat = one(inputUsage=7, outputUsage=3, totalUsage=10, usageDetails={}, totalCost="0.000001")
    assert (flat["tokens_input"], flat["tokens_output"], flat["cost_nano"]) == (7, 3, 1000)


def test_a_cost_of_zero_is_no_cost_that_is_known() -> None:
    assert one(usageDetails={"input": 5, "output": 5}, totalCost=0)["cost_nano"] is None
    bad = one(costDetails={"total": -3})
    assert (bad["cost_nano"], bad["flags"]) == (None, "cost")


def test_levels_and_what_is_still_running() -> None:
    rows = rows_in(
        "langfuse",
        export(
            observation("root", "SPAN", level="ERROR", statusMessage="boom"),
            observation("w", level="WARNING", parentObservationId="root"),
            observation("d", level="DEBUG", parentObservationId="root"),
        ),
    )
    assert [by_id(rows, own)["status"] for own in ("root", "w", "d")] == ["error", "ok", "ok"]
    assert by_id(rows, "root")["error_message"] == "boom"
    (run,) = of_kind(rows, "run")
    assert (run["status"], run["error_message"]) == ("error", "boom")
    running = rows_in("langfuse", export(observation("r", endTime=None)))
    assert {row["rank"] for row in running.values()} == {Rank.STARTED}
    handled = rows_in("langfuse", export(observation("r"), observation("x", level="ERROR", parentObservationId="r")))
    assert of_kind(handled, "run")[0]["status"] == "ok"


def test_times_prompt_and_names() -> None:
    row = one(completionStartTime="2026-01-31T02:14:00.750Z", promptName="greet", promptVersion=3, model="m")
    assert (row["ttft_ns"], row["prompt_version"], row["model"]) == (750_000_000, "greet:3", "m")
    assert (row["user_id"], row["environment"], row["session"]) == ("u1", "prod", "s1")
    assert (row["started_ns"], row["ended_ns"]) == (T0_NS, T0_NS + 2_500_000_000)
    assert one(providedModelName="new", model="old")["model"] == "new"
    event = one(type="EVENT", endTime=None)
    assert (event["ended_ns"], event["rank"], event["kind"]) == (T0_NS, Rank.ENDED, None)
    tool = one(type="TOOL", name="execute_tool x", metadata=json.dumps({"attributes": {"gen_ai.tool.name": "y"}}))
    assert tool["tool"] == tool["name"] == "y"
    assert one(type="TOOL", name="execute_tool x")["tool"] == "x"


def test_the_other_shapes() -> None:
    inner = {**TRACE, "observations": [observation("o1", usageDetails={"input": 3, "output": 1})]}
    for value in (inner, {"data": [inner], "meta": {"page": 1}}, [inner]):
        rows = rows_in("langfuse", value)
        assert total(rows, "tokens_input") == 3
        found = recognise([json.dumps(value, indent=2).encode()])
        assert found is not None
        assert found.name == "langfuse"
    listed = rows_in("langfuse", {"data": [{**TRACE, "observations": ["o1", "o2"], "latency": 2.5, "totalCost": 9}]})
    (run,) = listed.values()
    assert (run["ended_ns"] - run["started_ns"], run["status"]) == (2_500_000_000, "unknown")
    assert run["cost_nano"] is None  # the observations carry it


def test_a_trace_and_its_observations_from_two_files_are_one_run() -> None:
    spans = [
        *parse("langfuse", document({**TRACE, "latency": 2.5})).spans,
        *parse("langfuse", lines_from(observation("o1", sessionId="s1"))).spans,
    ]
    assert len(merged(spans)) == 2
    assert {(span.session, span.run_id) for span in spans} == {("s1", "t1")}


def test_a_bad_item_costs_the_others_nothing() -> None:
    parsed = parse("langfuse", document([observation("o1"), 3, observation("o2"), {"id": 1}]))
    assert {span.span_id for span in parsed.spans} == {"o1", "o2"}
    assert rejected(parsed) == ["2 of its 4 items: neither a trace nor an observation"]
    drifted = [observation("o1"), observation("o2"), observation("o3", "NEWTYPE")]
    assert recognise([json.dumps(drifted).encode()]) is not None
    unknown = parse("langfuse", document(export(observation("o1", "NEWTYPE"), observation("o2", startTime="x"))))
    assert unknown.unknown_types == {"langfuse/NEWTYPE": 1, "langfuse/GENERATION-without-time": 1}


def test_an_export_that_grows() -> None:
    usage: dict[str, Any] = {"usageDetails": {"input": 3, "output": 1}}
    same_when_read_in_versions(
        "langfuse",
        [
            export(observation("r", "SPAN", endTime=None)),
            export(observation("r", "SPAN", endTime=None), observation("g", parentObservationId="r", **usage)),
            export(observation("r", "SPAN"), observation("g", parentObservationId="r", **usage)),
        ],
    )


def test_ids_of_the_trace_tell_its_spans_from_those_of_another() -> None:
    spans = [span for own in ("t1", "t2") for span in parse("langfuse", document(export(id=own))).spans]
    assert len(merged(spans)) == 2
    assert len({span.span_id for span in spans}) == 2


@pytest.mark.parametrize(
    "head", [b'{"trace": {"id": 1}}', b"[]", b"[3]", b'{"data": []}', b'{"id": "x", "timestamp": 1}']
)
def test_others_are_not_taken_for_it(head: bytes) -> None:
    found = recognise([head])
    assert found is None or found.name != "langfuse"


def test_bytes_that_are_no_text_keep_their_place() -> None:
    data = json.dumps(export(observation("o1", input="x"))).encode().replace(b'"x"', b'"\xff"')
    parsed = parse("langfuse", [Line(0, data)])
    assert not parsed.bad
    assert parts_of(parsed.spans)["trace:t1", "o1"]["input"] == "\ufffd"
    assert {span.flags for span in parsed.spans} == {"utf8"}
