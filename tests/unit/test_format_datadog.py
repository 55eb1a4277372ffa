"""Datadog spans: keys that do not collide though span ids do, float counts, APM traces and LLM Observability events."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import recognise
from tests.unit.format_documents import by_id, document, files_of, loaded, name_of, read_file, rows_in, total
from tests.unit.format_files import lines_from, merged, needs_data, of_kind, parse, parts_of, rejected

FILES = files_of("datadog", "*.json")
T0_NS = 1_769_825_640_000_000_000
# file -> runs (agents at any depth, and the root), model calls, tool calls, errors among the last two. Counted by eye.
FIGURES = {
    "claude_agent_sdk.test_claude_agent_sdk.test_client_query": (1, 1, 0, 0),
    "claude_agent_sdk.test_claude_agent_sdk.test_client_query_error": (1, 0, 0, 0),
    "claude_agent_sdk.test_claude_agent_sdk.test_query": (1, 1, 0, 0),
    "claude_agent_sdk.test_claude_agent_sdk.test_query_error": (1, 1, 0, 1),
    "claude_agent_sdk.test_claude_agent_sdk.test_query_with_bash_tool_use": (1, 1, 1, 0),
    "claude_agent_sdk.test_claude_agent_sdk.test_query_with_grep_tool_use": (1, 1, 1, 0),
    "claude_agent_sdk.test_claude_agent_sdk.test_query_with_read_tool_use": (1, 1, 1, 0),
    "crewai.test_crewai.test_basic_crew": (3, 0, 0, 0),
    "crewai.test_crewai.test_complex_flow": (1, 0, 0, 0),
    "crewai.test_crewai.test_conditional_crew": (3, 0, 1, 0),
    "crewai.test_crewai.test_crew_with_async_tasks": (3, 0, 1, 0),
    "crewai.test_crewai.test_crew_with_tool": (2, 0, 1, 0),
    "crewai.test_crewai.test_hierarchical_crew": (6, 0, 3, 0),
    "crewai.test_crewai.test_simple_flow": (1, 0, 0, 0),
    "mcp.test_mcp.test_mcp_tool_call": (1, 0, 1, 0),
    "mcp.test_mcp.test_mcp_tool_error": (1, 0, 1, 1),
}


def apm(own: int, parent: int, kind: str | None = None, **fields: Any) -> dict[str, Any]:
    meta = {"_dd.llmobs.span_kind": kind} if kind else {}
    row = {"name": f"lib.{own}", "service": "shop", "resource": "lib", "trace_id": 0, "span_id": own, "error": 0}
    times = {"parent_id": parent, "start": T0_NS + own, "duration": 1000, "type": ""}
    return {**row, **times, "meta": meta, "metrics": {}, **fields}


def event(own: str = "111", kind: str = "llm", **fields: Any) -> dict[str, Any]:
    row = {"span_id": own, "trace_id": "ab" * 16, "parent_id": "999", "name": "n", "start_ns": T0_NS, "duration": 5000}
    meta = {"span": {"kind": kind}, "model_name": "gpt-4o", "model_provider": "openai"}
    tags = ["env:prod", "ml_app:bot", "version:2", "service:web"]
    return {**row, "status": "ok", "meta": meta, "metrics": {}, "tags": tags, "session_id": "talk", **fields}


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_real_snapshot(path: Path) -> None:
    raw = [span for trace in loaded(path) for span in trace]
    rows = merged(read_file(path, "datadog").spans)
    llm, tools = of_kind(rows, "llm"), of_kind(rows, "tool")
    errors = sum(row["status"] == "error" for row in (*llm, *tools))
    assert (len(of_kind(rows, "run")), len(llm), len(tools), errors) == FIGURES[path.name.removesuffix(".json")]
    assert len(rows) == len(raw)
    assert Counter(row["status"] for row in rows.values()) == Counter("error" if one["error"] else "ok" for one in raw)
    assert sorted(row["started_ns"] for row in rows.values()) == sorted(one["start"] for one in raw)
    assert sum(row["ended_ns"] - row["started_ns"] for row in rows.values()) == sum(one["duration"] for one in raw)
    (root,) = (row for row in rows.values() if row["parent_id"] is None)
    assert root["kind"] == "run"
    ids = {row["span_id"] for row in rows.values()}
    assert all(row["parent_id"] in ids for row in rows.values() if row is not root)
    assert {row["agent"] for row in rows.values()} == {one["service"] for one in raw}


@needs_data
def test_keys_of_files_that_all_number_their_spans_from_1_do_not_collide() -> None:
    spans = [span for path in FILES for span in read_file(path, "datadog").spans]
    raw = [one for path in FILES for trace in loaded(path) for one in trace]
    assert {one["trace_id"] for one in raw} == {0}
    assert len(merged(spans)) == len(raw) == 73
    assert (
        len({span.session for span in spans}) == len({span.span_id for span in spans if span.parent_id is None}) == 16
    )


@needs_data
def test_errors_keep_their_type_message_and_stack() -> None:
    (path,) = (path for path in FILES if path.name.endswith("test_query_error.json") and "client" not in path.name)
    parsed = read_file(path, "datadog")
    (call,) = of_kind(merged(parsed.spans), "llm")
    assert (call["error_type"], call["error_message"]) == ("builtins.ValueError", "Connection failed")
    assert all("Traceback" in parts["error"] for parts in parts_of(parsed.spans).values())
    (path,) = (path for path in FILES if path.name.startswith("mcp.test_mcp.test_mcp_tool_error"))
    (tool,) = of_kind(merged(read_file(path, "datadog").spans), "tool")
    assert tool["error_message"] == "Error executing tool failing_tool: Tool execution failed"


def test_a_trace_has_the_same_key_in_every_shape() -> None:
    trace = [apm(1, 0, "agent"), apm(2, 1, "llm")]
    expected = rows_in("datadog", [trace])
    for lines in (
        document(trace),
        lines_from(trace),
        lines_from([trace]),
        document([[apm(2, 1, "llm"), apm(1, 0, "agent")]]),
    ):
        found = recognise([line.data for line in lines])
        assert found is not None
        assert found.name == "datadog"
        assert merged(parse("datadog", lines).spans) == expected
    other = rows_in("datadog", [[apm(1, 0, "agent", start=T0_NS + 7), apm(2, 1, "llm")]])
    assert not expected.keys() & other.keys()


def test_a_trace_with_an_id_keeps_it_however_it_is_cut() -> None:
    own = {"trace_id": 2**64 - 3, "start": T0_NS}
    spans = [apm(2**63 + 5, 0, "agent", **own), apm(2**63 + 6, 2**63 + 5, "llm", **own)]
    whole = rows_in("datadog", [spans])
    apart = merged(parse("datadog", lines_from(*([[one]] for one in spans))).spans)
    assert whole == apart
    assert {row["namespace"] for row in whole.values()} == {f"trace:{2**64 - 3}"}
    assert by_id(whole, str(2**63 + 6))["parent_id"] == str(2**63 + 5)


def test_counts_are_floats_and_input_holds_the_cache() -> None:
    names = {"input_tokens": 1000.0, "output_tokens": 20.0, "total_tokens": 1020.0, "cache_read_input_tokens": 600.0}
    metrics = {f"_dd.llmobs.{name}": value for name, value in {**names, "cache_write_input_tokens": 300.0}.items()}
    rows = rows_in("datadog", [[apm(1, 0, "agent", metrics=metrics), apm(2, 1, "llm", metrics=metrics)]])
    fields = ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m", "tokens_output")
    assert [total(rows, name) for name in fields] == [100, 600, 300, 20]  # the agent's sum of its calls is left out
    split = {
        **names,
        "ephemeral_5m_input_tokens": 100,
        "ephemeral_1h_input_tokens": 200,
        "cache_write_input_tokens": 300,
    }
    (row,) = rows_in("datadog", event(metrics=split)).values()
    assert [row[name] for name in (*fields, "tokens_cache_write_1h", "flags")] == [100, 600, 100, 20, 200, None]
    (odd,) = rows_in("datadog", event(metrics={"input_tokens": 1.5, "output_tokens": 2})).values()
    assert (odd["tokens_input"], odd["flags"]) == (None, "tokens.input_tokens")


def test_span_events() -> None:
    inner = {"input": {"messages": [{"role": "user", "content": "hi"}]}, "output": {"value": "yo"}}
    failed = {"error": {"type": "KeyError", "message": "boom", "stack": "Traceback"}}
    meta = {"span": {"kind": "tool"}, **inner, **failed}
    events = [
        event(),
        event("222", "tool", name="find", status="error", meta=meta),
        event("333", "agent", parent_id="undefined"),
        event("444", "workflow"),
    ]
    shapes = (events, {"_dd.stage": "raw", "event_type": "span", "spans": events}, [{"spans": events}])
    for shape in shapes:
        found = recognise([json.dumps(shape).encode()])
        assert found is not None
        assert found.name == "datadog"
        parsed = parse("datadog", document(shape))
        rows = merged(parsed.spans)
        key = "ab" * 16
        kinds = [by_id(rows, f"{key}:{own}")["kind"] for own in ("111", "222", "333", "444")]
        assert kinds == ["llm", "tool", "run", None]
        tool = by_id(rows, f"{key}:222")
        assert (tool["tool"], tool["status"], tool["error_type"], tool["error_message"]) == (
            "find",
            "error",
            "KeyError",
            "boom",
        )
        assert (tool["session"], tool["agent"], tool["environment"], tool["agent_version"]) == (
            "talk",
            "bot",
            "prod",
            "2",
        )
        texts = parts_of(parsed.spans)[f"trace:{key}", f"{key}:222"]
        assert texts == {"input": '[{"role":"user","content":"hi"}]', "output": "yo", "error": "Traceback"}
    lines = lines_from(*events)
    assert merged(parse("datadog", lines).spans) == rows_in("datadog", events)


@pytest.mark.parametrize("trace_id", [None, "", 0, {}, ["x"], 2**70])
def test_an_event_needs_a_trace(trace_id: object) -> None:
    parsed = parse("datadog", document([event(trace_id=trace_id), event()]))
    assert len(parsed.spans) == (2 if trace_id == 2**70 else 1)
    assert all(len(span.namespace) < 60 for span in parsed.spans)


def test_the_two_sides_of_an_mcp_call_are_one_call() -> None:
    client = apm(2, 1, name="mcp.request", resource="client_tool_call")
    server = apm(3, 2, name="mcp.request", resource="server_tool_call")
    assert len(of_kind(rows_in("datadog", [[apm(1, 0), client, server]]), "tool")) == 1
    assert len(of_kind(rows_in("datadog", [[apm(1, 0), {**server, "parent_id": 1}]]), "tool")) == 1


def test_bad_spans_cost_the_others_nothing() -> None:
    parsed = parse("datadog", document([[apm(1, 0), {"span_id": 3}, apm(2, 1, start=5)]]))
    assert len(parsed.spans) == 1
    assert rejected(parsed) == ["2 of its 3 items: no time that can be read"]
    huge = rows_in("datadog", [[apm(1, 0, duration=10**30)]])
    assert all(row["ended_ns"] == row["started_ns"] for row in huge.values())


@pytest.mark.parametrize(
    "value", [[], [[]], [[{"span_id": 1, "trace_id": 2}]], {"spans": []}, {"span_id": 1, "meta": {}}]
)
def test_others_are_not_taken_for_it(value: object) -> None:
    assert recognise([json.dumps(value).encode()]) is None
