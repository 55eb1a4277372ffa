"""Gemini CLI chats: documents written anew as they grow, lines from 0.40 on, tokens with the cache inside."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import HEAD_LINES, recognise
from collectors.formats.base import Line
from store.record.span import Rank
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value
from tests.unit.format_documents import document, same_when_read_in_versions
from tests.unit.format_files import (
    DATA,
    Rows,
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

GEMINI = DATA / "gemini-cli"
DOCUMENTS = sorted(GEMINI.glob("*/gemini/*.json"))
LINES = GEMINI / "jazzyalex__agent-sessions" / "gemini" / "jsonl_v040.jsonl"
SDK = sorted((GEMINI / "google-gemini__gemini-cli").rglob("*.json"))
HEAD = {"sessionId": "s", "projectHash": "p", "startTime": "2026-01-31T02:14:00Z", "lastUpdated": "x"}
T_NS = 1_769_825_640_000_000_000
S = 10**9


def message(at_s: int, kind: str, number: str, content: object = "", **fields: Any) -> dict[str, Any]:
    return {"id": number, "timestamp": f"2026-01-31T02:14:{at_s:02d}Z", "type": kind, "content": content, **fields}


def call(status: str | None = "success", output: str = "x", **fields: Any) -> dict[str, Any]:
    told = [{"functionResponse": {"id": "c1", "response": {"output": output}}}]
    row = {"id": "c1", "name": "run_shell_command", "args": {"command": "ls"}, "result": told, **fields}
    return row if status is None else {**row, "status": status}


def chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {**HEAD, "messages": list(messages)}


def rows_of(*messages: dict[str, Any]) -> Rows:
    """The rows of a chat, the same whether it is a document or lines."""
    parsed = parse("gemini", document(chat(*messages)))
    lines = lines_from(HEAD, *messages)
    assert not parsed.bad, rejected(parsed)
    assert merged(parse("gemini", lines).spans) == merged(parsed.spans)
    assert merged(parse_with_restarts("gemini", lines).spans) == merged(parsed.spans)
    return merged(parsed.spans)


def only(rows: Rows, kind: str) -> dict[str, Any]:
    (one,) = of_kind(rows, kind)
    return one


@needs_data
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_chat_against_another_reading_of_it(path: Path) -> None:
    """Messages, calls and thoughts are counted by their keys, wherever they are in the tree."""
    data = path.read_bytes()
    chat_ = json.loads(data)
    found = recognise([data], whole=True)
    assert found is not None
    assert found.name == "gemini"
    parsed = parse("gemini", [Line(0, data)], str(path))
    assert not parsed.bad
    assert not parsed.unknown_types
    rows = merged(parsed.spans)
    messages = chat_.get("messages") or chat_["history"]
    kinds = Counter(one.get("type") or one["role"] for one in messages)
    assert len(of_kind(rows, "run")) == kinds["user"]
    assert len(of_kind(rows, "llm")) == kinds["gemini"] + kinds["model"]
    calls = [one for each in messages for one in each.get("toolCalls", [])]
    assert len(of_kind(rows, "tool")) == len(calls)
    assert len(of_kind(rows, "reasoning")) == sum(len(one.get("thoughts", [])) for one in messages)
    tokens = [one["tokens"] for one in messages if "tokens" in one]
    read = sum((one["tokens_input"] or 0) + (one["tokens_cache_read"] or 0) for one in rows.values())
    assert read == sum(one["input"] for one in tokens)
    assert sum(one["tokens_output"] or 0 for one in rows.values()) == sum(one["output"] for one in tokens)
    assert {one["session"] for one in rows.values()} <= {chat_.get("sessionId", path.stem)}
    assert merged(parse("gemini", [Line(0, data)] * 2, str(path)).spans) == rows


@needs_data
def test_the_failed_command_of_the_large_chat() -> None:
    """Its status is `success`; that the command failed stands in what the tool told the model."""
    path = GEMINI / "jazzyalex__agent-sessions" / "gemini" / "large.json"
    tools = of_kind(merged(parse("gemini", [Line(0, path.read_bytes())]).spans), "tool")
    assert sorted((one["span_id"], one["status"], one["error_type"]) for one in tools) == [
        ("run_shell_command-1", "ok", None),
        ("run_shell_command-2", "error", "exit_code"),
    ]


@needs_data
def test_the_chat_in_lines() -> None:
    lines = lines_of(LINES.read_bytes())
    found = recognise([line.data for line in lines[:HEAD_LINES]])
    assert found is not None
    assert found.name == "gemini"
    parsed = parse("gemini", lines, str(LINES))
    assert not parsed.bad
    assert not parsed.unknown_types
    assert merged(parse_with_restarts("gemini", lines, str(LINES)).spans) == merged(parsed.spans)
    rows = merged(parsed.spans)
    # by hand: 11,855 + 12,069 read, of which 11,502 from the cache; 81 + 147 written
    sums = [sum(one[f"tokens_{name}"] or 0 for one in rows.values()) for name in ("input", "cache_read", "output")]
    assert sums == [11855 + 12069 - 11502, 11502, 81 + 147]
    assert Counter(one["kind"] for one in rows.values()) == {"run": 1, "llm": 2, "tool": 1}
    assert only(rows, "run")["status"] == "ok"


@needs_data
@pytest.mark.parametrize("path", SDK, ids=lambda path: path.name)
def test_recorded_answers_of_a_model_are_no_chat(path: Path) -> None:
    """They name no session, no time and no request: what an agent did cannot be told from them."""
    data = path.read_bytes()
    assert recognise([data], whole=True) is None
    assert recognise([line.data for line in lines_of(data)[:HEAD_LINES]]) is None


def test_a_model_call_runs_from_what_came_before_it_to_its_message() -> None:
    answer = message(5, "gemini", "a", toolCalls=[call(timestamp="2026-01-31T02:14:08Z")])
    rows = rows_of(message(1, "user", "u", "hi"), answer, message(9, "gemini", "b", "done"))
    first, second = sorted(of_kind(rows, "llm"), key=lambda one: one["span_id"])
    tool, run = only(rows, "tool"), only(rows, "run")
    assert [(one["started_ns"] - T_NS) // S for one in (first, tool, second, run)] == [1, 5, 8, 1]
    assert [(one["ended_ns"] - T_NS) // S for one in (first, tool, second, run)] == [5, 8, 9, 9]
    assert (tool["parent_id"], first["parent_id"], run["status"]) == ("a", "run:u", "ok")


def test_tokens_of_this_dialect() -> None:
    tokens = {"input": 100, "output": 10, "cached": 40, "thoughts": 7, "tool": 3, "total": 120}
    llm = only(rows_of(message(1, "gemini", "a", tokens=tokens, model="gemini-2.5-pro")), "llm")
    assert (llm["tokens_input"], llm["tokens_cache_read"]) == (63, 40)
    assert (llm["tokens_output"], llm["tokens_reasoning"], llm["context_tokens"], llm["flags"]) == (17, 7, 103, None)
    for field, wrong, flag in (
        ("total", 121, "total_tokens"),
        ("cached", 400, "total_tokens"),
        ("output", "x", "tokens.output"),
    ):
        llm = only(rows_of(message(1, "gemini", "a", tokens={**tokens, field: wrong})), "llm")
        assert flag in llm["flags"].split(",")


def test_a_document_that_grows_comes_to_what_its_last_version_says() -> None:
    tokens = {"input": 2, "output": 1, "total": 3}
    asked, waiting = message(1, "user", "u", "hi"), message(2, "gemini", "a", toolCalls=[call("executing")])
    done = {**waiting, "tokens": tokens, "toolCalls": [call(timestamp="2026-01-31T02:14:03Z")]}
    end, again = message(4, "gemini", "b", "done", tokens=tokens), message(5, "user", "v", "more")
    versions = [(asked,), (asked, waiting), (asked, done), (asked, done, end), (asked, done, end, again)]
    same_when_read_in_versions("gemini", [chat(*one) for one in versions])
    rows = rows_of(asked, done, end)
    assert [one["tokens_input"] for one in of_kind(rows, "llm")] == [2, 2]


def test_a_message_written_again_with_its_tokens_is_one_call() -> None:
    first = message(1, "gemini", "a", "x")
    second = {**first, "tokens": {"input": 5, "output": 1, "total": 6}}
    for order in ([first, second], [second, first]):
        (llm,) = of_kind(merged(parse("gemini", lines_from(HEAD, *order)).spans), "llm")
        assert (llm["tokens_input"], llm["rank"]) == (5, Rank.ENDED)


@pytest.mark.parametrize(
    ("tool_call", "status", "error"),
    [
        (call(), "ok", None),
        (call("error"), "error", "tool_error"),
        (call("cancelled"), "cancelled", "cancelled"),
        (call(output="Output: x\nExit Code: 0\nSignal: 0"), "ok", None),
        (call(output="Output: x\nExit Code: 127"), "error", "exit_code"),
        (call(output="Output: Exit Code: 3 was printed"), "ok", None),
    ],
)
def test_how_a_call_ended(tool_call: dict[str, Any], status: str, error: str | None) -> None:
    tool = only(rows_of(message(1, "gemini", "a", toolCalls=[tool_call])), "tool")
    assert (tool["status"], tool["error_type"]) == (status, error)
    assert tool["flags"] == "timestamp"  # it does not say when it ended


def test_a_call_that_is_left_behind_is_unknown() -> None:
    waiting = message(2, "gemini", "a", toolCalls=[call("awaiting_approval")])
    asked = message(1, "user", "u", "hi")
    assert only(rows_of(asked, waiting), "tool")["ended_ns"] is None
    assert only(rows_of(asked, waiting), "run")["ended_ns"] is None
    rows = rows_of(asked, waiting, message(7, "user", "v", "stop that"))
    assert (only(rows, "tool")["status"], only(rows, "tool")["rank"]) == ("unknown", Rank.ABANDONED)
    assert {one["span_id"]: one["status"] for one in of_kind(rows, "run")} == {"run:u": "unknown", "run:v": None}


def test_a_message_that_is_written_again_and_again_as_it_grows() -> None:
    """0.40 writes the answer, the answer with its tokens, and the answer with its tools once they have run."""
    asked, tokens = message(1, "user", "u", "hi"), {"input": 5, "output": 1, "total": 6}
    bare, counted = message(3, "gemini", "a"), message(3, "gemini", "a", tokens=tokens)
    ran = {**counted, "toolCalls": [call(timestamp="2026-01-31T02:14:06Z")]}
    rows = rows_of(asked, bare, counted)
    assert only(rows, "run")["ended_ns"] is None
    rows = rows_of(asked, bare, counted, ran, message(9, "gemini", "b", "done"))
    first, second = sorted(of_kind(rows, "llm"), key=lambda one: one["span_id"])
    assert [(one["started_ns"] - T_NS) // S for one in (first, second)] == [1, 6]
    assert (first["tokens_input"], only(rows, "tool")["ended_ns"] - T_NS) == (5, 6 * S)
    assert (only(rows, "run")["status"], only(rows, "run")["ended_ns"] - T_NS) == ("ok", 9 * S)


def test_results_of_tools_in_the_users_name_are_no_request() -> None:
    rows = rows_of(message(1, "user", "u", "hi"), message(2, "user", "v", [{"functionResponse": {"id": "c"}}]))
    assert only(rows, "run")["run_id"] == "u"
    assert len(parse("gemini", lines_from(HEAD, {"$set": {"messages": [message(1, "user", "x")]}})).spans) == 0


def test_errors_and_cancelling_end_the_run() -> None:
    asked = message(1, "user", "u", "hi")
    rows = rows_of(asked, message(3, "error", "e", "[API Error: quota]"))
    assert (only(rows, "llm")["status"], only(rows, "llm")["error_message"]) == ("error", "[API Error: quota]")
    assert only(rows, "run")["status"] == "error"
    rows = rows_of(asked, message(3, "error", "e", "no such command"))
    assert (of_kind(rows, "llm"), only(rows, "run")["status"]) == ([], "error")
    rows = rows_of(asked, message(3, "info", "i", "Request cancelled."))
    assert only(rows, "run")["status"] == "aborted"
    rows = rows_of(asked, message(3, "info", "i", "Request cancelled."), message(4, "gemini", "a", "still"))
    assert only(rows, "run")["status"] == "ok"


def test_a_bad_message_costs_the_others_nothing() -> None:
    bad = [{"type": "user", "timestamp": "soon"}, 7, message(1, "oracle", "o")]
    parsed = parse("gemini", document({**HEAD, "messages": [*bad, message(2, "user", "u", "hi")]}))
    assert len(of_kind(merged(parsed.spans), "run")) == 1
    assert rejected(parsed) == ["no timestamp that can be read", "a message is not an object"]
    assert parsed.unknown_types == {"gemini/message-oracle": 1}


def test_texts_of_older_versions_and_images_without_their_bytes() -> None:
    parts = [{"text": "look"}, {"inlineData": {"mimeType": "image/png", "data": "A" * 900}}]
    parsed = parse("gemini", document({**HEAD, "messages": [{**message(1, "user", "u"), "parts": parts}]}))
    (texts,) = parts_of(parsed.spans).values()
    assert texts["input"].startswith("look\n")
    assert "(900 characters of base64)" in texts["input"]


def test_any_wrong_value_in_any_place_of_a_line() -> None:
    good = message(
        1, "gemini", "a", [{"text": "x"}], tokens={"input": 1}, thoughts=[{"subject": "s"}], toolCalls=[call()]
    )
    rows = [with_value(good, path, wrong) for path in paths_in(good) for wrong in WRONG]
    storable(parse("gemini", lines_from(HEAD, *rows)))
