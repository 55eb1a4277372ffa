"""Claude Code transcripts: counted once, paired, never counted twice over a continued session."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collectors.formats.claude_code.state import MAX_CALLS
from store.record.span import Rank
from tests.unit.format_files import (
    CLAUDE,
    VIEWER,
    lines_from,
    lines_of,
    merged,
    needs_data,
    of_kind,
    parse,
    parts_of,
    rejected,
)

HAPPY = CLAUDE / "slopus__happy"
S = "5c0375b4-57a5-4f26-b12d-d022ee4e51b7"


def message_id(name: str) -> str:
    return f"msg_01{name:0<22}"


def tool_id(name: str) -> str:
    return f"toolu_01{name:0<22}"


class Log:
    """Writes a transcript, each line the child of the one before."""

    def __init__(self, session: str = S) -> None:
        self.session, self.clock = session, 0
        self.rows: list[dict[str, Any]] = []
        self.last: str | None = None

    def row(self, kind: str, message: dict[str, Any], **fields: Any) -> dict[str, Any]:
        self.clock += 1
        uuid = f"{len(self.rows):08d}-0000-4000-8000-{self.session[:12]:0>12}"
        row = {
            "type": kind,
            "uuid": uuid,
            "parentUuid": self.last,
            "sessionId": self.session,
            "version": "2.1.0",
            "timestamp": f"2026-01-31T02:{self.clock // 60:02d}:{self.clock % 60:02d}.000Z",
            "message": message,
            **fields,
        }
        self.rows.append(row)
        self.last = uuid
        return row

    def user(self, text: str, **fields: Any) -> dict[str, Any]:
        return self.row("user", {"role": "user", "content": text}, **fields)

    def said(self, name: str, *blocks: dict[str, Any], stop: str | None = None, **fields: Any) -> dict[str, Any]:
        message = {"id": message_id(name), "model": "claude-opus-4-5", "stop_reason": stop, "content": list(blocks)}
        message["usage"] = fields.pop("usage", {"input_tokens": 1, "output_tokens": 2})
        return self.row("assistant", message, requestId=f"req_{name}", **fields)

    def result(self, name: str, content: object = "fine", **fields: Any) -> dict[str, Any]:
        block = {"type": "tool_result", "tool_use_id": tool_id(name), "content": content, **fields.pop("block", {})}
        return self.row("user", {"role": "user", "content": [block]}, **fields)

    def spans(self) -> dict[tuple[str, str], dict[str, Any]]:
        parsed = parse("claude-code", lines_from(*self.rows))
        assert not parsed.bad, rejected(parsed)
        return merged(parsed.spans)


def text(said: str = "hello") -> dict[str, Any]:
    return {"type": "text", "text": said}


def call(name: str, tool: str = "Bash", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_id(name), "name": tool, "input": given}


# --- the real files, against figures that another reading of the same files gives


def by_hand(path: Path) -> tuple[dict[Any, dict[str, Any]], dict[str, bool | None]]:
    """(usage of the last row of each message, is_error of each answered call), without the parser."""
    usage, errors = dict[Any, dict[str, Any]](), dict[str, bool | None]()
    for raw in path.read_bytes().splitlines():
        try:
            row = json.loads(raw)
        except ValueError:
            continue
        message = row.get("message") if isinstance(row, dict) else None
        if not isinstance(message, dict):
            continue
        if row.get("type") == "assistant" and message.get("usage"):
            usage[message["id"]] = message["usage"]
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_use":
                errors.setdefault(block["id"], None)
            elif isinstance(block, dict) and block.get("type") == "tool_result":
                errors[block["tool_use_id"]] = block.get("is_error") is True
    return usage, errors


@needs_data
@pytest.mark.parametrize("name", ["1af7fc5e", "5c0375b4", "fe5e1c67"])
def test_real_sessions_are_counted_once(name: str) -> None:
    (path,) = VIEWER.glob(f"{name}*")
    usage, errors = by_hand(path)
    parsed = parse("claude-code", lines_of(path.read_bytes()), str(path))
    rows = merged(parsed.spans)
    llm = {row["span_id"]: row for row in of_kind(rows, "llm")}
    assert not parsed.bad
    assert not parsed.unknown_types
    assert llm.keys() == usage.keys()
    for key, own in usage.items():
        row = llm[key]
        assert row["tokens_input"] == own["input_tokens"]
        assert row["tokens_output"] == own["output_tokens"]
        assert row["tokens_cache_read"] == own["cache_read_input_tokens"]
        writes = (row["tokens_cache_write_5m"] or 0) + (row["tokens_cache_write_1h"] or 0)
        assert writes == own["cache_creation_input_tokens"]
        assert row["started_ns"] <= row["ended_ns"]
    tools = {row["span_id"]: row["status"] for row in of_kind(rows, "tool")}
    assert tools == {key: "error" if failed else "ok" for key, failed in errors.items()}


@needs_data
def test_reference_figures_of_the_large_session() -> None:
    (path,) = VIEWER.glob("fe5e1c67*")
    rows = merged(parse("claude-code", lines_of(path.read_bytes()), str(path)).spans)
    llm = of_kind(rows, "llm")
    assert len(llm) == 170
    assert sum(row["tokens_output"] for row in llm) == 51_933
    assert sum(row["tokens_cache_read"] for row in llm) == 3_647_854
    assert Counter(row["status"] for row in of_kind(rows, "tool")) == {"ok": 144, "error": 23}
    assert [row["status"] for row in of_kind(rows, "run")] == ["ok", "ok"]


@needs_data
def test_sub_agents_hang_under_the_call_that_started_them() -> None:
    (path,) = VIEWER.glob("fe5e1c67*")
    rows = merged(parse("claude-code", lines_of(path.read_bytes()), str(path)).spans)
    tasks = {row["span_id"] for row in of_kind(rows, "tool") if row["tool"] == "Task"}
    parents = Counter(row["parent_id"] for row in of_kind(rows, "llm"))
    assert len(tasks) == 5
    assert all(parents[task] > 0 for task in tasks)
    assert None not in parents


@needs_data
def test_a_continued_session_is_not_counted_twice() -> None:
    files = sorted((HAPPY / "utils" / "__fixtures__").glob("[01]-*.jsonl"))
    assert len(files) == 2
    first, second = (parse("claude-code", lines_of(path.read_bytes()), str(path)).spans for path in files)
    alone, rows = merged(first), merged([*first, *second])
    assert len(of_kind(rows, "llm")) == 3
    assert sum(row["tokens_output"] for row in of_kind(rows, "llm")) == 100
    assert len(of_kind(rows, "run")) == 2
    for key, row in alone.items():  # the copy changes neither what it cost nor when and where it was
        again = rows[key]
        names = ("session", "started_ns", "ended_ns", "tokens_output", "status")
        assert {name: again[name] for name in names} == {name: row[name] for name in names}


@needs_data
def test_a_copy_without_its_request_id_is_the_same_message() -> None:
    path = HAPPY / "utils" / "__fixtures__" / "duplicate-assistant-response.jsonl"
    rows = merged(parse("claude-code", lines_of(path.read_bytes()), str(path)).spans)
    assert [row["tokens_output"] for row in of_kind(rows, "llm")] == [5, 6]


@needs_data
def test_a_rate_limit_is_a_failed_call_without_cost() -> None:
    path = HAPPY / "__fixtures__" / "api-error" / "rate-limit.jsonl"
    rows = merged(parse("claude-code", lines_of(path.read_bytes()), str(path)).spans)
    (llm,), (run,) = of_kind(rows, "llm"), of_kind(rows, "run")
    assert (llm["status"], llm["error_type"], llm["model"]) == ("error", "rate_limit", None)
    assert (llm["tokens_input"], llm["tokens_output"], llm["cost_nano"]) == (None, None, None)
    assert (run["status"], run["error_type"]) == ("error", "rate_limit")


@needs_data
def test_an_interrupt_ends_the_run_as_aborted() -> None:
    path = HAPPY / "utils" / "__fixtures__" / "permission-prompt-aborted-with-interrupt.jsonl"
    rows = merged(parse("claude-code", lines_of(path.read_bytes()), str(path)).spans)
    assert [row["status"] for row in of_kind(rows, "run")] == ["aborted"]
    assert [row["status"] for row in of_kind(rows, "tool")] == ["aborted"]


@needs_data
def test_lines_that_are_no_objects_are_rejects_and_the_rest_is_read() -> None:
    path = CLAUDE / "daaain__claude-code-log" / "test" / "test_data" / "edge_cases.jsonl"
    parsed = parse("claude-code", lines_of(path.read_bytes()), str(path))
    assert Counter(rejected(parsed)) == {
        "not a JSON object": 3,
        "message has no content": 1,
        "no timestamp that can be read": 1,
    }
    assert parsed.unknown_types == {"claude-code/(none)": 1}
    assert len(of_kind(merged(parsed.spans), "llm")) == 4


@needs_data
def test_rows_without_a_type_are_read_by_their_usage() -> None:
    paths = sorted((CLAUDE / "ryoppippi__ccusage" / "fixtures").rglob("chat.jsonl"))
    costs = [
        [row["cost_nano"] for row in of_kind(merged(parse("claude-code", lines_of(path.read_bytes())).spans), "llm")]
        for path in paths
    ]
    assert costs == [[120_000_000, 340_000_000, 560_000_000], [30_000_000, 40_000_000]]


@needs_data
def test_a_sub_agents_file_belongs_to_the_session_its_folder_names() -> None:
    (path,) = (CLAUDE / "jazzyalex__agent-sessions" / "claude" / "subagent").rglob("agent-*.jsonl")
    spans = parse("claude-code", lines_of(path.read_bytes()), str(path)).spans
    assert {span.session for span in spans} == {"0a1b2c3d-4e5f-4061-8071-2a3b4c5d6e7f"}
    (tool,) = of_kind(merged(spans), "tool")
    assert (tool["tool"], tool["status"]) == ("bash", "ok")  # the result names no call: it answers its parent's


# --- rules


def test_the_last_line_of_a_message_wins_whatever_the_clocks_say() -> None:
    for times in (("02:00:05", "02:00:05", "02:00:05"), ("02:00:09", "02:00:07", "02:00:05")):
        log = Log()
        log.user("go")
        for time, tokens in zip(times, (3, 700, 165), strict=True):
            log.said("a", text(f"part {tokens}"), usage={"input_tokens": 4, "output_tokens": tokens})
            log.rows[-1]["timestamp"] = f"2026-01-31T{time}.000Z"
        (row,) = of_kind(log.spans(), "llm")
        assert row["tokens_output"] == 165
        assert row["started_ns"] <= row["ended_ns"]


def test_texts_keep_their_order_and_copies_add_none() -> None:
    log = Log()
    log.user("go")
    log.said("a", text("one"))
    log.said("a", text("two"), text("three"))
    twice = parse("claude-code", lines_from(*log.rows)).spans + parse("claude-code", lines_from(*log.rows)).spans
    parts = parts_of(twice)["global", message_id("a")]
    assert [value for _, value in sorted(parts.items())] == ["one", "two", "three"]


def test_a_call_is_in_flight_then_answered() -> None:
    log = Log()
    log.user("go")
    log.said("a", call("x", "mcp__jira__create", title="t"))
    (tool,) = of_kind(log.spans(), "tool")
    assert (tool["rank"], tool["status"], tool["ended_ns"]) == (Rank.STARTED, None, None)
    assert (tool["tool"], tool["parent_id"]) == ("mcp__jira__create", message_id("a"))
    log.result("x", [{"type": "text", "text": "made"}])
    (tool,) = of_kind(log.spans(), "tool")
    assert (tool["rank"], tool["status"], tool["ended_ns"] - tool["started_ns"]) == (Rank.ENDED, "ok", 10**9)
    assert parts_of(parse("claude-code", lines_from(*log.rows)).spans)["global", tool_id("x")] == {
        "input": '{"title":"t"}',
        "output": "made",
    }


@pytest.mark.parametrize(
    ("content", "block", "fields", "status", "error_type"),
    [
        ("done", {}, {}, "ok", None),
        ("done", {"is_error": False}, {}, "ok", None),
        ("done", {"is_error": None}, {}, "ok", None),
        ("exit 1", {"is_error": True}, {}, "error", "tool_error"),
        ("<tool_use_error>no such file</tool_use_error>", {}, {}, "error", "tool_use_error"),
        ("The user doesn't want to proceed with this tool use.", {"is_error": True}, {}, "cancelled", "rejected"),
        ("no", {"is_error": True}, {"toolDenialKind": "user-rejected"}, "cancelled", "rejected"),
        ("[Request interrupted by user for tool use]", {"is_error": True}, {}, "aborted", "interrupted"),
    ],
)
def test_outcome_of_a_call(
    content: str, block: dict[str, Any], fields: dict[str, Any], status: str, error_type: str | None
) -> None:
    log = Log()
    log.user("go")
    log.said("a", call("x"))
    log.result("x", content, block=block, **fields)
    (tool,) = of_kind(log.spans(), "tool")
    assert (tool["status"], tool["error_type"]) == (status, error_type)
    assert tool["error_message"] == (None if status == "ok" else content)


def test_a_call_that_the_log_leaves_behind_is_unknown_until_its_answer_comes() -> None:
    for go_on in ("said", "user"):
        log = Log()
        log.user("go")
        log.said("a", call("x"), call("y"))
        log.result("y")
        if go_on == "said":
            log.said("b", text())
        else:
            log.user("next")
        rows = {row["span_id"]: row for row in of_kind(log.spans(), "tool")}
        assert (rows[tool_id("x")]["status"], rows[tool_id("x")]["rank"]) == ("unknown", Rank.ABANDONED)
        assert rows[tool_id("y")]["status"] == "ok"
        log.result("x", "late")
        rows = {row["span_id"]: row for row in of_kind(log.spans(), "tool")}
        assert (rows[tool_id("x")]["status"], rows[tool_id("x")]["tool"]) == ("ok", "Bash")


def test_more_calls_than_the_state_holds_lose_no_answer() -> None:
    log, count = Log(), MAX_CALLS + 10
    log.user("go")
    log.said("a", *(call(f"x{number}y") for number in range(count)))
    assert Counter(row["status"] for row in of_kind(log.spans(), "tool")) == {"unknown": 10, None: MAX_CALLS}
    for number in range(count):
        log.result(f"x{number}y")
    rows = of_kind(log.spans(), "tool")
    assert Counter(row["status"] for row in rows) == {"ok": count}
    assert {row["tool"] for row in rows} == {"Bash"}


def test_runs_begin_with_a_prompt_and_end_with_its_answer() -> None:
    log = Log()
    log.user("do it")
    log.said("a", call("x"), stop="tool_use")
    assert [row["ended_ns"] for row in of_kind(log.spans(), "run")] == [None]
    log.result("x")
    log.user("Caveat: The messages below were generated by the user", isMeta=True)
    log.user("<local-command-stdout>ok</local-command-stdout>")
    log.user("summary", isCompactSummary=True)
    log.said("b", text(), stop="end_turn")
    (run,) = of_kind(log.spans(), "run")
    assert (run["status"], run["ended_ns"] - run["started_ns"]) == ("ok", 6 * 10**9)
    log.user("and this")
    log.said("c", text(), stop="max_tokens")
    log.user("and that")
    log.said("d", text(), stop="refusal")
    log.user("unanswered")
    log.user("again")
    runs = sorted(of_kind(log.spans(), "run"), key=lambda row: row["started_ns"])
    assert [row["status"] for row in runs] == ["ok", "capped", "refused", "unknown", None]
    assert {row["run_id"] for row in of_kind(log.spans(), "llm")} == {row["run_id"] for row in runs[:3]}


def test_old_versions_write_no_stop_reason_so_text_decides_and_a_call_takes_it_back() -> None:
    log = Log()
    log.user("do it")
    log.said("a", text())
    assert [row["status"] for row in of_kind(log.spans(), "run")] == ["ok"]
    log.said("a", call("x"))
    assert [row["status"] for row in of_kind(log.spans(), "run")] == ["unknown"]
    log.result("x")
    log.said("b", text())
    (run,) = of_kind(log.spans(), "run")
    assert run["status"] == "ok"


def test_a_slash_command_is_a_run_only_where_the_model_answers() -> None:
    log = Log()
    log.user("<command-name>/clear</command-name>")
    log.user("<local-command-stdout></local-command-stdout>")
    assert of_kind(log.spans(), "run") == []
    log.user("<command-message>init is analyzing</command-message>")
    log.user("Please analyze this codebase", isMeta=True)
    log.said("a", text(), stop="end_turn")
    (run,) = of_kind(log.spans(), "run")
    parts = parts_of(parse("claude-code", lines_from(*log.rows)).spans)
    assert parts["global", run["span_id"]] == {"input": "Please analyze this codebase"}


def test_thinking_is_a_span_of_its_own() -> None:
    log = Log()
    log.user("go")
    log.said("a", {"type": "thinking", "thinking": "hm", "signature": "s"}, text())
    (thought,) = of_kind(log.spans(), "reasoning")
    assert (thought["parent_id"], thought["status"], thought["tokens_output"]) == (message_id("a"), "ok", None)


@pytest.mark.parametrize(
    ("usage", "short", "long", "flags"),
    [
        ({"cache_creation_input_tokens": 7}, 7, None, None),
        ({"cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_5m_input_tokens": 0}}, 7, None, None),
        (
            {
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
            },
            3,
            4,
            None,
        ),
        (
            {"cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 4}},
            5,
            4,
            "cache_creation",
        ),
        ({"input_tokens": -1}, None, None, "input_tokens"),
        ({"input_tokens": "many"}, None, None, "input_tokens"),
        ({"server_tool_use": {"web_search_requests": 2}}, None, None, "server_tool_use"),
        ({"speed": "fast", "service_tier": "priority"}, None, None, "service_tier,speed"),
    ],
)
def test_usage(usage: dict[str, Any], short: int | None, long: int | None, flags: str | None) -> None:
    log = Log()
    log.said("a", text(), usage={"output_tokens": 1, **usage})
    (row,) = of_kind(log.spans(), "llm")
    assert (row["tokens_cache_write_5m"], row["tokens_cache_write_1h"]) == (short, long)
    assert row["flags"] == flags


def test_context_is_all_that_went_in() -> None:
    log = Log()
    log.said(
        "a",
        text(),
        usage={
            "input_tokens": 1,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 300,
            "output_tokens": 5,
        },
    )
    assert [row["context_tokens"] for row in of_kind(log.spans(), "llm")] == [321]


@pytest.mark.parametrize(
    ("said", "fields", "error_type"),
    [
        ("API Error: 529 overloaded", {}, "overloaded"),
        ("API Error (500 {}) retrying", {}, "http_500"),
        ('API Error: {"type":"authentication_error"}', {}, "authentication_error"),
        ("Claude usage limit reached", {}, "api_error"),
        ("anything", {"isApiErrorMessage": True, "apiErrorStatus": 429}, "rate_limit"),
        ("anything", {"error": "rate_limit"}, "rate_limit"),
    ],
)
def test_api_errors(said: str, fields: dict[str, Any], error_type: str) -> None:
    log = Log()
    log.user("go")
    row = log.said("a", text(said), usage={"input_tokens": 0, "output_tokens": 0}, **fields)
    row["message"]["model"] = "<synthetic>"
    (llm,) = of_kind(log.spans(), "llm")
    assert (llm["status"], llm["error_type"], llm["tokens_output"]) == ("error", error_type, None)


def test_the_clients_own_filler_is_no_model_call() -> None:
    log = Log()
    log.user("go")
    log.said("a", text("No response requested."))["message"]["model"] = "<synthetic>"
    assert of_kind(log.spans(), "llm") == []


def test_a_retried_call_is_a_failed_call() -> None:
    log = Log()
    log.user("go")
    row = log.row("system", {}, subtype="api_error", error={"status": 529}, retryAttempt=3)
    del row["message"]
    (llm,) = of_kind(log.spans(), "llm")
    assert (llm["status"], llm["error_type"], llm["attempt"]) == ("error", "overloaded", 3)


def test_short_ids_are_unique_in_their_session_only() -> None:
    rows = [
        {
            "type": "assistant",
            "uuid": "a1",
            "sessionId": session,
            "timestamp": "2026-01-31T02:00:00Z",
            "message": {"id": "m1", "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]},
        }
        for session in ("one", "two")
    ]
    assert len(merged(parse("claude-code", lines_from(*rows)).spans)) == 4


def test_unknown_rows_and_blocks_are_counted() -> None:
    log = Log()
    log.said("a", {"type": "hologram"})
    log.row("telepathy", {})
    parsed = parse("claude-code", lines_from(*log.rows))
    assert parsed.unknown_types == {"claude-code/block-hologram": 1, "claude-code/telepathy": 1}


def test_the_state_holds_no_text_of_the_log() -> None:
    from collectors.formats import by_name
    from collectors.formats.base import SourceFacts

    log = Log()
    log.user("my password is correct-horse")
    log.said("a", text("correct-horse"), call("x", "Task", prompt="correct-horse"))
    log.user("<command-name>/correct-horse</command-name>")
    found = by_name("claude-code")
    assert found is not None
    parser = found.parser(SourceFacts("s", "/x.jsonl"))
    parser.parse(lines_from(*log.rows))
    assert b"correct-horse" not in parser.state()
