"""OpenCode storage: spans that are put together from many small files, whichever is read first."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collectors.collect import Collector
from collectors.formats import recognise
from collectors.formats.base import Line
from store.folder import StoreFolder
from store.record.span import Rank, Span
from store.telemetry.reader import Reader
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value
from tests.unit.format_files import DATA, Rows, merged, needs_data, of_kind, parse, parts_of, rejected

STORAGE = DATA / "opencode" / "jazzyalex__agent-sessions" / "opencode"
FILES = sorted(STORAGE.rglob("*.json"))
T_MS = 1_769_825_640_000
MS = 10**6

Tree = dict[str, dict[str, Any]]
ASKED: dict[str, Any] = {"id": "msg_1", "sessionID": "ses_1", "role": "user", "time": {"created": T_MS}}
ANSWER: dict[str, Any] = {
    "id": "msg_2",
    "sessionID": "ses_1",
    "role": "assistant",
    "parentID": "msg_1",
    "time": {"created": T_MS + 10, "completed": T_MS + 900},
    "modelID": "claude-sonnet-4-5",
    "providerID": "anthropic",
    "finish": "stop",
    "cost": 0.25,
    "tokens": {"input": 5, "output": 7, "reasoning": 2, "cache": {"read": 100, "write": 20}},
}
TEXT = {"id": "prt_1", "sessionID": "ses_1", "messageID": "msg_2", "type": "text", "text": "done"}
PROMPT = {"id": "prt_0", "sessionID": "ses_1", "messageID": "msg_1", "type": "text", "text": "go"}
STATE = {
    "status": "completed",
    "input": {"command": "ls"},
    "output": "a",
    "time": {"start": T_MS + 20, "end": T_MS + 50},
}
TOOL = {"id": "prt_2", "sessionID": "ses_1", "messageID": "msg_2", "type": "tool", "tool": "bash", "callID": "c1"}
STORED: Tree = {
    "session/p/ses_1.json": {
        "id": "ses_1",
        "version": "1",
        "projectID": "p",
        "directory": "/x",
        "time": {"created": T_MS},
    },
    "message/ses_1/msg_1.json": ASKED,
    "message/ses_1/msg_2.json": ANSWER,
    "part/msg_1/prt_0.json": PROMPT,
    "part/msg_2/prt_1.json": TEXT,
    "part/msg_2/prt_2.json": {**TOOL, "state": STATE},
}


def read(tree: Tree, order: list[str] | None = None) -> list[Span]:
    """The spans of the files, read one by one in this order."""
    spans = []
    for name in order or list(tree):
        parsed = parse("opencode", [Line(0, json.dumps(tree[name]).encode())], f"/home/a/storage/{name}")
        assert not parsed.bad, rejected(parsed)
        spans += parsed.spans
    return spans


def rows_of(**changes: dict[str, Any]) -> Rows:
    """The rows of one answer (`message`) and one tool (`tool`), with these fields changed."""
    answer, tool = {**ANSWER, **changes.get("message", {})}, {**TOOL, "state": {**STATE, **changes.get("state", {})}}
    return merged(read({"message/ses_1/msg_2.json": answer, "part/msg_2/prt_2.json": tool}))


def only(rows: Rows, kind: str) -> dict[str, Any]:
    (one,) = of_kind(rows, kind)
    return one


def real(name: str, seed: int = 0) -> list[Span]:
    """The spans of a real storage, its files read in an order that `seed` gives."""
    paths = sorted((STORAGE / name).rglob("*.json"))
    random.Random(seed).shuffle(paths)
    spans = []
    for path in paths:
        data = path.read_bytes()
        found = recognise([data], whole=True)
        assert found is not None, path
        assert found.name == "opencode"
        assert recognise([data.strip()]) is found  # a file that is one line with its end
        parsed = parse("opencode", [Line(0, data)], str(path))
        assert not parsed.bad
        assert not parsed.unknown_types
        spans += parsed.spans
    return spans


@needs_data
@pytest.mark.parametrize("name", ["storage_v2", "storage_legacy"])
def test_a_real_storage_against_another_reading_of_it(name: str) -> None:
    """The messages and parts are counted by their files, not by what the parser makes of them."""
    files = {path: json.loads(path.read_bytes()) for path in (STORAGE / name).rglob("*.json")}
    messages = {one["id"]: one for path, one in files.items() if "message" in path.parts}
    parts = Counter(one["type"] for path, one in files.items() if "part" in path.parts)
    rows = merged(real(name))
    assert Counter(one["kind"] for one in rows.values()) == {
        "run": sum(one["role"] == "user" for one in messages.values()),
        "llm": sum(one["role"] == "assistant" for one in messages.values()),
        "tool": parts["tool"],
        **({"reasoning": parts["reasoning"]} if parts["reasoning"] else {}),
    }
    tokens = [one["tokens"] for one in messages.values() if "tokens" in one]
    assert sum(one["tokens_input"] or 0 for one in rows.values()) == sum(one["input"] for one in tokens)
    assert sum(one["tokens_output"] or 0 for one in rows.values()) == sum(one["output"] for one in tokens)
    assert {one["session"] for one in of_kind(rows, "llm")} == {one["sessionID"] for one in messages.values()}
    texts = [text for own in parts_of(real(name)).values() for part, text in own.items() if part.startswith("text:")]
    assert len(texts) == parts["text"]


@needs_data
@pytest.mark.parametrize("name", ["storage_v2", "storage_legacy"])
def test_the_order_of_the_files_does_not_matter(name: str) -> None:
    first = real(name)
    for seed in range(1, 20):
        again = real(name, seed)
        assert merged(again + again[::-1]) == merged(first)
        assert parts_of(again) == parts_of(first)


@needs_data
def test_the_figures_of_the_real_storage() -> None:
    """By hand: one message tells tokens (120 read, 16 written), its `step-finish` repeats them; one `ls` failed."""
    rows = merged(real("storage_v2"))
    assert sum(one["tokens_input"] or 0 for one in rows.values()) == 120
    answers = {one["span_id"]: one for one in of_kind(rows, "llm")}
    large = answers["m_assistant_large_1"]
    assert (large["status"], large["error_type"], large["cost_nano"]) == ("aborted", "MessageAbortedError", None)
    assert large["flags"] == "cost,time.completed"  # its cost is an object, and it does not say when it ended
    tools = {one["span_id"]: (one["status"], one["error_type"]) for one in of_kind(rows, "tool")}
    assert tools == {
        "m_assistant_large_1/p_tool_large_1": ("error", "exit_code"),
        "m_assistant_small/p_tool_1": ("ok", None),
    }
    runs = {one["span_id"]: one["status"] for one in of_kind(rows, "run")}
    assert runs == {"m_user_large_1": "aborted", "m_user_large_2": None, "m_user_small": None}


def test_files_in_every_order_come_to_the_same_rows() -> None:
    expected, texts = merged(read(STORED)), parts_of(read(STORED))
    for order in itertools.permutations(STORED):
        spans = read(STORED, list(order))
        assert merged(spans) == expected
        assert parts_of(spans) == texts
    llm, tool, run = only(expected, "llm"), only(expected, "tool"), only(expected, "run")
    assert (llm["span_id"], llm["parent_id"], llm["run_id"]) == ("msg_2", "msg_1", "msg_1")
    assert (tool["parent_id"], tool["tool"], tool["status"]) == ("msg_2", "bash", "ok")
    assert (run["status"], run["started_ns"], run["ended_ns"]) == ("ok", T_MS * MS, (T_MS + 900) * MS)
    assert (tool["started_ns"], tool["ended_ns"]) == ((T_MS + 20) * MS, (T_MS + 50) * MS)
    assert {one["session"] for one in expected.values()} == {"ses_1"}
    assert texts["global:opencode", "msg_2"] == {"text:prt_1": "done"}
    assert texts["global:opencode", "msg_2/prt_2"] == {"input": '{"command":"ls"}', "output": "a"}


def test_tokens_and_cost_of_this_dialect() -> None:
    llm = only(rows_of(), "llm")
    assert [llm[f"tokens_{name}"] for name in ("input", "cache_read", "cache_write_5m", "output", "reasoning")] == [
        5,
        100,
        20,
        9,
        2,
    ]
    assert (llm["cost_nano"], llm["cost_basis"], llm["context_tokens"]) == (250_000_000, "reported", 125)
    assert only(rows_of(message={"cost": 0}), "llm")["cost_nano"] is None  # no price was known: not free
    for total, flags, written in ((134, None, 9), (132, None, 7), (135, "total_tokens", 9)):  # 132: reasoning within
        llm = only(rows_of(message={"tokens": {**ANSWER["tokens"], "total": total}}), "llm")
        assert (llm["flags"], llm["tokens_output"], llm["tokens_reasoning"]) == (flags, written, 2)
    assert only(rows_of(message={"tokens": {"input": 0, "output": 0}}), "llm")["tokens_input"] is None


@pytest.mark.parametrize(
    ("fields", "status", "error", "run"),
    [
        ({}, "ok", None, "ok"),
        ({"finish": "tool-calls"}, "ok", None, None),  # the request goes on in the next message
        ({"finish": "length"}, "capped", None, "capped"),
        ({"finish": "content-filter"}, "refused", None, "refused"),
        ({"finish": "new"}, "unknown", None, "unknown"),
        (
            {"error": {"name": "MessageAbortedError", "data": {"message": "m"}}},
            "aborted",
            "MessageAbortedError",
            "aborted",
        ),
        ({"error": {"name": "APIError", "data": {"message": "m"}}}, "error", "APIError", "error"),
        ({"error": "odd"}, "error", None, "error"),
        ({"time": {"created": T_MS}, "finish": None}, None, None, None),
    ],
)
def test_how_an_answer_ends(fields: dict[str, Any], status: str | None, error: str | None, run: str | None) -> None:
    rows = rows_of(message=fields)
    llm = only(rows, "llm")
    assert (llm["status"], llm["error_type"]) == (status, error)
    assert [one["status"] for one in of_kind(rows, "run")] == ([] if run is None else [run])


def test_the_last_of_several_answers_ends_the_request() -> None:
    step = {**ANSWER, "id": "msg_3", "finish": "tool-calls", "time": {"created": T_MS + 5, "completed": T_MS + 8}}
    for tree in ({"a": step, "b": ANSWER, "c": ASKED}, {"c": ASKED, "b": ANSWER, "a": step}):
        run = only(merged(read({f"message/ses_1/{name}.json": one for name, one in tree.items()})), "run")
        assert (run["started_ns"], run["ended_ns"], run["status"]) == (T_MS * MS, (T_MS + 900) * MS, "ok")


def test_a_message_in_flight_keeps_its_model_whatever_its_parts_say() -> None:
    waiting = {**ANSWER, "time": {"created": T_MS}, "finish": None}
    for order in (["m", "part/msg_2/p.json"], ["part/msg_2/p.json", "m"]):
        rows = merged(read({"m": waiting, "part/msg_2/p.json": TEXT}, order))
        assert (only(rows, "llm")["model"], only(rows, "llm")["ended_ns"]) == ("claude-sonnet-4-5", None)


@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        ({}, "ok", None),
        ({"status": "success"}, "ok", None),
        ({"metadata": {"exit": 0}}, "ok", None),
        ({"metadata": {"exit": 2}}, "error", "exit_code"),
        ({"status": "error", "error": "no", "output": None}, "error", "tool_error"),
        ({"status": "running", "time": {"start": T_MS + 20}}, None, None),
        ({"status": "pending", "time": None}, None, None),
    ],
)
def test_how_a_call_ends(state: dict[str, Any], status: str | None, error: str | None) -> None:
    tool = only(rows_of(state=state), "tool")
    assert (tool["status"], tool["error_type"], tool["ended_ns"] is None) == (status, error, status is None)


def test_a_file_that_is_written_anew_as_it_grows() -> None:
    def version(**state: Any) -> dict[str, Any]:
        return {**TOOL, "state": state}

    start = {"start": T_MS + 20}
    versions = [
        version(status="pending"),
        version(status="running", time=start, input=STATE["input"]),
        version(**STATE),
    ]
    spans = [span for one in versions * 2 for span in read({"part/msg_2/prt_2.json": one})]
    assert merged(spans) == merged(read({"part/msg_2/prt_2.json": versions[-1]}))
    assert parts_of(spans) == parts_of(read({"part/msg_2/prt_2.json": versions[-1]}))


def test_files_that_name_neither_session_nor_message_have_them_in_their_path() -> None:
    bare = {"id": "prt_9", "type": "text", "text": "x", "time": {"start": T_MS}}
    (span,) = read({"part/msg_7/prt_9.json": bare})
    assert (span.span_id, span.session) == ("msg_7", None)
    (span,) = read({"part/ses_4/msg_7/prt_9.json": bare})
    assert (span.span_id, span.session) == ("msg_7", "ses_4")
    assert rejected(parse("opencode", [Line(0, json.dumps(bare).encode())], "/storage/part/prt_9.json")) == [
        "a part that names no message"
    ]


def test_a_retry_is_a_call_that_failed() -> None:
    error = {"name": "APIError", "data": {"message": "overloaded"}}
    part = {"id": "p", "messageID": "msg_2", "type": "retry", "attempt": 2, "error": error, "time": {"created": T_MS}}
    (span,) = read({"part/msg_2/p.json": part})
    assert (span.kind, span.status, span.error_type, span.attempt) == ("llm", "error", "APIError", 2)
    assert (span.error_message, span.tokens_input) == ("overloaded", None)


def test_unknown_parts_are_counted_and_repeated_usage_is_not() -> None:
    silent = {"id": "p", "messageID": "m", "type": "step-finish", "tokens": {"input": 9}, "cost": 1}
    assert read({"part/m/p.json": silent}) == []
    parsed = parse("opencode", [Line(0, json.dumps({**silent, "type": "hologram"}).encode())])
    assert (parsed.spans, parsed.unknown_types) == ([], {"opencode/part-hologram": 1})


def test_other_small_documents_are_not_taken_for_a_storage() -> None:
    others: list[dict[str, Any]] = [
        {"id": "x", "type": "text", "text": "hi"},
        {"id": "x", "role": "user", "time": {"created": T_MS}},
        {"id": "x", "time": {"created": T_MS}, "directory": "/x"},
        {"type": "tool", "messageID": "m"},
        {"id": 3, "messageID": "m", "type": "text"},
    ]
    assert [one for one in others if recognise([json.dumps(one).encode()], whole=True) is not None] == []


@pytest.mark.parametrize("name", list(STORED))
def test_any_wrong_value_in_any_place_of_other_files(name: str) -> None:
    rows = [with_value(STORED[name], path, wrong) for path in paths_in(STORED[name]) for wrong in WRONG]
    path = Path("/storage") / name
    storable(parse("opencode", [Line(n, json.dumps(one).encode()) for n, one in enumerate(rows)], str(path)))


def test_a_message_in_flight_is_above_its_parts_and_below_its_end() -> None:
    (text,) = read({"part/msg_2/prt_1.json": TEXT})
    (waiting,) = read({"m": {**ANSWER, "time": {"created": T_MS}, "finish": None}})
    assert Rank.STARTED == text.rank < waiting.rank < Rank.ENDED


def test_a_storage_that_is_collected_as_it_is_written(tmp_path: Path) -> None:
    """Real files and a real store: parts first, then messages; a third look adds nothing."""
    storage, folder = tmp_path / "storage", StoreFolder(tmp_path / "store")
    parts = [name for name in STORED if name.startswith("part/")]
    messages = [name for name in STORED if not name.startswith("part/")]
    for names in (parts, messages, []):
        for name in names:
            path = storage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(STORED[name], indent=2))  # no final newline
        summary = Collector(folder, [storage]).run_once()
        assert summary.rejected == 0
    assert summary.records == 0
    with Reader(folder) as reader:
        trace = reader.trace("ses_1", (T_MS + 10_000) * MS)
        assert trace is not None
        assert [(one.kind, one.depth, one.status) for one in trace.spans] == [
            ("run", 0, "ok"),
            ("llm", 1, "ok"),
            ("tool", 2, "ok"),
        ]
        assert (trace.session.cost_nano, trace.session.tokens_output, trace.session.tool_calls) == (250_000_000, 9, 1)
        assert reader.parts("global:opencode", "msg_2") == {"text:prt_1": "done"}
        assert reader.parts("global:opencode", "msg_1") == {"text:prt_0": "go"}
        assert reader.recount().exact
