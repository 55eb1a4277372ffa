"""Claude Agent SDK streams: no clock to speak of, running totals, usage that is only known at the end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import recognise
from collectors.formats.base import Line, SourceFacts
from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.span import Rank
from store.record.window import Window
from store.telemetry.reader import Reader
from store.telemetry.views import SessionFilter
from store.telemetry.writer import Writer
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value
from tests.unit.format_documents import document, same_when_read_in_versions
from tests.unit.format_files import (
    DATA,
    Rows,
    format_of,
    lines_from,
    merged,
    needs_data,
    of_kind,
    parse,
    parse_with_restarts,
    parts_of,
    rejected,
)

NAME = "claude-agent-sdk"
CASSETTES = sorted((DATA / "claude-agent-sdk-cassette").rglob("*.json"))
S = 10**9
T_NS = 1_769_825_640 * S
USER = {
    "type": "user",
    "session_id": "default",
    "message": {"role": "user", "content": "go"},
    "parent_tool_use_id": None,
}
CALL_ID = "toolu_01MRdgcFhYNo1LHvRQKvKckg"
CALL = {"type": "tool_use", "id": CALL_ID, "name": "Bash", "input": {"command": "ls"}}


def init(uuid: str = "u-init-1", session: str = "s-1") -> dict[str, Any]:
    more = {"session_id": session, "model": "claude-sonnet-4-6", "claude_code_version": "2.1.84", "mcp_servers": []}
    return {"type": "system", "subtype": "init", "uuid": uuid, **more}


def answer(*blocks: dict[str, Any], number: int = 1, **fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1}
    inner = {"id": f"msg_{number:024d}", "model": "claude-sonnet-4-6", "content": list(blocks), "usage": usage}
    return {"type": "assistant", "session_id": "s-1", "parent_tool_use_id": None, "message": inner, **fields}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def tool_result(at_s: int | None = None, call: str = CALL_ID, **fields: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call, "content": "a.txt", **fields}
    row = {"type": "user", "session_id": "s-1", "parent_tool_use_id": None, "message": {"content": [block]}}
    return row if at_s is None else {**row, "timestamp": f"2026-01-31T02:14:{at_s:02d}.000Z"}


def result(cost: float = 0.5, *, out: int = 5, total_out: int | None = None, **fields: Any) -> dict[str, Any]:
    """`out`: of this request; `total_out`: of the process so far."""
    models = {"claude-sonnet-4-6": {"inputTokens": 0, "outputTokens": out if total_out is None else total_out}}
    usage = {"input_tokens": 0, "output_tokens": out, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    figures = {"duration_ms": 4000, "num_turns": 1, "total_cost_usd": cost, "usage": usage, "modelUsage": models}
    return {"type": "result", "subtype": "success", "is_error": False, "session_id": "s-1", **figures, **fields}


def rows_of(*rows: object) -> Rows:
    """The rows of a stream, the same after a restart at any line."""
    lines = lines_from(*rows)
    parsed = parse(NAME, lines)
    assert not parsed.bad, rejected(parsed)
    assert merged(parse_with_restarts(NAME, lines).spans) == merged(parsed.spans)
    return merged(parsed.spans)


def only(rows: Rows, kind: str) -> dict[str, Any]:
    (one,) = of_kind(rows, kind)
    return one


@needs_data
@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_a_recording_against_another_reading_of_it(path: Path) -> None:
    data = path.read_bytes()
    found = recognise([data], whole=True)
    assert found is not None
    assert found.name == NAME
    parsed = parse(NAME, [Line(0, data)], str(path))
    assert not parsed.bad
    assert not parsed.unknown_types
    rows = merged(parsed.spans)

    messages = [one["message"] for one in json.loads(data)["messages"]]
    (end,) = (one for one in messages if one["type"] == "result")
    answers = [one["message"] for one in messages if one["type"] == "assistant"]
    ids = {one["id"] for one in answers}
    blocks = Counter(
        block["type"] for one in messages if one["type"] == "assistant" for block in one["message"]["content"]
    )
    assert {one["span_id"] for one in of_kind(rows, "llm")} == ids
    assert len(of_kind(rows, "tool")) == blocks["tool_use"]
    assert len(of_kind(rows, "reasoning")) == blocks["thinking"]
    usage, run = end["usage"], only(rows, "run")
    assert [
        run[f"tokens_{name}"] for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
    ] == [
        usage["input_tokens"],
        usage["cache_read_input_tokens"],
        usage["cache_creation"]["ephemeral_5m_input_tokens"],
        usage["cache_creation"]["ephemeral_1h_input_tokens"],
        usage["output_tokens"],
    ]
    assert all(one["tokens_output"] is None and one["cost_nano"] is None for one in rows.values() if one is not run)
    assert (run["cost_nano"], run["cost_basis"]) == (round(end["total_cost_usd"] * 10**9), "reported")
    assert (run["status"], run["model"]) == ("ok", "claude-sonnet-4-6")
    assert {one["session"] for one in rows.values()} == {end["session_id"]}
    told = [one["timestamp"] for one in messages if "timestamp" in one]
    if told:
        assert run["ended_ns"] - run["started_ns"] == end["duration_ms"] * 10**6
    else:
        assert all(one["started_ns"] is None and one["ended_ns"] is None for one in rows.values())
    assert merged(parse(NAME, [Line(0, data)] * 2, str(path)).spans) == rows


@needs_data
def test_the_lines_of_a_recording_are_a_stream() -> None:
    """What the program prints is one direction of the wire, bare; a prompt is not among it."""
    for path in CASSETTES:
        messages = json.loads(path.read_bytes())["messages"]
        received = [one["message"] for one in messages if one["direction"] == "recv"]
        for lines in (received, messages):
            found = recognise([json.dumps(one).encode() for one in lines])
            assert found is not None
            assert found.name == NAME
        whole = merged(parse(NAME, [Line(0, path.read_bytes())]).spans)
        assert merged(parse(NAME, lines_from(*received)).spans) == whole
        assert merged(parse(NAME, document(received)).spans) == whole  # --output-format json with --verbose


@needs_data
def test_what_has_no_time_is_in_the_totals_and_in_no_window(tmp_path: Path) -> None:
    (path,) = (one for one in CASSETTES if one.stem.startswith("basic"))
    folder = StoreFolder(tmp_path / "store")
    folder.prepare()
    with Writer(folder) as writer:
        writer.write(Batch(spans=parse(NAME, [Line(0, path.read_bytes())]).spans), T_NS)
    with Reader(folder) as reader:
        (session,) = reader.sessions(SessionFilter(), T_NS)
        assert (session.tokens_output, session.cost_nano, session.runs, session.run_ns) == (5, 10_390_050, 1, None)
        assert (session.started_ns, session.ended_ns, session.status) == (None, None, "ok")
        assert reader.sessions(SessionFilter(since_ns=0), T_NS) == ()
        board = reader.board(Window(0, T_NS, "all"), T_NS, 0)
        assert (board.fleet.runs, board.fleet.running, board.fleet.cost_nano) == (0, 0, None)
        trace = reader.trace(session.session, T_NS)
        assert trace is not None
        assert [one.kind for one in trace.spans] == ["run", "llm"]
        assert reader.recount().exact


def test_times_that_results_of_tools_tell() -> None:
    rows = rows_of(init(), answer(CALL), tool_result(7), answer(text("done"), number=2), result())
    run, tool = only(rows, "run"), only(rows, "tool")
    first, second = sorted(of_kind(rows, "llm"), key=lambda one: one["span_id"])
    assert ((run["started_ns"] - T_NS) // S, (run["ended_ns"] - T_NS) // S) == (3, 7)
    assert (tool["started_ns"], tool["ended_ns"] - T_NS, tool["status"]) == (None, 7 * S, "ok")
    assert (first["started_ns"], first["ended_ns"] - T_NS) == (None, 7 * S)
    assert (second["started_ns"] - T_NS, second["ended_ns"] - T_NS) == (7 * S, 7 * S)
    assert (run["flags"], first["flags"], tool["flags"]) == ("time", "time", None)


def test_a_time_is_of_its_own_request_alone() -> None:
    more = [init("u-init-2"), answer(text("again"), number=3), result(1.0, total_out=10)]
    rows = rows_of(init(), answer(CALL), tool_result(7), result(), *more)
    runs = {one["run_id"]: one["ended_ns"] for one in of_kind(rows, "run")}
    assert runs == {"u-init-1": T_NS + 7 * S, "u-init-2": None}


def test_totals_of_a_process_are_counted_once() -> None:
    """`total_cost_usd` of the second result holds that of the first, and so does `modelUsage`."""
    second = [init("i2"), answer(text("b"), number=2), result(0.8, out=3, total_out=8)]
    rows = rows_of(init(), answer(text("a")), result(0.5), *second)
    runs = sorted((one["cost_nano"], one["tokens_output"]) for one in of_kind(rows, "run"))
    assert runs == [(300_000_000, 3), (500_000_000, 5)]


@pytest.mark.parametrize("second", [result(0.25, out=2), result(0.75, out=9, total_out=9)])
def test_another_process_begins_at_nothing(second: dict[str, Any]) -> None:
    """It says less than the one before, or all that it says is of this one request."""
    rows = rows_of(init(), answer(text("a")), result(0.5), init("i2"), answer(text("b"), number=2), second)
    cost = round(second["total_cost_usd"] * S)
    assert sorted(one["cost_nano"] for one in of_kind(rows, "run")) == sorted([cost, S // 2])


def test_an_older_version_tells_its_running_cost_alone() -> None:
    bare: dict[str, Any] = {"modelUsage": None, "usage": None}
    first, second = result(0.5, **bare), result(0.75, **bare)
    rows = rows_of(init(), answer(text("a")), first, init("i2"), answer(text("b"), number=2), second)
    assert sorted(one["cost_nano"] for one in of_kind(rows, "run")) == [S // 4, S // 2]
    other = {**second, "session_id": "s-2"}  # another process
    rows = rows_of(init(), answer(text("a")), first, init("i2", "s-2"), other)
    assert sorted(one["cost_nano"] for one in of_kind(rows, "run")) == [S // 2, 3 * S // 4]


def test_a_tool_at_the_models_side_ends_in_the_answer_itself() -> None:
    asked = {"type": "server_tool_use", "id": "srvtoolu_000000000001", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": asked["id"], "content": [{"title": "t"}]}
    tool = only(rows_of(init(), answer(asked, found, text("x")), result()), "tool")
    assert (tool["tool"], tool["status"]) == ("web_search", "ok")


def test_lines_of_hooks_before_the_first_message_do_not_hide_the_format() -> None:
    hooks = [{"type": "system", "subtype": "hook_started", "session_id": "s-1", "uuid": str(n)} for n in range(12)]
    found = recognise([json.dumps(one).encode() for one in [*hooks, init()]])
    assert getattr(found, "name", None) == NAME


def test_several_models_are_added_up_and_none_of_them_is_named() -> None:
    models = {"claude-opus-4-6": {"inputTokens": 3, "outputTokens": 4}, "claude-haiku-4-5": {"inputTokens": 50}}
    run = only(rows_of(init(), answer(text("a")), result(modelUsage=models)), "run")
    assert (run["tokens_input"], run["tokens_output"], run["model"]) == (53, 4, None)


def test_without_usage_by_model_that_of_the_request_counts() -> None:
    run = only(rows_of(init(), result(modelUsage=None, usage={"input_tokens": 3, "output_tokens": "x"})), "run")
    assert (run["tokens_input"], run["tokens_output"], run["flags"]) == (3, None, "tokens.output_tokens")


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({}, "ok", None),
        ({"is_error": True, "result": "API Error: 529"}, "error", "api_error"),
        ({"subtype": "error_max_turns"}, "capped", "error_max_turns"),
        ({"subtype": "error_max_budget_usd"}, "capped", "error_max_budget_usd"),
        ({"subtype": "error_during_execution", "errors": ["x"]}, "error", "error_during_execution"),
        ({"stop_reason": "refusal"}, "refused", "refusal"),
    ],
)
def test_how_a_request_ends(fields: dict[str, Any], status: str, error: str | None) -> None:
    run = only(rows_of(init(), answer(text("a")), result(**fields)), "run")
    assert (run["status"], run["error_type"]) == (status, error)


def test_a_result_alone_is_a_run() -> None:
    """`--output-format json` prints nothing else."""
    alone = result(uuid="r-1", result="4")
    assert getattr(recognise([json.dumps(alone).encode()], whole=True), "name", None) == NAME
    run = only(rows_of(alone), "run")
    assert (run["run_id"], run["cost_nano"], run["session"]) == ("r-1", S // 2, "s-1")


def test_one_answer_over_several_lines_is_one_call() -> None:
    lines = lines_from(init(), answer(text("a")), answer(CALL), answer(text("b")), tool_result(3), result())
    parsed = parse(NAME, lines)
    llm = only(merged(parsed.spans), "llm")
    assert (llm["tokens_input"], llm["tokens_output"], llm["context_tokens"]) == (None, None, 113)
    assert sorted(parts_of(parsed.spans)["global", llm["span_id"]].values()) == ["a", "b"]


def test_calls_failed_left_behind_and_inside_another() -> None:
    tool = only(rows_of(init(), answer(CALL), tool_result(is_error=True), result()), "tool")
    assert (tool["status"], tool["error_type"], tool["error_message"]) == ("error", "tool_error", "a.txt")
    tool = only(rows_of(init(), answer(CALL), result()), "tool")
    assert (tool["status"], tool["rank"]) == ("unknown", Rank.ABANDONED)
    inner = answer(text("x"), number=9, parent_tool_use_id=CALL_ID)
    rows = rows_of(init(), answer(CALL), inner, tool_result(3), result())
    assert {one["parent_id"] for one in of_kind(rows, "llm")} == {"run:u-init-1", CALL_ID}


def test_a_prompt_belongs_to_the_run_that_the_stream_names() -> None:
    wire = [{"direction": "send", "message": USER}, *({"direction": "recv", "message": x} for x in (init(), result()))]
    parsed = parse(NAME, document({"messages": wire}))
    assert only(merged(parsed.spans), "run")["run_id"] == "u-init-1"
    assert parts_of(parsed.spans)["global", "run:u-init-1"]["input"] == "go"
    assert only(rows_of(*wire), "run")["status"] == "ok"  # as lines it is named before it is known whose it is


def test_the_same_session_in_a_transcript_is_the_same_calls() -> None:
    """Model calls and tools have one key in both; the transcript knows when they were and what they wrote."""
    stamp = "2026-01-31T02:14:05.000Z"
    row = {**answer(CALL), "sessionId": "s-1", "uuid": "x" * 36, "timestamp": stamp}
    row["message"]["usage"]["output_tokens"] = 77
    transcript = parse("claude-code", lines_from(row)).spans
    stream = parse(NAME, lines_from(init(), answer(CALL), tool_result(9), result())).spans
    for order in (stream + transcript, transcript + stream):
        rows = merged(order)
        llm = only(rows, "llm")
        assert (llm["tokens_output"], llm["ended_ns"] - T_NS) == (77, 5 * S)
        assert len(of_kind(rows, "tool")) == 1


def test_a_recording_that_grows_comes_to_what_its_last_version_says() -> None:
    steps = [init(), answer(CALL), tool_result(3), answer(text("done"), number=2), result()]
    wire = [{"direction": "recv", "message": one} for one in steps]
    same_when_read_in_versions(NAME, [{"messages": wire[:number]} for number in range(1, len(wire) + 1)])


def test_unknown_messages_are_counted_and_bad_ones_are_kept() -> None:
    parsed = parse(NAME, lines_from(init(), {"type": "wormhole"}, answer({"type": "hologram"}), {"type": "user"}, 3))
    assert parsed.unknown_types == {f"{NAME}/wormhole": 1, f"{NAME}/block-hologram": 1}
    assert rejected(parsed) == ["message is not an object", "not a message"]
    parsed = parse(NAME, document([init(), 3, answer(text("a"))]))
    assert (rejected(parsed), len(of_kind(merged(parsed.spans), "llm"))) == (["not a message"], 1)


@pytest.mark.parametrize("row", [init(), answer(text("a"), CALL), tool_result(3), result(), USER])
def test_any_wrong_value_in_any_place_of_a_line(row: dict[str, Any]) -> None:
    storable(parse(NAME, lines_from(init(), *(with_value(row, path, one) for path in paths_in(row) for one in WRONG))))


def test_the_state_is_small_whatever_is_left_open() -> None:
    parser = format_of(NAME).parser(SourceFacts("s", "/x.jsonl"))
    calls = ({**CALL, "id": f"toolu_{number:024d}"} for number in range(2000))
    parser.parse(lines_from(init(), *(answer(one, number=number) for number, one in enumerate(calls))))
    assert len(parser.state()) < 16_384
