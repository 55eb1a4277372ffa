"""Codex rollouts, row by row: where a run begins and ends, how a call ended, what is not as it should be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collectors.formats.base import Line, SourceFacts
from store.record.span import Rank
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value
from tests.unit.codex_lines import META, T_NS, call, count, event, item, only, result, row, rows_of, said, usage
from tests.unit.format_files import format_of, lines_from, merged, of_kind, parse, parts_of, rejected

# --- runs


TASK = [event(1, "task_started", turn_id="t1"), said(1.1, "user", "go"), event(1.1, "user_message", message="go")]


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        (event(9, "task_complete", turn_id="t1", last_agent_message="done"), "ok", None),
        (event(9, "task_complete", turn_id="t1", error={"kind": "overloaded", "message": "m"}), "error", "overloaded"),
        (event(9, "turn_aborted", turn_id="t1", reason="interrupted"), "aborted", "interrupted"),
        (event(9, "turn_aborted", turn_id="t1", reason="budget_limited"), "capped", "budget_limited"),
    ],
)
def test_a_task_ends_as_its_last_row_says(end: dict[str, Any], status: str, error: str | None) -> None:
    run = only(rows_of(*TASK, said(2, "assistant", "x"), end), "run")
    assert (run["status"], run["error_type"]) == (status, error)
    assert (run["started_ns"] - T_NS, run["ended_ns"] - T_NS) == (10**9, 9 * 10**9)
    assert run["run_id"] == "t1"


def test_a_task_without_its_end_is_in_flight_until_another_begins() -> None:
    assert only(rows_of(*TASK), "run")["ended_ns"] is None
    runs = of_kind(rows_of(*TASK, event(5, "task_started", turn_id="t2")), "run")
    assert sorted((one["run_id"], one["status"]) for one in runs if one["status"]) == [("t1", "unknown")]


def test_a_prompt_that_is_written_twice_is_one_run() -> None:
    twice = [said(1, "user", "go"), event(1, "user_message", message="go")]
    for written in (twice, twice[::-1], twice * 2):
        rows = rows_of(*written, said(2, "assistant", "x"), event(2, "agent_message", message="x"))
        assert (len(of_kind(rows, "run")), len(of_kind(rows, "llm"))) == (1, 1)
    again = [said(3, "user", "go"), event(3, "user_message", message="go"), said(4, "assistant", "y")]
    assert len(of_kind(rows_of(*twice, said(2, "assistant", "x"), *again), "run")) == 2  # the same words anew


def test_what_codex_tells_the_model_of_its_surroundings_is_no_request() -> None:
    context = [said(0.5, "user", "<environment_context>x"), said(0.6, "developer", "rules")]
    assert len(of_kind(rows_of(*context, *TASK), "run")) == 1
    later = [event(3, "task_complete"), said(4, "user", "# other words that only an item has"), *context]
    assert len(of_kind(rows_of(*TASK, *later), "run")) == 1
    assert (
        len(of_kind(rows_of(said(1, "user", "hi"), *context, said(2, "user", "there"), meta={"id": "s"}), "run")) == 1
    )


def test_a_forked_session_has_its_own_task_alone() -> None:
    """What it copied is the other session's; the task that began there and did not end is its own."""
    old = [
        event(0.1, "task_started", turn_id="t0"),
        said(0.1, "user", "old"),
        event(0.2, "task_complete", turn_id="t0"),
    ]
    own = [event(0.3, "task_started", turn_id="t1"), said(0.3, "user", "new")]
    forked = {**META, "forked_from_id": "s-0"}
    rows = rows_of(*old, *own, said(5, "assistant", "x"), event(6, "task_complete"), meta=forked)
    run = only(rows, "run")
    assert (run["run_id"], run["status"], run["started_ns"] - T_NS) == ("t1", "ok", 300_000_000)
    assert rows_of(*old, meta=forked) == {}


def test_contexts_name_the_turns_of_versions_that_do_not_tell_of_tasks() -> None:
    def turn(at_s: float, name: str) -> dict[str, Any]:
        return row(at_s, "turn_context", turn_id=name, model="gpt-5")

    first = [turn(1, "t1"), said(2, "assistant", "a"), turn(2.5, "t1"), said(3, "assistant", "b")]
    rows = rows_of(*first, turn(4, "t2"), said(5, "assistant", "c"))
    assert sorted(one["run_id"] for one in of_kind(rows, "run")) == ["t1", "t2"]
    prompted = [event(0.5, "user_message", message="go"), *first]
    assert len(of_kind(rows_of(*prompted), "run")) == 1  # the prompt came first: it is the run
    tasks = [
        turn(1, "t1"),
        event(1, "task_started", turn_id="t1"),
        said(2, "assistant", "a"),
        event(3, "task_complete"),
    ]
    assert [one["run_id"] for one in of_kind(rows_of(*tasks), "run")] == ["t1"]


