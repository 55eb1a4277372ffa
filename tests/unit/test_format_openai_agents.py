"""OpenAI Agents SDK traces, in the shapes that `Trace.export()` and `Span.export()` of openai-agents 0.24 write.

No recorded export is at hand, so these are built after the SDK's own source: tracing/traces.py, spans.py, span_data.py
and processors.py (what is posted is `{"data": […]}`), usage.py (`model_usage_to_span_usage`).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from collectors.formats import recognise
from collectors.formats.base import SourceFacts
from store.record.span import Rank
from tests.unit.format_documents import by_id, document, rows_in, total
from tests.unit.format_files import (
    format_of,
    lines_from,
    merged,
    of_kind,
    parse,
    parse_with_restarts,
    parts_of,
    rejected,
)

TRACE_ID = "trace_" + "a" * 32
T0_NS = 1_769_825_640_000_000_000


def at(seconds: float) -> str:
    return f"2026-01-31T02:14:{seconds:09.6f}+00:00"


def trace(own: str = TRACE_ID, **fields: Any) -> dict[str, Any]:
    row = {"object": "trace", "id": own, "workflow_name": "Support", "group_id": "chat-7", "metadata": None}
    return {**row, **fields}


def span(own: str, kind: str, parent: str | None = None, begin: float = 0, end: float | None = 1, **data: Any) -> Any:
    return {
        "object": "trace.span",
        "id": f"span_{own}",
        "trace_id": TRACE_ID,
        "parent_id": parent and f"span_{parent}",
        "started_at": at(begin),
        "ended_at": None if end is None else at(end),
        "span_data": {"type": kind, **data},
        "error": None,
    }


def usage(given: int, out: int, cached: int = 0, written: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "requests": 1,
        "input_tokens": given,
        "output_tokens": out,
        "total_tokens": given + out,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens_details": {"reasoning_tokens": reasoning},
    }


def custom(own: str, kind: str, parent: str | None, spent: dict[str, int], **data: Any) -> Any:
    return span(own, "custom", parent, 0, 6, name=kind, data={"sdk_span_type": kind, "usage": spent, **data})


SUM = {"input_tokens": 150, "output_tokens": 30, "cached_input_tokens": 60, "cache_write_input_tokens": 10}
# A run of one agent in two turns. Spans are exported when they end, so children stand before their parents.
RUN = [
    trace(),
    span("g1", "generation", "turn1", 0, 1.5, model="gpt-4.1", input=[{"role": "user"}], usage=usage(100, 20, 60)),
    span("f1", "function", "turn1", 1.5, 2, name="lookup", input='{"id": 3}', output="found", mcp_data=None),
    custom("turn1", "turn", "agent", {**SUM, "input_tokens": 100}, turn=1, agent_name="Triage"),
    span("r2", "response", "turn2", 2, 5, response_id="resp_1", usage=usage(50, 10, 0, 10, 4)),
    custom("turn2", "turn", "agent", {**SUM, "input_tokens": 50}, turn=2, agent_name="Triage"),
    span("agent", "agent", "task", 0, 5.5, name="Triage", handoffs=[], tools=["lookup"], output_type="str"),
    custom("task", "task", None, {**SUM, "requests": 2, "total_tokens": 180}, name="Support"),
]


@pytest.mark.parametrize("shape", ["lines", "one list", "posted", "lists a line"])
def test_a_run_in_every_shape(shape: str) -> None:
    lines = {
        "lines": lines_from(*RUN),
        "one list": document(RUN),
        "posted": document({"data": RUN}),
        "lists a line": lines_from({"data": RUN[:3]}, {"data": RUN[3:]}),
    }[shape]
    found = recognise([line.data for line in lines])
    assert found is not None
    assert found.name == "openai-agents"
    parsed = parse("openai-agents", lines)
    rows = merged(parsed.spans)
    assert not parsed.bad
    assert not parsed.unknown_types
    assert len(rows) == len(RUN) - 1  # the trace itself has no time and is no span
    assert {(row["session"], row["run_id"], row["agent"]) for row in rows.values()} == {("chat-7", TRACE_ID, "Support")}
    # usage stands on two calls, and again on two turns and the task
    assert [total(rows, name) for name in ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m")] == [
        80,
        60,
        10,
    ]
    assert (total(rows, "tokens_output"), total(rows, "tokens_reasoning")) == (30, 4)
    (run,) = of_kind(rows, "run")
    assert (run["name"], run["status"], run["started_ns"], run["ended_ns"]) == (
        "Triage",
        "ok",
        T0_NS,
        T0_NS + 5_500_000_000,
    )
    (tool,) = of_kind(rows, "tool")
    assert (tool["tool"], tool["parent_id"]) == ("lookup", "span_turn1")
    assert parts_of(parsed.spans)[f"trace:{TRACE_ID}", "span_f1"] == {"input": '{"id": 3}', "output": "found"}
    assert by_id(rows, "span_turn2")["name"] == "turn 2"


def test_the_usage_that_openai_itself_is_sent() -> None:
    spent = {
        "input_tokens": 100,
        "output_tokens": 20,
        "details": {"total_tokens": 120, "input_tokens_details": {"cached_tokens": 60}},
    }
    row = by_id(rows_in("openai-agents", [trace(), span("g", "generation", usage=spent)]), "span_g")
    assert (row["tokens_input"], row["tokens_cache_read"], row["flags"]) == (40, 60, None)


@pytest.mark.parametrize(
    ("spent", "fresh", "flags"),
    [
        (None, None, None),
        ({"requests": 1, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0}, None, None),  # not counted
        ({"prompt_tokens": 7, "completion_tokens": 3}, 7, None),
        ({"input_tokens": "7", "output_tokens": 3}, None, "tokens.input_tokens"),
        ({"input_tokens": 7, "output_tokens": 3, "total_tokens": 99}, 7, "total_tokens"),
        ({"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 9}}, 7, "total_tokens"),
    ],
)
def test_counts_that_are_missing_or_do_not_add_up(spent: object, fresh: int | None, flags: str | None) -> None:
    row = by_id(rows_in("openai-agents", [trace(), span("g", "generation", usage=spent)]), "span_g")
    assert (row["tokens_input"], row["flags"]) == (fresh, flags)


def failed(kind: str, message: str, **data: Any) -> dict[str, Any]:
    row = {**span("x", kind, name="n"), "error": {"message": message, "data": data or None}}
    return by_id(rows_in("openai-agents", [trace(), row]), "span_x")


def test_how_steps_end() -> None:
    assert failed("agent", "Max turns exceeded", max_turns=3)["status"] == "capped"
    assert failed("agent", "Guardrail tripwire triggered", guardrail="pii")["status"] == "refused"
    assert failed("function", "Tool execution cancelled")["status"] == "cancelled"
    tool = failed("function", "Error running tool", tool_name="lookup", error="KeyError: 3")
    assert (tool["status"], tool["error_type"], tool["error_message"]) == ("error", "Error running tool", "KeyError: 3")
    rows = rows_in("openai-agents", [trace(), span("g", "guardrail", name="pii", triggered=True)])
    assert by_id(rows, "span_g")["status"] == "refused"
    open_ = by_id(rows_in("openai-agents", [trace(), span("g", "agent", name="a", end=None)]), "span_g")
    assert (open_["rank"], open_["status"], open_["ended_ns"]) == (Rank.STARTED, None, None)


def test_steps_of_every_other_kind() -> None:
    items = [
        span("h", "handoff", from_agent="Triage", to_agent="Refunds"),
        span("m", "mcp_tools", server="crm", result=["find"]),
        span("c", "custom", name="mine", data={"a": 1}),
        span("t", "transcription", model="whisper", input={"data": "UklGRg==", "format": "pcm"}, output="hello"),
        span("s", "speech", model="tts", input="hi", output={"data": "UklGRg==", "format": "pcm"}),
        span("n", "brand_new"),
    ]
    parsed = parse("openai-agents", document([trace(), *items]))
    rows = merged(parsed.spans)
    assert parsed.unknown_types == {"openai-agents/brand_new": 1}
    names = {row["span_id"][5:]: (row["kind"], row["name"]) for row in rows.values()}
    assert names == {
        "h": (None, "handoff Triage to Refunds"),
        "m": (None, "mcp_tools crm"),
        "c": (None, "mine"),
        "t": ("llm", "transcription"),
        "s": ("llm", "speech"),
    }
    texts = parts_of(parsed.spans)
    assert texts[f"trace:{TRACE_ID}", "span_t"] == {"output": "hello"}  # the audio is left out
    assert texts[f"trace:{TRACE_ID}", "span_s"] == {"input": "hi"}


def test_a_restart_at_every_line_gives_what_one_reading_gives() -> None:
    lines = lines_from(*RUN)
    assert merged(parse_with_restarts("openai-agents", lines).spans) == merged(parse("openai-agents", lines).spans)


def test_the_state_stays_small_and_keeps_the_newest_traces() -> None:
    parser = format_of("openai-agents").parser(SourceFacts("s", "/x"))
    many = [
        trace(f"trace_{number}" + "é" * 3000, group_id="ü" * 900, workflow_name="w" * 2000) for number in range(500)
    ]
    parser.parse(lines_from(*many, trace()))
    assert len(parser.state()) < 16_384
    again = format_of("openai-agents").parser(SourceFacts("s", "/x"), parser.state())
    (row,) = again.parse(lines_from(span("g", "generation"))).spans
    assert row.session == "chat-7"


def test_spans_without_their_trace_are_a_session_of_their_own() -> None:
    (row,) = rows_in("openai-agents", span("g", "generation")).values()
    assert (row["session"], row["agent"]) == (TRACE_ID, "openai-agents")
    (row,) = rows_in("openai-agents", [trace(group_id=None), span("g", "generation")]).values()
    assert (row["session"], row["agent"]) == (TRACE_ID, "Support")


def test_a_bad_item_costs_the_others_nothing() -> None:
    bad = {**span("b", "agent"), "started_at": "x", "ended_at": "y"}
    parsed = parse("openai-agents", document([trace(), bad, span("g", "agent"), 3, {"object": "response"}]))
    assert [one.span_id for one in parsed.spans] == ["span_g"]
    assert rejected(parsed) == ["3 of its 5 items: neither a trace nor a span"]


@pytest.mark.parametrize(
    "row", [{"object": "trace", "id": "x"}, {"object": "trace.span", "id": "x"}, {"object": "list", "data": []}]
)
def test_others_are_not_taken_for_it(row: dict[str, Any]) -> None:
    assert recognise([json.dumps(row).encode()]) is None
