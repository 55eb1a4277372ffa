"""Pi sessions: two clocks, reported cost, aborts, calls without an answer."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from store.record.span import Rank
from tests.unit.format_files import (
    DATA,
    PI_FILE,
    Rows,
    lines_from,
    lines_of,
    merged,
    needs_data,
    of_kind,
    parse,
    parts_of,
    rejected,
)

T_MS = 1_769_825_640_000
T_NS = T_MS * 1_000_000


def message(role: str, at_s: float, inner_s: float | None = None, **fields: Any) -> dict[str, Any]:
    inner = {} if inner_s is None else {"timestamp": T_MS + round(inner_s * 1000)}
    seconds = 14 * 60 + at_s
    stamp = f"2026-01-31T02:{int(seconds // 60):02d}:{seconds % 60:06.3f}Z"
    return {"type": "message", "timestamp": stamp, "message": {"role": role, **inner, **fields}}


def usage(*counts: int, cost: object = 0.5, total: int | None = None) -> dict[str, Any]:
    names = ("input", "output", "cacheRead", "cacheWrite")
    given = dict(zip(names, counts, strict=True))
    return {**given, "totalTokens": sum(counts) if total is None else total, "cost": {"total": cost}}


HEADER = {"type": "session", "id": "s-1", "timestamp": "2026-01-31T02:00:00Z", "cwd": "/x"}
CALL = {"type": "toolCall", "id": "c1", "name": "bash", "arguments": {"command": "ls"}}


def rows_of(*rows: object) -> Rows:
    parsed = parse("pi", lines_from(HEADER, *rows))
    assert not parsed.bad, rejected(parsed)
    return merged(parsed.spans)


@needs_data
def test_the_large_session_against_another_reading_of_it() -> None:
    data = PI_FILE.read_bytes()
    raw = [json.loads(line, parse_float=Decimal) for line in data.splitlines()]
    messages = [row["message"] for row in raw if row["type"] == "message"]
    answers = [one for one in messages if one["role"] == "assistant"]
    calls = [block["id"] for one in answers for block in one["content"] if block["type"] == "toolCall"]
    results = {one["toolCallId"]: one["isError"] for one in messages if one["role"] == "toolResult"}
    nano = sum(round(Decimal(one["usage"]["cost"]["total"]) * 10**9) for one in answers)

    parsed = parse("pi", lines_of(data), str(PI_FILE))
    rows = merged(parsed.spans)
    llm, tools = of_kind(rows, "llm"), of_kind(rows, "tool")
    assert not parsed.bad
    assert not parsed.unknown_types
    assert len(llm) == len(answers) == 453
    assert sum(row["cost_nano"] or 0 for row in llm) == nano == 30_330_197_700
    assert {row["cost_basis"] for row in llm if row["cost_nano"]} == {"reported"}
    for field, name in (
        ("tokens_input", "input"),
        ("tokens_output", "output"),
        ("tokens_cache_read", "cacheRead"),
        ("tokens_cache_write_5m", "cacheWrite"),
    ):
        assert sum(row[field] or 0 for row in llm) == sum(one["usage"][name] for one in answers)
    assert Counter(row["status"] for row in llm) == {"ok": 431, "aborted": 21, "error": 1}
    assert {row["span_id"] for row in tools} == set(calls)
    expected = Counter("unknown" if one not in results else "error" if results[one] else "ok" for one in calls)
    assert Counter(row["status"] for row in tools) == expected == {"ok": 354, "error": 19, "unknown": 18}
    assert len(of_kind(rows, "run")) == sum(one["role"] == "user" for one in messages)
    assert all(row["started_ns"] <= row["ended_ns"] for row in llm)
    assert {row["session"] for row in rows.values()} == {"d703a1a9-1b7b-4fb1-b512-c9738b1fe617"}


def test_a_broken_call_that_counted_nothing_costs_an_unknown_sum() -> None:
    for stop in ("aborted", "error"):
        answer = message("assistant", 2, 1, stopReason=stop, usage=usage(0, 0, 0, 0, cost=0))
        (llm,) = of_kind(rows_of(answer), "llm")
        assert (llm["tokens_input"], llm["cost_nano"], llm["cost_basis"]) == (None, None, None)
        answer = message("assistant", 2, 1, stopReason=stop, usage=usage(5, 1, 0, 0, cost=0.25))
        (llm,) = of_kind(rows_of(answer), "llm")
        assert (llm["tokens_input"], llm["cost_nano"], llm["cost_basis"]) == (5, 250_000_000, "reported")


@needs_data
def test_newer_files_carry_ids() -> None:
    path = DATA / "other-cli" / "jazzyalex__agent-sessions" / "pi" / "small.jsonl"
    rows = merged(parse("pi", lines_of(path.read_bytes()), str(path)).spans)
    assert {row["span_id"] for row in of_kind(rows, "llm")} == {"22a2720e", "4a666296"}
    assert {row["namespace"] for row in rows.values()} == {"session:019e19b4-eb48-746a-aa6b-8dfcfa37954b"}


def test_a_model_call_runs_from_the_inner_clock_to_the_outer() -> None:
    (llm,) = of_kind(rows_of(message("user", 0, 0), message("assistant", 9, 2, usage=usage(1, 2, 3, 4))), "llm")
    assert (llm["started_ns"] - T_NS, llm["ended_ns"] - T_NS) == (2 * 10**9, 9 * 10**9)
    assert (llm["cost_nano"], llm["cost_basis"], llm["context_tokens"]) == (500_000_000, "reported", 8)


def test_an_inner_clock_ahead_of_the_outer_gives_no_negative_time() -> None:
    (llm,) = of_kind(rows_of(message("assistant", 5, 8)), "llm")
    assert (llm["started_ns"] - T_NS, llm["ended_ns"] - T_NS) == (5 * 10**9, 5 * 10**9)


def test_without_an_inner_clock_a_call_begins_at_the_line_before() -> None:
    (llm,) = of_kind(rows_of(message("user", 1, content="x"), message("assistant", 5)), "llm")
    assert (llm["started_ns"] - T_NS, llm["ended_ns"] - T_NS) == (10**9, 5 * 10**9)


def test_a_call_and_its_result() -> None:
    asked = message("assistant", 2, 1, content=[CALL], stopReason="toolUse")
    answer = message("toolResult", 4, 4, toolCallId="c1", toolName="bash", content=[{"type": "text", "text": "a.txt"}])
    rows = rows_of(message("user", 0, 0, content="go"), asked)
    (tool,) = of_kind(rows, "tool")
    assert (tool["rank"], tool["status"]) == (Rank.STARTED, None)
    (tool,) = of_kind(rows_of(message("user", 0, 0, content="go"), asked, answer), "tool")
    assert (tool["status"], tool["tool"], tool["ended_ns"] - tool["started_ns"]) == ("ok", "bash", 2 * 10**9)
    parts = parts_of(parse("pi", lines_from(HEADER, asked, answer)).spans)["session:s-1", "c1"]
    assert parts == {"input": '{"command":"ls"}', "output": "a.txt"}
    answer["message"]["isError"] = True
    (tool,) = of_kind(rows_of(asked, answer), "tool")
    assert (tool["status"], tool["error_type"], tool["error_message"]) == ("error", "tool_error", "a.txt")


@pytest.mark.parametrize("next_row", [message("user", 9, 9, content="no"), message("assistant", 9, 8)])
def test_a_call_that_is_left_behind_is_unknown_until_its_answer_comes(next_row: dict[str, Any]) -> None:
    asked = message("assistant", 2, 1, content=[CALL], stopReason="toolUse")
    (tool,) = of_kind(rows_of(asked, next_row), "tool")
    assert (tool["status"], tool["rank"]) == ("unknown", Rank.ABANDONED)
    late = message("toolResult", 12, 12, toolCallId="c1", toolName="bash", content="x")
    (tool,) = of_kind(rows_of(asked, next_row, late), "tool")
    assert tool["status"] == "ok"


@pytest.mark.parametrize("stop", ["error", "aborted"])
def test_calls_of_a_broken_answer_are_never_made(stop: str) -> None:
    (tool,) = of_kind(rows_of(message("assistant", 2, 1, content=[CALL], stopReason=stop)), "tool")
    assert (tool["status"], tool["rank"]) == ("unknown", Rank.ABANDONED)


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        ("stop", "ok"),
        ("length", "capped"),
        ("error", "error"),
        ("aborted", "aborted"),
        ("new", "unknown"),
        (None, "ok"),
    ],
)
def test_how_an_answer_stops_is_how_its_run_ends(stop: str | None, status: str) -> None:
    answer = message("assistant", 2, 1, stopReason=stop, errorMessage='{"type":"overloaded_error"}')
    rows = rows_of(message("user", 0, 0, content="go"), answer)
    (llm,), (run,) = of_kind(rows, "llm"), of_kind(rows, "run")
    assert (llm["status"], run["status"], run["ended_ns"] - T_NS) == (status, status, 2 * 10**9)
    assert llm["error_type"] == ("aborted" if stop == "aborted" else "overloaded_error")
    assert (llm["run_id"], llm["parent_id"]) == (run["run_id"], run["span_id"])


def test_a_run_goes_on_while_tools_are_used() -> None:
    asked = message("assistant", 2, 1, content=[CALL], stopReason="toolUse")
    rows = rows_of(message("user", 0, 0, content="go"), asked)
    assert [row["ended_ns"] for row in of_kind(rows, "run")] == [None]


def test_tokens_that_do_not_add_up_are_flagged() -> None:
    (llm,) = of_kind(rows_of(message("assistant", 2, 1, usage=usage(1, 2, 3, 4, total=99))), "llm")
    assert llm["flags"] == "totalTokens"
    (llm,) = of_kind(rows_of(message("assistant", 2, 1, usage=usage(1, 2, -3, 4, total=7, cost="free"))), "llm")
    assert (llm["flags"], llm["cost_nano"], llm["tokens_cache_read"]) == ("cacheRead,cost", None, None)


def test_unknown_rows_are_counted_and_known_ones_pass() -> None:
    rows = [{"type": "model_change"}, {"type": "wormhole"}, message("oracle", 1), message("system", 1)]
    rows.append(message("assistant", 2, content=[{"type": "hologram"}]))
    parsed = parse("pi", lines_from(HEADER, *rows))
    assert parsed.unknown_types == {"pi/wormhole": 1, "pi/message-oracle": 1, "pi/block-hologram": 1}


def test_a_message_without_any_time_is_a_reject() -> None:
    parsed = parse(
        "pi", lines_from({"type": "message", "message": {"role": "user"}}, {"type": "message", "message": 4})
    )
    assert rejected(parsed) == ["no timestamp that can be read", "message is not an object"]


def test_rows_without_ids_are_known_by_their_line() -> None:
    rows = [message("assistant", 2, 1), message("assistant", 2, 1), message("assistant", 2, 1.5)]
    assert len(of_kind(rows_of(*rows), "llm")) == 2
