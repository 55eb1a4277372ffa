"""Codex rollouts: four generations, totals that are cumulative and written twice, exit codes inside texts."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import HEAD_LINES, recognise
from collectors.formats.decode import CANNOT
from store.record.span import Rank
from tests.unit.codex_lines import META, T_NS, call, count, event, only, result, rows_of, said, usage
from tests.unit.format_files import (
    DATA,
    Rows,
    lines_of,
    merged,
    needs_data,
    of_kind,
    parse,
    parse_with_restarts,
    parts_of,
    rejected,
)

CODEX = DATA / "codex"
FILES = sorted(CODEX.rglob("*.jsonl"))
REAL = [path for path in FILES if path.name.startswith("rollout-")]
FIXTURES = CODEX / "jazzyalex__agent-sessions" / "Resources" / "Fixtures"


def total(rows: Rows, field: str) -> int:
    return sum(one[field] or 0 for one in rows.values())


# --- the real files


@needs_data
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name[-40:])
def test_every_file_is_recognised_read_and_the_same_after_any_restart(path: Path) -> None:
    lines = lines_of(path.read_bytes())
    found = recognise([line.data for line in lines[:HEAD_LINES]])
    assert found is not None
    assert found.name == "codex"
    parsed = parse("codex", lines, str(path))
    assert not [bad for bad in parsed.bad if bad.reason.startswith(CANNOT)]
    assert parsed.spans
    assert not parsed.unknown_types
    pieces = parse_with_restarts("codex", lines, str(path))
    assert merged(pieces.spans) == merged(parsed.spans)
    assert parts_of(pieces.spans) == parts_of(parsed.spans)
    assert (pieces.bad, pieces.unknown_types) == (parsed.bad, parsed.unknown_types)
    assert merged(list(reversed(parsed.spans))) == merged(parsed.spans + parsed.spans)


@needs_data
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name[-20:])
def test_a_real_rollout_against_another_reading_of_it(path: Path) -> None:
    """The tokens of a file are its last total; each item is counted by its type, each call by its id."""
    raw = [json.loads(line) for line in path.read_bytes().splitlines()]
    payloads = [(one["type"], one["payload"]) for one in raw]
    infos = [one["info"] for kind, one in payloads if kind == "event_msg" and one["type"] == "token_count"]
    totals = [info["total_token_usage"] for info in infos if info]
    items = Counter(one.get("type") for kind, one in payloads if kind == "response_item")
    events = Counter(one.get("type") for kind, one in payloads if kind == "event_msg")
    asked = {one["call_id"] for kind, one in payloads if kind == "response_item" and str(one["type"]).endswith("_call")
             and "call_id" in one}  # fmt: skip
    answered = {one["call_id"] for kind, one in payloads if str(one.get("type")).endswith("_call_output")}

    parsed = parse("codex", lines_of(path.read_bytes()), str(path))
    rows = merged(parsed.spans)
    llm, tools = of_kind(rows, "llm"), of_kind(rows, "tool")
    assert not parsed.bad
    assert (
        sum(one["tokens_input"] or 0 for one in llm) == totals[-1]["input_tokens"] - totals[-1]["cached_input_tokens"]
    )
    assert sum(one["tokens_cache_read"] or 0 for one in llm) == totals[-1]["cached_input_tokens"]
    assert sum(one["tokens_output"] or 0 for one in llm) == totals[-1]["output_tokens"]
    assert sum(one["tokens_reasoning"] or 0 for one in llm) == totals[-1]["reasoning_output_tokens"]
    assert len(llm) == 1 + sum(a != b for a, b in pairwise(totals))
    assert all(one["flags"] is None for one in rows.values())
    assert len(of_kind(rows, "reasoning")) == items["reasoning"]
    assert len(tools) == len(asked) + items["web_search_call"]
    assert {one["span_id"] for one in tools if one["ended_ns"] is None} == asked - answered
    runs = Counter(one["status"] for one in of_kind(rows, "run"))
    assert runs["ok"] == events["task_complete"]
    assert sum(runs.values()) == events["task_started"]
    assert {one["session"] for one in rows.values()} == {payloads[0][1]["id"]}
    assert {one["model"] for one in llm} == {one["model"] for kind, one in payloads if kind == "turn_context"}
    assert all(one["started_ns"] <= one["ended_ns"] for one in llm)


@needs_data
def test_the_figures_of_the_largest_rollout() -> None:
    """Counted by hand: adding every `last_token_usage` would give 14,243,444 input tokens for 7,204,025."""
    (path,) = (one for one in REAL if one.stem.endswith("7738fc5ab61a"))
    infos = [json.loads(line)["payload"].get("info") for line in path.read_bytes().splitlines()]
    added = sum(one["last_token_usage"]["input_tokens"] for one in infos if one)
    rows = merged(parse("codex", lines_of(path.read_bytes()), str(path)).spans)
    read = sum((one["tokens_input"] or 0) + (one["tokens_cache_read"] or 0) for one in of_kind(rows, "llm"))
    assert (added, read) == (14_243_444, 7_204_025)
    assert Counter(one["kind"] for one in rows.values()) == {"llm": 81, "tool": 105, "reasoning": 69, "run": 5}
    # two runs of one session are 20 h apart: neither holds the time between them
    assert all(one["ended_ns"] - one["started_ns"] < 3600 * 10**9 for one in of_kind(rows, "run"))


@needs_data
def test_the_older_generations() -> None:
    def figures(name: str) -> tuple[int, int, int, dict[str, int]]:
        rows = merged(parse("codex", lines_of((FIXTURES / name).read_bytes()), str(FIXTURES / name)).spans)
        assert len({one["session"] for one in rows.values()}) == 1
        fresh, read, out = (total(rows, f"tokens_{field}") for field in ("input", "cache_read", "output"))
        return fresh, read, out, Counter(one["kind"] for one in rows.values())

    # 0.50: {prompt, completion} once, then an empty info; 0.51 and 0.52: usage of each turn, cached within input
    assert figures("codex_050_legacy.jsonl") == (1420, 0, 910, {"run": 2, "llm": 1})
    assert figures("codex_051_usage.jsonl") == (2460, 380 + 1420, 910 + 1520, {"run": 2, "llm": 2})
    assert figures("codex_052_raw.jsonl") == (980 + 1620 - 980, 980, 640 + 240, {"run": 2, "llm": 2})
    # 0.53: one total, one rate limit that is no usage, one error
    assert figures("codex_053_rate_limit.jsonl") == (12091 - 10880, 10880, 182, {"llm": 2})
    for name in ("session_branch.jsonl", "session_toolcall.jsonl"):
        rows = merged(parse("codex", lines_of((FIXTURES / name).read_bytes()), f"/x/{name}").spans)
        assert (only(rows, "tool")["status"], only(rows, "run")["span_id"][:4]) == ("ok", "run:")
        assert {one["session"] for one in rows.values()} == {name.removesuffix(".jsonl")}
    assert Counter(one["status"] for one in of_kind(rows, "llm")) == {"ok": 2}


@needs_data
def test_drifted_rows_without_an_envelope() -> None:
    path = CODEX / "jazzyalex__agent-sessions" / "codex" / "schema_drift.jsonl"
    parsed = parse("codex", lines_of(path.read_bytes()), str(path))
    tool = only(merged(parsed.spans), "tool")
    assert (tool["tool"], tool["status"]) == ("translate", "ok")
    parts = parts_of(parsed.spans)[tool["namespace"], tool["span_id"]]
    assert parts == {"input": '{"text":"hello","to":"es"}', "output": "hola"}


@needs_data
def test_the_newest_generation_has_rows_of_55_kinds() -> None:
    path = CODEX / "jazzyalex__agent-sessions" / "codex" / "small.jsonl"
    parsed = parse("codex", lines_of(path.read_bytes()), str(path))
    rows = merged(parsed.spans)
    assert not parsed.unknown_types
    assert set(rejected(parsed)) == {"no timestamp that can be read"}  # times were trimmed from the fixture
    assert only(rows, "run")["status"] == "aborted"  # turn_aborted came before the late task_complete
    assert {one["tool"] for one in of_kind(rows, "tool")} == {
        "apply_patch",
        "mcp__example__example_tool",
        "shell",
        "tool_search",
        "web_search",
    }
    assert sum(one["tokens_input"] or 0 for one in rows.values()) == 16341 - 3584


# --- tokens


def test_only_increases_of_the_total_count() -> None:
    one, two = usage(100, 40, 10, 5), usage(250, 100, 30, 9)
    answers = [said(1, "assistant", "a"), count(1.1, one, one), count(1.5, one, one), said(2, "user", "go on")]
    rows = rows_of(*answers, said(3, "assistant", "b"), count(3.1, two), count(3.2, two))
    llm, fields = of_kind(rows, "llm"), ("input", "cache_read", "output", "reasoning")
    got = [tuple(one[f"tokens_{field}"] for field in fields) for one in llm]
    assert sorted(got) == [(60, 40, 10, 5), (90, 60, 20, 4)]
    assert [one["context_limit"] for one in llm] == [1000, 1000]


def test_a_snapshot_without_usage_is_no_usage() -> None:
    assert rows_of(count(1, None)) == {}
    assert rows_of(event(1, "token_count", info={})) == {}


def test_tokens_that_come_after_the_tool_ran_belong_to_the_answer_that_called_it() -> None:
    rows = rows_of(call(1), result(2, "x"), count(2.1, usage(9, 0, 3)), said(3, "assistant", "b"))
    first, second = sorted(of_kind(rows, "llm"), key=lambda one: one["started_ns"])
    assert (first["tokens_output"], second["tokens_output"]) == (3, None)
    assert (first["ended_ns"] - T_NS, first["rank"]) == (10**9, Rank.ENDED)


def test_totals_that_fall_are_a_new_count() -> None:
    big, small = usage(1000, 0, 100), usage(20, 0, 2)
    rows = rows_of(said(1, "assistant", "a"), count(2, big), said(3, "assistant", "b"), count(4, small, small))
    assert sorted(one["tokens_input"] for one in of_kind(rows, "llm")) == [20, 1000]


def test_without_totals_the_last_usage_counts_once() -> None:
    one = usage(20, 5, 2)
    rows = rows_of(said(1, "assistant", "a"), count(2, None, one), count(3, None, one))
    assert [x["tokens_input"] for x in of_kind(rows, "llm")] == [15]


def test_a_forked_session_does_not_count_what_the_other_one_used() -> None:
    copied, own = usage(1000, 0, 100), usage(1030, 10, 110)
    forked = {**META, "forked_from_id": "s-0"}
    history = [said(0.1, "user", "old"), said(0.1, "assistant", "old"), count(0.2, copied, copied)]
    rows = rows_of(*history, said(60, "user", "new"), said(61, "assistant", "a"), count(62, own), meta=forked)
    assert [(one["tokens_input"], one["tokens_output"]) for one in of_kind(rows, "llm")] == [(20, 10)]
    # and where the history was not copied, the first total is not all this session's
    rows = rows_of(said(61, "assistant", "a"), count(62, own, usage(30, 10, 10)), meta=forked)
    assert only(rows, "llm")["tokens_input"] == 20


@pytest.mark.parametrize(
    ("given", "flags", "fresh"),
    [
        (usage(100, 40, 10, total=110), None, 60),
        (usage(100, 40, 10, total=125), "total_tokens", 60),
        (usage(100, 400, 10), "total_tokens", 100),
        ({**usage(100, 0, 10), "output_tokens": "many", "total_tokens": None}, "tokens.output_tokens", 100),
    ],
)
def test_counts_that_do_not_add_up_are_kept_and_flagged(given: dict[str, Any], flags: str | None, fresh: int) -> None:
    llm = only(rows_of(said(1, "assistant", "a"), count(2, given)), "llm")
    assert (llm["flags"], llm["tokens_input"]) == (flags, fresh)


def test_cache_writes_are_within_the_input() -> None:
    llm = only(
        rows_of(said(1, "assistant", "a"), count(2, {**usage(100, 40, 10), "cache_write_input_tokens": 20})), "llm"
    )
    assert (llm["tokens_input"], llm["tokens_cache_read"], llm["tokens_cache_write_5m"]) == (40, 40, 20)
