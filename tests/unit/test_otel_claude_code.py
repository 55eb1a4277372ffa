"""Claude Code's telemetry: spans and log events of the same calls, joined where both come, whole where only one does.

Shapes after its documentation of monitoring; no recorded export is at hand. Counts of events come as text from some
versions and as numbers from others.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from collectors.formats.otel.records import spans_of, spans_of_log
from collectors.formats.otel.span import ERROR, OtelEvent, OtelLog, OtelSpan
from store.record.span import NS_PER_MS, NS_PER_S, Rank, Span
from tests.unit.format_files import Rows, merged, of_kind, parts_of

T0 = 1_769_825_640 * NS_PER_S
TRACE = "5b8efff798038103d269b633813fc60c"
SESSION = "0a1b2c3d-0000-4000-8000-000000000001"
REQUEST = "req_011CSHoEeqs5C35K2UUqR7Fy"
TOOL = "toolu_01AbCdEfGhIjKlMnOpQrStUv"
RESOURCE = {"service.name": "claude-code", "service.version": "2.1.9"}


def span(own: str, name: str, begin: float, end: float, parent: str = "", /, **attributes: Any) -> list[Span]:
    fields: dict[str, Any] = {}
    for given in ("status", "events"):
        if given in attributes:
            fields[given] = attributes.pop(given)
    record = OtelSpan(
        trace_id=TRACE,
        span_id=own * 16,
        parent_id=parent * 16,
        name=f"claude_code.{name}",
        started_ns=T0 + int(begin * NS_PER_S),
        ended_ns=T0 + int(end * NS_PER_S),
        attributes={"session.id": SESSION, **attributes},
        resource=RESOURCE,
        **fields,
    )
    return spans_of(record, agent=None, format_name="otlp")


def event(name: str, at: float, /, **attributes: Any) -> list[Span]:
    traced = attributes.pop("traced", True)
    record = OtelLog(
        at_ns=T0 + int(at * NS_PER_S),
        body=f"claude_code.{name}",
        trace_id=TRACE if traced else "",
        span_id="9" * 16 if traced else "",  # some events carry the id of another call's span
        attributes={
            "event.name": name,
            "session.id": SESSION,
            "user.id": "u",
            "organization.id": "org",
            "prompt.id": "p-1",
            **attributes,
        },
        resource=RESOURCE,
        scope="com.anthropic.claude_code.events",
    )
    return spans_of_log(record, agent=None, format_name="otlp")


USAGE = {"input_tokens": 2, "output_tokens": 300, "cache_read_tokens": 84_562, "cache_creation_tokens": 1_000}
SPANS = [
    *span("1", "interaction", 0, 10, user_prompt="fix it"),
    *span("2", "llm_request", 0, 3, "1", model="claude-opus-4-5", request_id=REQUEST, ttft_ms=700, attempt=1, **USAGE),
    *span("3", "tool", 3, 9, "1", tool_name="Bash", tool_use_id=TOOL, full_command="rm -r build"),
    *span("4", "tool.blocked_on_user", 3, 8, "3", decision="accept", source="user_temporary"),
    *span("5", "tool.execution", 8, 9, "3", success=True),
    *span("6", "hook", 9, 9.5, "1", hook_event="PostToolUse"),
]
AS_TEXT = {name: str(value) for name, value in USAGE.items()}
EVENTS = [
    *event("user_prompt", 0, prompt="fix it", prompt_length="6"),
    *event(
        "api_request",
        2.9,
        model="claude-opus-4-5",
        request_id=REQUEST,
        cost_usd="0.0561",
        cost_usd_micros=56_100,
        duration_ms="2900",
        **AS_TEXT,
    ),
    *event("assistant_response", 2.95, request_id=REQUEST, response="on it"),
    *event("tool_decision", 8, tool_name="Bash", tool_use_id=TOOL, decision="accept", source="user_temporary"),
    *event("tool_result", 9.1, tool_name="Bash", tool_use_id=TOOL, success="true", duration_ms="1000"),
]


def call_of(rows: Rows, kind: str) -> dict[str, Any]:
    (row,) = of_kind(rows, kind)
    return row


@pytest.mark.parametrize("given", [SPANS, EVENTS, SPANS + EVENTS], ids=["spans", "events", "both"])
def test_a_call_is_one_row_whatever_tells_of_it(given: list[Span]) -> None:
    rows = merged(given)
    call, tool = call_of(rows, "llm"), call_of(rows, "tool")
    assert (call["tokens_input"], call["tokens_output"]) == (2, 300)  # fresh input: no cached tokens in it
    assert (call["tokens_cache_read"], call["tokens_cache_write_5m"]) == (84_562, 1_000)
    assert call["context_tokens"] == 85_564
    assert (call["model"], call["provider"], call["status"]) == ("claude-opus-4-5", "anthropic", "ok")
    assert (tool["tool"], tool["status"]) == ("Bash", "ok")
    assert {row["session"] for row in rows.values()} == {SESSION}
    assert {row["agent"] for row in rows.values()} == {"claude-code"}
    assert {row["run_id"] for row in rows.values()} == {TRACE}


def test_the_price_is_on_the_event_alone_and_counts_once() -> None:
    assert call_of(merged(SPANS), "llm")["cost_nano"] is None  # it is computed from the tokens then
    both = merged(SPANS + EVENTS)
    assert (call_of(both, "llm")["cost_nano"], call_of(both, "llm")["cost_basis"]) == (56_100_000, "reported")
    assert sum(row["cost_nano"] or 0 for row in both.values()) == 56_100_000
    only_dollars = merged(event("api_request", 1, request_id=REQUEST, cost_usd="0.25", input_tokens=1))
    assert call_of(only_dollars, "llm")["cost_nano"] == 250_000_000


def test_any_order_and_any_repetition_is_the_same() -> None:
    given = SPANS + EVENTS
    draw = random.Random(3)
    for _ in range(20):
        mixed = given + draw.sample(given, 4)
        draw.shuffle(mixed)
        assert merged(mixed) == merged(given)


def test_the_tree_of_the_spans_holds() -> None:
    rows = merged(SPANS + EVENTS)
    by_id = {row["span_id"]: row for row in rows.values()}
    tool, call = call_of(rows, "tool"), call_of(rows, "llm")
    assert by_id[tool["parent_id"]]["name"] == "tool"  # the step that holds it and its inner spans
    assert by_id["4" * 16]["parent_id"] == tool["parent_id"]
    assert by_id[call["parent_id"]]["kind"] == "run"
    assert by_id["1" * 16]["name"] == "interaction"
    assert [row["kind"] for row in by_id.values()].count("run") == 1


def test_waiting_for_a_person_is_apart() -> None:
    rows = merged(SPANS)
    assert sum(row["human_wait_ns"] or 0 for row in rows.values()) == 5 * NS_PER_S
    (waited,) = (row for row in rows.values() if row["human_wait_ns"])
    assert (waited["name"], waited["kind"]) == ("tool.blocked_on_user", None)


def test_payload_of_span_and_event_come_together() -> None:
    texts = parts_of(SPANS + EVENTS)
    assert texts[f"session:{SESSION}", REQUEST]["output"] == "on it"
    assert texts[f"session:{SESSION}", TOOL]["input"] == "rm -r build"
    content = OtelEvent("tool.output", T0, {"output": "done"})
    (step, call) = span("3", "tool", 3, 9, "1", tool_name="Bash", tool_use_id=TOOL, events=[content])
    assert (call.parts["output"], step.parts.keys() & {"input", "output"}) == ("done", set())


def test_events_without_a_trace_are_of_the_prompt_that_they_serve() -> None:
    rows = merged(event("api_request", 1, traced=False, request_id=REQUEST, **AS_TEXT))
    (row,) = rows.values()
    assert (row["run_id"], row["session"], row["tenant_id"]) == ("p-1", SESSION, "org")
    assert (row["started_ns"], row["ended_ns"]) == (T0 + NS_PER_S, T0 + NS_PER_S)
    timed = event("api_request", 3, request_id=REQUEST, duration_ms=2900.5)[0]
    assert (timed.ended_ns or 0) - (timed.started_ns or 0) == 2900 * NS_PER_MS + 500_000


def test_a_call_in_flight_a_refused_one_and_a_failed_one() -> None:
    decision = {"tool_name": "Bash", "tool_use_id": TOOL, "source": "user_reject"}
    (open_,) = event("tool_decision", 1, **{**decision, "decision": "accept"})
    assert (open_.rank, open_.ended_ns, open_.status) == (Rank.STARTED, None, None)
    (refused,) = event("tool_decision", 1, **{**decision, "decision": "reject"})
    assert (refused.status, refused.error_type, refused.kind) == ("refused", "user_reject", "tool")
    (failed,) = event("tool_result", 2, tool_name="Bash", tool_use_id=TOOL, success="false", error="exit 1")
    assert (failed.status, failed.error_type, failed.error_message) == ("error", "error", "exit 1")
    (named,) = event("tool_result", 2, tool_use_id=TOOL, success=False, error_type="Timeout")
    assert named.error_type == "Timeout"
    (nameless,) = event("tool_decision", 1, tool_name="Bash", decision="accept")
    assert (nameless.kind, nameless.ended_ns) == (None, T0 + NS_PER_S)  # nothing would ever end it
    rows = merged([*span("3", "tool", 0, 9, tool_use_id=TOOL, tool_name="Bash"), refused])
    assert call_of(rows, "tool")["status"] == "refused"


def test_errors_and_refusals_of_the_model() -> None:
    (error,) = event("api_error", 2, model="m", error="Overloaded", status_code="529", attempt="3", request_id=REQUEST)
    assert (error.kind, error.status, error.error_type, error.attempt) == ("llm", "error", "529", 3)
    assert error.tokens_input is None
    (refusal,) = event("api_refusal", 2, request_id=REQUEST, model="m")
    assert (refusal.kind, refusal.status) == (None, "refused")  # the request has its own event
    (failed,) = span(
        "2", "llm_request", 0, 1, success=False, status_code=429, error="slow down", **dict.fromkeys(USAGE, 0)
    )
    assert (failed.status, failed.error_type, failed.tokens_input, failed.cost_nano) == ("error", "429", None, None)
    (capped,) = span("2", "llm_request", 0, 1, stop_reason="max_tokens", request_id=REQUEST, **USAGE)
    assert capped.status == "capped"
    (fast,) = span("2", "llm_request", 0, 1, speed="fast", request_id=REQUEST, **USAGE)
    assert fast.flags == "speed"  # billed at another rate
    (bad,) = event("api_request", 1, request_id=REQUEST, input_tokens="many", output_tokens=3)
    assert (bad.tokens_input, bad.tokens_output, bad.flags) == (None, 3, "tokens.input_tokens")


def test_calls_that_carry_no_id_are_kept_apart() -> None:
    (one,), (other,) = event("api_request", 1, input_tokens=5), event("api_request", 2, input_tokens=5)
    assert one.span_id != other.span_id
    (tool,) = span("3", "tool", 0, 1, tool_name="Read", status=ERROR)
    assert (tool.kind, tool.tool, tool.span_id, tool.status) == ("tool", "Read", "3" * 16, "error")


def test_short_ids_of_two_sessions_are_two_calls() -> None:
    (one,) = event("api_request", 1, request_id="r1", input_tokens=5)
    (other,) = event("api_request", 1, request_id="r1", input_tokens=5, **{"session.id": "another"})
    assert (one.namespace, one.span_id) != (other.namespace, other.span_id)


def test_tools_of_mcp_servers_have_the_name_that_transcripts_give_them() -> None:
    told = json.dumps({"mcp_server_name": "crm", "mcp_tool_name": "refund"})
    (row,) = event("tool_result", 1, tool_name="mcp_tool", tool_use_id=TOOL, success="true", tool_parameters=told)
    assert (row.tool, row.parts["input"]) == ("mcp__crm__refund", told)
    (row,) = event("tool_result", 1, tool_name="mcp_tool", tool_use_id=TOOL, tool_parameters='{"mcp_tool_name": broken')
    assert row.tool == "mcp_tool"


def test_other_events_are_moments() -> None:
    (prompt,) = event("user_prompt", 0, prompt="fix it")
    assert (prompt.kind, prompt.name, prompt.parts["input"]) == (None, "user_prompt", "fix it")
    (mode,) = event("permission_mode_changed", 1, to_mode="bypassPermissions")
    assert json.loads(mode.parts["attributes"])["to_mode"] == "bypassPermissions"
    (broken,) = event("internal_error", 1, error_name="TypeError")
    assert (broken.status, broken.error_type) == ("error", "TypeError")
    (unknown,) = event("never_heard_of", 1)
    assert (unknown.kind, unknown.name, unknown.status) == (None, "never_heard_of", "ok")


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"event_name": "claude_code.api_request"}, True),
        ({"body": "claude_code.api_request"}, True),
        ({"body": "api_request", "attributes": {"event.name": "api_request", "session.id": "s"}}, True),  # of opencode
        (
            {
                "scope": "com.anthropic.claude_code.events",
                "attributes": {"event.name": "api_request", "session.id": "s"},
            },
            True,
        ),
        ({"body": "api_request", "attributes": {"event.name": "api_request"}}, False),
        ({"body": "codex.api_request", "attributes": {"event.name": "codex.api_request", "session.id": "s"}}, False),
        ({"body": "gemini_cli.api_request"}, False),
        ({"body": {"claude_code.api_request": 1}}, False),
        ({"body": "claude_code.api_request " + "x" * 200}, False),
    ],
)
def test_whose_events_are_read_as_such(fields: dict[str, Any], taken: bool) -> None:
    (row,) = spans_of_log(OtelLog(at_ns=T0, **fields), agent=None, format_name="otlp")
    assert (row.kind == "llm") is taken
