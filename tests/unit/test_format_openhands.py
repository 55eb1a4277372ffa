"""OpenHands trajectories: times without a zone, answers that repeat, running totals, calls named by their cause."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import recognise
from collectors.formats.base import Line
from store.record.span import Rank
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value
from tests.unit.format_documents import (
    document,
    files_of,
    loaded,
    name_of,
    read_file,
    rows_in,
    same_when_read_in_versions,
    total,
)
from tests.unit.format_files import Rows, lines_from, merged, needs_data, of_kind, parse, parts_of, rejected

FILES = files_of("openhands", "*.json")
HOUR_NS = 3600 * 10**9
# The moment that the clock of a machine eight hours behind UTC calls 18:14 of the day before.
T0_NS = 1_769_825_640_000_000_000
# file -> runs, model calls, tool calls; fresh, read, written, answered tokens. Added up from the distinct
# `model_response.id` of the actions (prompt_tokens - cached_tokens - cache_creation_input_tokens is fresh).
FIGURES = {
    "basic": (1, 2, 1, 4 + 6, 3482, 3482 + 1158, 1135 + 177),
    "basic_gui_mode": (1, 5, 4, 4 + 6 + 6 + 6, 3435 + 3595 + 4763, 3435 + 160 + 1168 + 719, 104 + 1142 + 693 + 85),
    "basic_interactions": (3, 3, 0, 169, 2304, 0, 10),
    "wrong_initial_state": (1, 4, 3, 4 + 6 + 6 + 6, 3471 + 3610 + 3798, 3471 + 139 + 188 + 129, 95 + 111 + 85 + 67),
}


def clock(seconds: float) -> str:
    return f"2026-01-30T18:{14 + int(seconds // 60):02d}:{seconds % 60:09.6f}"


def answer(own: str, at: float, given: int = 100, out: int = 10, calls: int = 1) -> dict[str, Any]:
    usage = {"prompt_tokens": given, "completion_tokens": out, "total_tokens": given + out}
    message = {"content": "thinking", "role": "assistant"}
    response = {"id": own, "created": T0_NS // 10**9 + int(at), "model": "claude-x", "usage": usage}
    choices = [{"finish_reason": "tool_calls", "message": message}]
    return {"function_name": "execute_bash", "model_response": {**response, "choices": choices}, "total_calls": calls}


def user(own: int, at: float, text: str = "do it") -> dict[str, Any]:
    row = {"id": own, "timestamp": clock(at), "source": "user", "message": text}
    return {**row, "action": "message", "args": {"content": text, "wait_for_response": False}}


def action(own: int, at: float, kind: str = "run", said: Any = None, **args: Any) -> dict[str, Any]:
    row = {"id": own, "timestamp": clock(at), "source": "agent", "message": "m", "action": kind}
    told = {} if said is None else {"tool_call_metadata": said}
    return {**row, "args": args or {"command": "ls"}, **told}


def observed(own: int, at: float, cause: int, kind: str = "run", code: int | None = 0, **extras: Any) -> dict[str, Any]:
    row = {"id": own, "timestamp": clock(at), "source": "agent", "cause": cause, "observation": kind, "content": "out"}
    return {**row, "extras": {"metadata": {"exit_code": code}, **extras}}


EVENTS = [
    user(0, 0),
    action(1, 5, said=answer("r1", 4)),
    observed(2, 6, 1),
    action(3, 9, said=answer("r2", 8)),
    observed(4, 10, 3, code=1),
    action(5, 12, "finish", said=answer("r3", 11)),
]


def run_of(rows: Rows) -> dict[str, Any]:
    (run,) = of_kind(rows, "run")
    return run


def tools_of(rows: Rows) -> list[dict[str, Any]]:
    return sorted(of_kind(rows, "tool"), key=lambda row: str(row["span_id"]))


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_real_trajectory(path: Path) -> None:
    raw = loaded(path)
    rows = merged(read_file(path, "openhands").spans)
    counts = tuple(len(of_kind(rows, kind)) for kind in ("run", "llm", "tool"))
    names = ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m", "tokens_output")
    assert (*counts, *(total(rows, name) for name in names)) == FIGURES[path.stem]
    answers = {
        one["tool_call_metadata"]["model_response"]["id"]: one["tool_call_metadata"]["model_response"]["usage"]
        for one in raw
        if "tool_call_metadata" in one
    }
    assert sum(usage["completion_tokens"] for usage in answers.values()) == total(rows, "tokens_output")
    assert total(rows, "context_tokens") == sum(usage["prompt_tokens"] for usage in answers.values())
    assert {row["status"] for row in of_kind(rows, "run")} == {"ok"}
    assert {row["flags"] for row in rows.values()} == {None}
    # the machine was eight hours behind UTC, which the model API's own `created` shows
    first = min(row["started_ns"] for row in rows.values())
    created = min(one["tool_call_metadata"]["model_response"]["created"] for one in raw if "tool_call_metadata" in one)
    assert abs(first - created * 10**9) < HOUR_NS


@needs_data
def test_exit_codes_and_what_still_runs() -> None:
    (path,) = (path for path in FILES if path.stem == "basic_gui_mode")
    raw = {one["id"]: one for one in loaded(path)}
    rows = merged(read_file(path, "openhands").spans)
    codes = [raw[own]["extras"].get("metadata", {}).get("exit_code") for own in (8, 10, 12, 14)]
    assert codes == [0, None, None, -1]
    assert [row["status"] for row in tools_of(rows)] == ["ok", "ok", "ok", "unknown"]
    assert [row["tool"] for row in tools_of(rows)].count("execute_bash") == 2


@needs_data
def test_files_that_all_number_their_events_from_0_do_not_collide() -> None:
    spans = [span for path in FILES for span in read_file(path, "openhands").spans]
    assert len(merged(spans)) == len(spans) == 4 + 10 + 6 + 8
    assert len({span.session for span in spans}) == 4
    assert len({span.span_id for span in spans}) == len(spans)


def test_a_run() -> None:
    rows = rows_in("openhands", EVENTS)
    run, (first, second) = run_of(rows), tools_of(rows)
    assert (run["started_ns"], run["ended_ns"], run["status"]) == (T0_NS, T0_NS + 12 * 10**9, "ok")
    assert (first["started_ns"], first["ended_ns"], first["status"]) == (T0_NS + 5 * 10**9, T0_NS + 6 * 10**9, "ok")
    assert (second["status"], second["error_type"], second["error_message"]) == ("error", "exit_1", "out")
    llm = sorted(of_kind(rows, "llm"), key=lambda row: int(row["ended_ns"]))
    assert [(row["started_ns"] - T0_NS) // 10**9 for row in llm] == [0, 6, 10]
    assert first["parent_id"] == llm[0]["span_id"]
    assert llm[0]["parent_id"] == run["span_id"] == run["run_id"]
    assert total(rows, "tokens_input") == 300


def test_several_actions_of_one_answer_are_one_call_of_the_model() -> None:
    said = answer("r1", 4, calls=2)
    repeated = {**observed(3, 7, 1), "tool_call_metadata": said}
    events = [user(0, 0), action(1, 5, said=said), action(2, 6, said=said), repeated, observed(4, 8, 2)]
    rows = rows_in("openhands", events)
    assert (len(of_kind(rows, "llm")), len(of_kind(rows, "tool")), total(rows, "tokens_input")) == (1, 2, 100)
    assert {row["status"] for row in tools_of(rows)} == {"ok"}


def test_a_call_that_nobody_answered_ends_as_unknown() -> None:
    rows = rows_in("openhands", [*EVENTS[:2], *EVENTS[3:]])
    first, second = tools_of(rows)
    assert (first["rank"], first["status"], first["ended_ns"]) == (Rank.ABANDONED, "unknown", T0_NS + 9 * 10**9)
    assert second["status"] == "error"
    running = rows_in("openhands", EVENTS[:2])
    assert {row["rank"] for row in (run_of(running), *tools_of(running))} == {Rank.STARTED}


def test_totals_that_repeat_on_every_event_are_not_summed() -> None:
    def metrics(count: int) -> dict[str, Any]:
        names = [f"r{number}" for number in range(1, count + 1)]
        return {
            "accumulated_cost": 0.25 * count,
            "accumulated_token_usage": {"prompt_tokens": 100 * count},
            "costs": [{"model": "m", "cost": 0.25, "timestamp": T0_NS / 1e9 + 4} for _ in names],
            "token_usages": [
                {"response_id": name, "prompt_tokens": 100, "completion_tokens": 10, "cache_read_tokens": 60}
                for name in names
            ],
            "response_latencies": [{"response_id": name, "latency": 1.5} for name in names],
        }

    bare = [
        {**one, "tool_call_metadata": {"model_response": {"id": f"r{number}"}}, "llm_metrics": metrics(number)}
        for number, one in ((1, action(1, 5)), (2, action(3, 9)))
    ]
    rows = rows_in("openhands", [user(0, 0), bare[0], observed(2, 6, 1), bare[1], observed(4, 10, 3)])
    assert (total(rows, "cost_nano"), total(rows, "tokens_input"), total(rows, "tokens_cache_read")) == (
        500_000_000,
        80,
        120,
    )
    assert {row["ended_ns"] - row["started_ns"] for row in of_kind(rows, "llm")} == {1_500_000_000}
    assert {row["cost_basis"] for row in of_kind(rows, "llm")} == {"reported"}
    assert run_of(rows)["started_ns"] == T0_NS  # the zone is known from the time of a cost
    free = [{**one, "llm_metrics": {"costs": [{"cost": 0.0}], "accumulated_cost": 0.0}} for one in EVENTS[:2]]
    assert total(rows_in("openhands", free), "cost_nano") == 0


@pytest.mark.parametrize(("hours", "minutes"), [(0, 0), (-8, 0), (5, 30), (12, 45), (-3, -30)])
def test_the_zone_is_told_by_the_clock_of_the_model_api(hours: int, minutes: int) -> None:
    local = [json.loads(json.dumps(one)) for one in EVENTS]
    shift = (hours + 8) * 60 + minutes
    for one in local:
        head, _, rest = one["timestamp"].partition("T")
        at = int(head[-2:]) * 1440 + int(rest[:2]) * 60 + int(rest[3:5]) + shift
        one["timestamp"] = f"{head[:-2]}{at // 1440:02d}T{at % 1440 // 60:02d}:{at % 60:02d}:{rest[6:]}"
    assert run_of(rows_in("openhands", local))["started_ns"] == T0_NS


def test_a_run_whose_zone_nobody_tells_says_so() -> None:
    talk = [user(0, 0), action(1, 5, "message", content="4", wait_for_response=True)]
    rows = rows_in("openhands", talk)
    assert {row["flags"] for row in rows.values()} == {"zone"}
    assert run_of(rows)["started_ns"] == T0_NS - 8 * HOUR_NS
    open_ = run_of(rows_in("openhands", talk[:1]))
    assert (open_["started_ns"], open_["rank"]) == (None, Rank.STARTED)  # a wrong early start would win for good


def test_a_trajectory_that_grows() -> None:
    same_when_read_in_versions("openhands", [EVENTS[:count] for count in range(1, len(EVENTS) + 1)])


def test_each_prompt_is_a_run() -> None:
    talk = [
        *(user(0, 0), action(1, 5, "message", said=answer("r1", 4), content="4", wait_for_response=True)),
        *(user(2, 60), action(3, 65, said=answer("r2", 64))),
        user(4, 100),
    ]
    runs = sorted(of_kind(rows_in("openhands", talk), "run"), key=lambda row: int(row["started_ns"]))
    assert [(row["status"], row["rank"]) for row in runs] == [
        ("ok", Rank.ENDED),
        ("unknown", Rank.ENDED),
        (None, Rank.STARTED),
    ]


def test_errors_refusals_and_states() -> None:
    def ends(*events: dict[str, Any]) -> dict[str, Any]:
        return run_of(rows_in("openhands", [*EVENTS[:3], *events]))

    state = {
        "id": 9,
        "timestamp": clock(20),
        "source": "environment",
        "content": "",
        "observation": "agent_state_changed",
    }
    broken = ends({**state, "extras": {"agent_state": "error", "reason": "boom"}})
    assert (broken["status"], broken["error_message"]) == ("error", "boom")
    assert ends({**state, "extras": {"agent_state": "stopped"}})["status"] == "aborted"
    assert ends({**state, "extras": {"agent_state": "running"}})["status"] is None
    assert ends(action(8, 20, "reject", reason="no"))["status"] == "refused"
    rows = rows_in("openhands", [*EVENTS[:2], observed(2, 6, 1, "user_rejected", None)])
    assert tools_of(rows)[0]["status"] == "cancelled"
    rows = rows_in("openhands", [*EVENTS[:2], observed(2, 6, 1, "error", None)])
    assert tools_of(rows)[0]["status"] == "error"


def test_a_line_of_an_evaluation_is_a_whole_run() -> None:
    line = {"instance_id": "repo-7", "history": EVENTS[:3], "metadata": {"agent_class": "CodeActAgent"}, "error": None}
    limit = {**line, "instance_id": "repo-8", "error": "RuntimeError: Agent reached maximum iteration in headless mode"}
    pairs = {**line, "instance_id": "repo-9", "history": [[EVENTS[0], EVENTS[1]], [EVENTS[2]]]}
    lines = lines_from(line, limit, pairs)
    found = recognise([one.data for one in lines])
    assert found is not None
    assert found.name == "openhands"
    parsed = parse("openhands", lines)
    assert not parsed.bad
    runs = {str(row["session"]).partition(":")[0]: row for row in of_kind(merged(parsed.spans), "run")}
    assert {name: row["status"] for name, row in runs.items()} == {
        "repo-7": "unknown",
        "repo-8": "capped",
        "repo-9": "unknown",
    }
    assert runs["repo-8"]["error_message"] == limit["error"]
    assert {row["agent"] for row in runs.values()} == {"CodeActAgent"}
    assert len(parsed.spans) == 9


def test_unknown_types_are_counted_and_bad_events_cost_the_others_nothing() -> None:
    events = [*EVENTS, action(7, 20, "teleport"), observed(8, 21, 99, "hologram"), 3, {"id": 4}]
    parsed = parse("openhands", document(events))
    assert parsed.unknown_types == {"openhands/action-teleport": 1, "openhands/observation-hologram": 1}
    assert rejected(parsed) == ["2 of its 10 items: not an event"]
    assert len(of_kind(merged(parsed.spans), "tool")) == 2


def test_what_the_user_or_openhands_does_is_no_call_of_the_agent() -> None:
    own = [{**action(7, 2), "source": "user"}, {**action(8, 3, "recall", query="x"), "source": "user"}]
    events = [EVENTS[0], *own, observed(9, 4, 7), observed(10, 4, 8, "recall"), *EVENTS[1:]]
    assert len(tools_of(rows_in("openhands", events))) == 2


def test_payloads() -> None:
    parsed = parse("openhands", document(EVENTS))
    texts = {key[1].partition(":")[2]: parts for key, parts in parts_of(parsed.spans).items()}
    assert texts["000000:run"]["input"] == "do it"
    assert texts["000001:tool"]["input"] == '{"command":"ls"}'
    assert texts["000001:tool"]["output"] == "out"
    assert texts["r1:llm"]["output"] == "thinking"


def test_any_wrong_value_in_any_place_of_a_list_of_events() -> None:
    values = [with_value(EVENTS[:4], path, wrong) for path in paths_in(EVENTS[:4]) for wrong in WRONG]
    random.Random(3).shuffle(values)
    storable(parse("openhands", [Line(number, json.dumps(one).encode()) for number, one in enumerate(values)]))


@pytest.mark.parametrize("value", [[], [{"id": 1}], {"instance_id": "x"}, {"history": EVENTS}, [{"timestamp": "x"}]])
def test_others_are_not_taken_for_it(value: object) -> None:
    assert recognise([json.dumps(value).encode()]) is None