def test_time_to_first_token_is_kept() -> None:
    run = only(rows_of(*TASK, event(9, "task_complete", time_to_first_token_ms=300)), "run")
    assert run["ttft_ns"] == 300 * 10**6


def test_an_error_is_a_failed_call_and_the_end_of_its_run_if_nothing_follows() -> None:
    failed = event(3, "error", message="over", codex_error_info="usage_limit_exceeded")
    rows = rows_of(*TASK, failed, event(4, "task_complete"))
    assert (only(rows, "llm")["status"], only(rows, "llm")["error_type"]) == ("error", "usage_limit_exceeded")
    assert (only(rows, "run")["status"], only(rows, "run")["error_type"]) == ("error", "usage_limit_exceeded")
    rows = rows_of(*TASK, failed, said(4, "assistant", "after all"), event(5, "task_complete"))
    assert only(rows, "run")["status"] == "ok"


# --- tools


@pytest.mark.parametrize(
    ("output", "status", "error", "text"),
    [
        ("a.txt", "ok", None, "a.txt"),
        ("Exit code: 0\nWall time: 0.1 seconds\nOutput:\nhi", "ok", None, None),
        ("Exit code: 2\nWall time: 0.1 seconds\nOutput:\nno", "error", "exit_code", None),
        ("Exit code: 0\nOutput:\nExit code: 3\n", "ok", None, None),  # what the command printed is not its end
        ("Chunk ID: 1\nWall time: 1\nProcess exited with code 1\nOutput:\n", "error", "exit_code", None),
        ('{"output":"boom","metadata":{"exit_code":1,"duration_seconds":0.1}}', "error", "exit_code", "boom"),
        ('{"output":"fine","metadata":{"exit_code":0}}', "ok", None, "fine"),
        ({"content": "no", "success": False}, "error", "tool_error", "no"),
        ([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}], "ok", None, "a\nb"),
        ({"type": "input_text", "text": "a"}, "ok", None, "a"),
        ("failed to parse function arguments: x", "error", "tool_error", None),
        ("exec command rejected by user", "cancelled", "rejected", None),
        ("aborted by user after 3.2s", "aborted", "interrupted", None),
        (None, "ok", None, ""),
        ('{"metadata"', "ok", None, None),
    ],
)
def test_how_a_call_ended_stands_in_its_output(
    output: object, status: str, error: str | None, text: str | None
) -> None:
    lines = lines_from(call(1), result(4, output))
    parsed = parse("codex", lines)
    tool = only(merged(parsed.spans), "tool")
    assert (tool["status"], tool["error_type"]) == (status, error)
    assert tool["ended_ns"] - tool["started_ns"] == 3 * 10**9
    expected = output if text is None else text
    assert parts_of(parsed.spans)[tool["namespace"], "c1"] == {"input": '{"a":1}', "output": expected}


def test_a_result_that_is_written_as_an_event_too_counts_once() -> None:
    ended = event(3, "exec_command_end", call_id="c1", exit_code=1, command=["ls"], duration={"secs": 1, "nanos": 0})
    tool = only(rows_of(call(1), ended, result(4, "no such file")), "tool")
    assert (tool["status"], tool["error_type"], tool["ended_ns"] - T_NS) == ("error", "tool_error", 4 * 10**9)
    tool = only(rows_of(call(1), result(2, "fine"), ended), "tool")
    assert (tool["status"], tool["ended_ns"] - T_NS) == ("ok", 2 * 10**9)
    tool = only(rows_of(ended), "tool")  # a command of the user: no item tells of it
    assert (tool["tool"], tool["status"], tool["started_ns"] - T_NS) == ("exec_command", "error", 2 * 10**9)


def test_an_mcp_tool_names_its_server() -> None:
    ended = event(
        3, "mcp_tool_call_end", call_id="c9", invocation={"server": "jira", "tool": "get"}, result={"Err": "x"}
    )
    tool = only(rows_of(ended), "tool")
    assert (tool["tool"], tool["status"]) == ("mcp__jira__get", "error")
    assert only(rows_of(call(1, namespace="mcp__jira__", name="get")), "tool")["tool"] == "mcp__jira__get"


