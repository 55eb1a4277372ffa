"""Copilot CLI events: calls told of twice, output tokens alone, totals that belong to no call."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import HEAD_LINES, recognise
from collectors.formats.base import SourceFacts
from collectors.formats.decode import CANNOT
from store.record.span import Rank
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value
from tests.unit.format_files import (
    DATA,
    Rows,
    format_of,
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

FILES = sorted((DATA / "copilot-cli").rglob("*.jsonl"))
T_NS = 1_769_825_640_000_000_000
S = 10**9


def event(at_s: float, kind: str, number: str | None = None, **data: Any) -> dict[str, Any]:
    stamp = f"2026-01-31T02:14:{at_s:06.3f}Z"
    return {"type": kind, "data": data, "id": number or f"{kind}-{at_s}", "timestamp": stamp, "parentId": None}


START = event(0, "session.start", sessionId="s-1", copilotVersion="1.0.77", selectedModel="gpt-5-mini")
USER = event(1, "user.message", "u1", content="go")
ASKED = event(
    2,
    "assistant.message",
    "a1",
    messageId="m1",
    toolRequests=[{"toolCallId": "c1", "name": "bash", "arguments": {"command": "ls"}}],
    outputTokens=7,
)
BEGUN = event(3, "tool.execution_start", toolCallId="c1", toolName="bash", arguments={"command": "ls"})
ENDED = event(5, "tool.execution_complete", toolCallId="c1", success=True, result={"content": "a.txt"})
DONE = event(6, "assistant.message", "a2", messageId="m2", content="done", toolRequests=[], outputTokens=3)


def rows_of(*rows: object) -> Rows:
    lines = lines_from(START, *rows)
    parsed = parse("copilot", lines)
    assert not parsed.bad, rejected(parsed)
    assert merged(parse_with_restarts("copilot", lines).spans) == merged(parsed.spans)
    return merged(parsed.spans)


def only(rows: Rows, kind: str) -> dict[str, Any]:
    (one,) = of_kind(rows, kind)
    return one


@needs_data
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_against_another_reading_of_it(path: Path) -> None:
    """Events are counted by type and ids, those alone whose time was not trimmed from the fixture."""
    lines = lines_of(path.read_bytes())
    found = recognise([line.data for line in lines[:HEAD_LINES]])
    assert found is not None
    assert found.name == "copilot"
    parsed = parse("copilot", lines, str(path))
    pieces = parse_with_restarts("copilot", lines, str(path))
    assert merged(pieces.spans) == merged(parsed.spans)
    assert parts_of(pieces.spans) == parts_of(parsed.spans)
    assert not [bad for bad in parsed.bad if bad.reason.startswith(CANNOT)]
    assert not parsed.unknown_types

    events = [json.loads(line.data) for line in lines]
    timed = [one for one in events if "trimmed" not in one["timestamp"]]
    kinds = Counter(one["type"] for one in timed)
    rows = merged(parsed.spans)
    assert len(of_kind(rows, "llm")) == kinds["assistant.message"] + kinds["session.error"]
    assert len(of_kind(rows, "run")) == kinds["user.message"]
    ids = {one["data"]["toolCallId"] for one in timed if one["type"].startswith("tool.")}
    ids |= {ask["toolCallId"] for one in timed for ask in one["data"].get("toolRequests", [])}
    assert {one["span_id"] for one in of_kind(rows, "tool")} == ids
    ended = {one["data"]["toolCallId"]: one["data"]["success"] for one in timed if one["type"].endswith("_complete")}
    expected = {one: "unknown" if one not in ended else "ok" if ended[one] else "error" for one in ids}
    assert {one["span_id"]: one["status"] for one in of_kind(rows, "tool")} == expected
    written = sum(one["data"].get("outputTokens", 0) for one in timed)
    assert sum(one["tokens_output"] or 0 for one in rows.values()) == written
    assert {one["session"] for one in rows.values()} == {events[0]["data"]["sessionId"]}


@needs_data
def test_the_figures_of_the_files() -> None:
    """Counted by hand: 12 + 14 and 12 + 3 tokens written; one call each without an end, without a start, failed."""
    figures = {}
    for path in FILES:
        rows = merged(parse("copilot", lines_of(path.read_bytes()), str(path)).spans)
        tools = Counter(one["status"] for one in of_kind(rows, "tool"))
        figures[path.stem] = (sum(one["tokens_output"] or 0 for one in rows.values()), dict(tools))
    assert figures == {
        "large": (0, {"ok": 1, "unknown": 1}),
        "schema_drift": (0, {"ok": 1, "error": 1}),
        "small": (15, {"ok": 1}),
        "events": (26, {"ok": 1}),
    }


def test_a_request_its_call_and_its_answer() -> None:
    rows = rows_of(USER, ASKED, BEGUN, ENDED, DONE)
    run, tool = only(rows, "run"), only(rows, "tool")
    first, second = sorted(of_kind(rows, "llm"), key=lambda one: one["span_id"])
    assert [(one["started_ns"] - T_NS) // S for one in (run, first, tool, second)] == [1, 1, 2, 5]
    assert [(one["ended_ns"] - T_NS) // S for one in (run, first, tool, second)] == [6, 2, 5, 6]
    assert (run["status"], tool["parent_id"], first["parent_id"]) == ("ok", "m1", "run:u1")
    assert (first["model"], first["tokens_output"], first["tokens_input"]) == ("gpt-5-mini", 7, None)
    assert {one["agent_version"] for one in rows.values()} == {"1.0.77"}


def test_a_call_that_is_told_of_in_any_order_is_one_call() -> None:
    for order in ([ASKED, BEGUN, ENDED], [ASKED, ENDED], [BEGUN, ASKED, ENDED]):
        tool = only(rows_of(USER, *order), "tool")
        assert (tool["tool"], tool["status"], tool["ended_ns"] - T_NS) == ("bash", "ok", 5 * S)
        assert tool["parent_id"] == "m1"
    tool = only(rows_of(ENDED), "tool")
    assert (tool["tool"], tool["started_ns"], tool["status"]) == (None, None, "ok")


def test_a_model_call_begins_with_its_turn() -> None:
    rows = rows_of(USER, event(1.5, "assistant.turn_start", turnId="0"), DONE)
    assert only(rows, "llm")["started_ns"] - T_NS == 1_500_000_000


@pytest.mark.parametrize("end", [event(9, "abort", reason="user"), event(9, "session.shutdown"), {**USER, "id": "u2"}])
def test_a_call_that_is_left_behind_is_unknown_until_its_answer_comes(end: dict[str, Any]) -> None:
    tool = only(rows_of(USER, ASKED, end), "tool")
    assert (tool["status"], tool["rank"]) == ("unknown", Rank.ABANDONED)
    late = event(10, "tool.execution_complete", toolCallId="c1", success=True)
    assert only(rows_of(USER, ASKED, end, late), "tool")["status"] == "ok"


def test_how_a_run_ends() -> None:
    def status(*rows: dict[str, Any]) -> tuple[str | None, str | None]:
        run = only(rows_of(USER, *rows), "run")
        return run["status"], run["error_type"]

    assert status(ASKED) == (None, None)
    assert status(ASKED, event(7, "abort", reason="user_initiated")) == ("aborted", "user_initiated")
    assert status(event(7, "session.error", errorType="quota", message="no")) == ("error", "quota")
    assert status(ASKED, event(7, "session.shutdown")) == ("unknown", None)
    assert status(DONE, event(7, "abort")) == ("ok", None)  # what was aborted then is no request


def test_a_failed_call_says_why() -> None:
    error = {"code": "denied", "message": "not allowed"}
    failed = event(5, "tool.execution_complete", toolCallId="c1", success=False, error=error)
    tool = only(rows_of(ASKED, failed), "tool")
    assert (tool["status"], tool["error_type"], tool["error_message"]) == ("error", "denied", "not allowed")


def test_a_thought_is_one_though_it_is_written_twice() -> None:
    thought = event(2, "assistant.reasoning", reasoningId="r", content="hm")
    rows = rows_of(USER, thought, event(3, "assistant.message", messageId="m1", content="x", reasoningText="hm"))
    assert only(rows, "reasoning")["parent_id"] == "m1"


def test_an_answer_inside_a_call_neither_ends_the_run_nor_names_its_model() -> None:
    inner = event(4, "assistant.message", "a9", messageId="m9", parentToolCallId="c1", model="haiku", toolRequests=[])
    rows = rows_of(USER, ASKED, inner)
    assert only(rows, "run")["ended_ns"] is None
    (sub,) = (one for one in of_kind(rows, "llm") if one["span_id"] == "m9")
    assert (sub["parent_id"], sub["model"]) == ("c1", "haiku")
    last = next(one for one in of_kind(rows_of(USER, ASKED, inner, DONE), "llm") if one["span_id"] == "m2")
    assert last["model"] == "gpt-5-mini"


def test_figures_of_the_session_are_kept_and_added_to_nothing() -> None:
    end = event(9, "session.shutdown", modelMetrics={"m": {"usage": {"inputTokens": 1000}}}, totalPremiumRequests=1)
    parsed = parse("copilot", lines_from(START, USER, DONE, end))
    assert sum(one.tokens_input or 0 for one in parsed.spans) == 0
    usage = parts_of(parsed.spans)["session:s-1", "run:u1"]["session_usage"]
    assert json.loads(usage) == {"modelMetrics": {"m": {"usage": {"inputTokens": 1000}}}, "totalPremiumRequests": 1}


def test_the_session_of_a_file_without_its_start_is_its_folder() -> None:
    (span, *_) = parse("copilot", lines_from(DONE), "/x/aaaa-bbbb/events.jsonl").spans
    assert span.session == "aaaa-bbbb"


def test_unknown_events_are_counted_and_bad_ones_are_kept() -> None:
    rows = [event(1, "session.wormhole"), {**DONE, "timestamp": "soon"}, {**DONE, "data": 3}]
    parsed = parse("copilot", lines_from(*rows))
    assert parsed.unknown_types == {"copilot/session-wormhole": 1}
    assert rejected(parsed) == ["no timestamp that can be read", "data is not an object"]


@pytest.mark.parametrize("row", [START, USER, BEGUN, ENDED, event(9, "session.error", errorType="x", message="y")])
def test_any_wrong_value_in_any_place_of_other_events(row: dict[str, Any]) -> None:
    storable(parse("copilot", lines_from(*(with_value(row, path, wrong) for path in paths_in(row) for wrong in WRONG))))


def test_the_state_is_small_whatever_is_left_open() -> None:
    parser = format_of("copilot").parser(SourceFacts("s", "/x.jsonl"))
    rows = [event(3, "tool.execution_start", toolCallId=f"call_{n:030d}", toolName="bash") for n in range(2000)]
    parser.parse(lines_from(START, USER, *rows))
    assert len(parser.state()) < 16_384