def test_a_call_that_is_left_behind_is_unknown_until_its_answer_comes() -> None:
    rows = rows_of(*TASK, call(2), event(3, "turn_aborted"))
    assert (only(rows, "tool")["status"], only(rows, "tool")["rank"]) == ("unknown", Rank.ABANDONED)
    assert only(rows_of(*TASK, call(2), event(3, "turn_aborted"), result(4, "x")), "tool")["status"] == "ok"


def test_a_call_id_that_is_used_again_is_another_call() -> None:
    tools = of_kind(rows_of(call(1), call(5, name="apply_patch"), result(6, "done")), "tool")
    assert sorted((one["tool"], one["status"]) for one in tools) == [("apply_patch", "ok"), ("shell", "unknown")]


def test_the_answer_is_the_parent_of_its_calls_and_thoughts() -> None:
    thought = item(2, "reasoning", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="x")
    rows = rows_of(*TASK, thought, call(3), result(4, "x"))
    llm = only(rows, "llm")
    assert only(rows, "tool")["parent_id"] == only(rows, "reasoning")["parent_id"] == llm["span_id"]
    assert (llm["parent_id"], llm["started_ns"] - T_NS, llm["ended_ns"] - T_NS) == ("run:t1", 1.1 * 10**9, 3 * 10**9)


# --- what is not as it should be


def test_unknown_rows_are_counted_and_bad_ones_are_kept() -> None:
    rows = [event(1, "wormhole"), item(1, "hologram"), {"timestamp": "x", "type": "warp"}, item(1, "message", role="x")]
    bad = [{"timestamp": "soon", "type": "event_msg", "payload": {"type": "error"}}, {"type": "event_msg"}, b"{"]
    parsed = parse("codex", lines_from(*rows, *bad))
    assert parsed.unknown_types == {
        "codex/event-wormhole": 1,
        "codex/item-hologram": 1,
        "codex/item-warp": 1,
        "codex/role-x": 1,
    }
    assert len(parsed.bad) == 3
    assert rejected(parsed)[:2] == ["no timestamp that can be read", "payload is not an object"]


@pytest.mark.parametrize(
    "row_",
    [
        row(1, "session_meta", **META, forked_from_id="x"),
        row(1, "turn_context", turn_id="t", model="m"),
        count(1, usage(100, 40, 10, 5), usage(100, 40, 10, 5)),
        result(1, {"content": "x", "success": False, "exitCode": 1}),
        event(1, "task_complete", time_to_first_token_ms=1, error={"kind": "k", "message": "m"}),
        event(1, "mcp_tool_call_end", invocation={"server": "a", "tool": "b"}, result={"Ok": {"isError": True}}),
        event(1, "exec_command_end", call_id="c1", exit_code=1, duration={"secs": 1, "nanos": 3}),
        event(1, "turn.completed", usage=usage(3, 2, 1)),
        event(1, "error", error={"kind": "k", "message": "m"}),
        said(1, "assistant", "x"),
        {"timestamp": "2026-01-31T02:14:00Z", "type": "tool_call", "function": {"name": "f"}, "arguments": "{}"},
    ],
    ids=lambda one: str(one["payload"].get("type", one["type"]) if "payload" in one else one["type"]),
)
def test_any_wrong_value_in_any_place_of_other_rows(row_: dict[str, Any]) -> None:
    rows = [with_value(row_, path, wrong) for path in paths_in(row_) for wrong in WRONG]
    storable(parse("codex", [Line(number, json.dumps(one).encode()) for number, one in enumerate(rows)]))


def test_the_state_is_small_whatever_is_left_open() -> None:
    parser = format_of("codex").parser(SourceFacts("s", "/x.jsonl"))
    parser.parse(lines_from(*(call(number / 1000, call_id=f"call_{number:024d}") for number in range(2000))))
    assert len(parser.state()) < 16_384


def test_times_may_be_numbers() -> None:
    bare = {"timestamp": 1_769_825_640, "role": "assistant", "content": "hi"}
    (span,) = parse("codex", lines_from(bare)).spans
    assert span.ended_ns == T_NS


def test_the_session_of_a_file_without_its_head_is_in_its_name() -> None:
    name = "/s/rollout-2026-02-23T12-40-23-019c8a4c-ed82-79a1-aa28-7738fc5ab61a.jsonl"
    (span, *_) = parse("codex", lines_from(said(1, "assistant", "x")), name).spans
    assert span.session == "019c8a4c-ed82-79a1-aa28-7738fc5ab61a"
    assert span.namespace == f"session:{span.session}"
