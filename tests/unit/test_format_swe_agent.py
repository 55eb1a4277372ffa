"""SWE-agent and mini-swe-agent trajectories: no times, totals on the run, state as text, one name in two folders."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from collectors.formats import recognise
from collectors.formats.base import Line
from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.span import Rank
from store.telemetry.reader import Reader
from store.telemetry.views import SessionFilter
from store.telemetry.writer import Writer
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
from tests.unit.format_files import Rows, merged, needs_data, of_kind, parse, parts_of, rejected

FILES = files_of("swe-agent", "*.traj")
MINI = files_of("swe-agent", "*.traj.json")
T0 = 1_769_825_640.5
T0_NS = 1_769_825_640_500_000_000
NOW_NS = 1_769_900_000_000_000_000


def step(action: str = "ls -la\n", **fields: Any) -> dict[str, Any]:
    row = {"action": action, "observation": "out", "response": "Let me look.", "thought": "Look."}
    return {**row, "execution_time": 0.25, "state": {"working_dir": "/x"}, **fields}


def traj(*steps: dict[str, Any], exit_status: str | None = "submitted", **stats: Any) -> dict[str, Any]:
    history = [
        {"role": "system", "content": "be good"},
        {"role": "user", "content": "an example", "is_demo": True},
        {"role": "user", "content": "fix it"},
        {"role": "assistant", "content": "ok"},
    ]
    info = {"exit_status": exit_status, "submission": "diff", "model_stats": stats}
    return {"environment": "main", "trajectory": list(steps), "history": history, "info": info}


def run_of(rows: Rows) -> dict[str, Any]:
    (run,) = of_kind(rows, "run")
    return run


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_real_trajectory(path: Path) -> None:
    raw = loaded(path)
    parsed = read_file(path, "swe-agent")
    rows = merged(parsed.spans)
    run = run_of(rows)
    stats = raw["info"]["model_stats"]
    assert len(of_kind(rows, "llm")) == len(of_kind(rows, "tool")) == len(raw["trajectory"])
    assert len(rows) == 2 * len(raw["trajectory"]) + 1
    assert (run["status"], run["cost_nano"] or 0) == ("ok", round(stats["instance_cost"] * 10**9))
    counts = (run["tokens_input"] or 0, run["tokens_output"] or 0)
    assert counts == (stats["tokens_sent"], stats["tokens_received"])
    assert total(rows, "tokens_input") == counts[0]  # on the run alone
    for field in ("started_ns", "ended_ns"):
        assert {row[field] for row in rows.values()} == {None}
    assert all("time" in row["flags"].split(",") for row in rows.values())
    texts = parts_of(parsed.spans)
    commands = [
        json.loads(texts[key]["input"])["command"] for key, row in sorted(rows.items()) if row["kind"] == "tool"
    ]
    assert commands == [one["action"] for one in raw["trajectory"]]
    states = {type(one["state"]).__name__ for one in raw["trajectory"]}
    details = [json.loads(texts[key]["details"]) for key, row in rows.items() if row["kind"] == "tool"]
    assert all(isinstance(one["state"], dict) for one in details), states  # older files hold it as JSON text


@needs_data
def test_the_known_totals() -> None:
    found = {}
    for path in FILES:
        run = run_of(merged(read_file(path, "swe-agent").spans))
        if run["cost_nano"]:
            found[path.name] = (run["tokens_input"], run["tokens_output"], run["cost_nano"], run["cost_basis"])
    assert found == {
        "pydicom__pydicom-1458.traj": (122_612, 1_369, 1_267_190_000, "reported"),
        "6e44b9__sweagenttestrepo-1c2844.traj": (7_141, 243, 19_520_000, "reported"),
    }


@needs_data
def test_two_runs_of_one_task_are_two_sessions() -> None:
    twins = [path for path in FILES if path.name == "marshmallow-code__marshmallow-1867.traj"]
    spans = [span for path in twins for span in read_file(path, "swe-agent").spans]
    assert len(twins) == 2
    assert len({span.session for span in spans}) == len({span.namespace for span in spans}) == 2
    assert len({span.span_id for span in spans}) == len(spans) == 2 * 23


@needs_data
@pytest.mark.parametrize(("name", "calls", "errors"), [("github_issue.traj.json", 10, 2), ("local.traj.json", 2, 0)])
def test_bare_lists_of_messages(name: str, calls: int, errors: int) -> None:
    (path,) = (path for path in MINI if path.name == name)
    raw = loaded(path)
    answers = [one["content"] for one in raw if one["role"] == "assistant"]
    returned = [one["content"].split("</returncode>")[0][-1] for one in raw if "<returncode>" in one["content"][:20]]
    parsed = read_file(path, "swe-agent")
    rows = merged(parsed.spans)
    tools = of_kind(rows, "tool")
    assert len(of_kind(rows, "llm")) == len(tools) == len(answers) == calls
    assert sum(row["status"] == "error" for row in tools) == errors == sum(code != "0" for code in returned)
    assert run_of(rows)["status"] == "ok"  # its last command submits
    assert {row["agent"] for row in rows.values()} == {"mini-swe-agent"}
    texts = parts_of(parsed.spans)
    assert all(
        json.loads(texts[key]["input"])["command"] in answers[int(key[1].split(":")[1])]
        for key, row in rows.items()
        if row["kind"] == "tool"
    )


def test_rows_without_a_time_count_in_their_session_and_in_no_window(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path / "store").prepare()
    spans = parse("swe-agent", document(traj(step(), instance_cost=0.5, tokens_sent=100, tokens_received=7))).spans
    with Writer(folder) as writer:
        writer.write(Batch(spans=spans), NOW_NS)
        again = writer.write(Batch(spans=spans), NOW_NS)
    assert again.duplicates == 3
    with Reader(folder) as reader:
        (session,) = reader.sessions(SessionFilter(), NOW_NS)
        assert (session.llm_calls, session.tool_calls, session.tokens_input, session.cost_nano) == (
            1,
            1,
            100,
            500_000_000,
        )
        assert session.started_ns is None
        assert reader.sessions(SessionFilter(since_ns=1), NOW_NS) == ()
        assert reader.recount().exact


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("submitted", "ok"),
        ("Submitted", "ok"),
        ("submitted (exit_cost)", "capped"),
        ("exit_context", "capped"),
        ("exit_total_execution_time", "capped"),
        ("LimitsExceeded", "capped"),
        ("TimeExceeded", "capped"),
        ("UserInterruption", "cancelled"),
        ("exit_forfeit", "aborted"),
        ("exit_format", "error"),
        ("RepeatedFormatError", "error"),
    ],
)
def test_how_runs_end(said: str, status: str) -> None:
    run = run_of(rows_in("swe-agent", traj(step(), exit_status=said)))
    assert (run["status"], run["rank"]) == (status, Rank.ENDED)
    assert (run["error_type"] is None) == (status == "ok")


def test_a_run_that_is_still_going() -> None:
    rows = rows_in("swe-agent", traj(step(), step(observation=None), exit_status=None))
    tools = sorted(of_kind(rows, "tool"), key=lambda row: str(row["span_id"]))
    assert [row["rank"] for row in (run_of(rows), *tools)] == [Rank.STARTED, Rank.ENDED, Rank.STARTED]
    ended = rows_in("swe-agent", traj(step(observation=None), step(), exit_status="submitted"))
    tools = sorted(of_kind(ended, "tool"), key=lambda row: str(row["span_id"]))
    assert [(row["rank"], row["status"]) for row in tools] == [(Rank.ABANDONED, "unknown"), (Rank.ENDED, "unknown")]
    assert parse("swe-agent", document(traj(exit_status=None))).spans == []
    failed = rows_in("swe-agent", traj(exit_status="exit_environment_error"))
    assert [row["status"] for row in failed.values()] == ["error"]


def test_what_is_zero_was_not_counted() -> None:
    run = run_of(rows_in("swe-agent", traj(step(), instance_cost=0, tokens_sent=0, tokens_received=0, api_calls=11)))
    assert [run[name] for name in ("tokens_input", "tokens_output", "cost_nano", "cost_basis")] == [None] * 4
    odd = run_of(rows_in("swe-agent", traj(step(), instance_cost="1", tokens_sent="x", tokens_received=3)))
    assert (odd["tokens_input"], odd["tokens_output"], odd["flags"]) == (None, 3, "cost,time,tokens.tokens_sent")


def test_tools_prompts_and_the_config_as_text() -> None:
    config = {"agent": {"model": {"name": "gpt-4o"}}, "problem_statement": {"id": "task-7"}}
    for own in (config, json.dumps(config)):
        parsed = parse("swe-agent", document({**traj(step("edit 1:2\nx"), step("git push")), "replay_config": own}))
        rows = merged(parsed.spans)
        assert {row["tool"] for row in of_kind(rows, "tool")} == {"edit", "bash"}
        assert {row["model"] for row in of_kind(rows, "llm")} == {"gpt-4o"}
        run = run_of(rows)
        assert (run["name"], run["session"].partition(":")[0]) == ("task-7", "task-7")
        (texts,) = (span.parts for span in parsed.spans if span.kind == "run")
        assert texts == {"input": "fix it", "output": "diff"}
    assert of_kind(rows_in("swe-agent", traj(step(action=""))), "tool") == []


def test_a_trajectory_that_grows() -> None:
    same_when_read_in_versions(
        "swe-agent",
        [
            traj(exit_status=None),
            traj(step(), exit_status=None, instance_cost=0.1, tokens_sent=100, tokens_received=3),
            traj(
                step(),
                step("pwd", observation=None),
                exit_status=None,
                instance_cost=0.2,
                tokens_sent=300,
                tokens_received=6,
            ),
            traj(step(), step("pwd"), instance_cost=0.2, tokens_sent=300, tokens_received=6),
        ],
    )


# --- mini-swe-agent's newer documents


def answer(at: float, command: str = "ls", **extra: Any) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 20,
        "total_tokens": 1020,
        "prompt_tokens_details": {"cached_tokens": 600},
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 600,
    }
    own = {
        "actions": [{"command": command}],
        "response": {"id": "r", "created": int(T0 + at) - 2, "model": "claude-x", "usage": usage},
        "cost": 0.25,
        "timestamp": T0 + at,
    }
    return {"role": "assistant", "content": f"```mswea_bash_command\n{command}\n```", "extra": {**own, **extra}}


def result(at: float, code: int = 0, **fields: Any) -> dict[str, Any]:
    text = f"<returncode>{code}</returncode>\n<output>\nx\n</output>"
    return {"role": "user", "content": text, "extra": {"returncode": code, "timestamp": T0 + at}, **fields}


def mini(*messages: dict[str, Any], exit_status: str = "Submitted", **fields: Any) -> dict[str, Any]:
    info = {"mini_version": "2.0.0", "exit_status": exit_status, "model_stats": {"instance_cost": 9.0, "api_calls": 2}}
    first = [{"role": "system", "content": "s"}, {"role": "user", "content": "fix it"}]
    document = {"info": {**info, "submission": "diff", "config": {"model": {"model_name": "anthropic/claude-x"}}}}
    return {**document, "messages": [*first, *messages], "trajectory_format": "mini-swe-agent-1.1", **fields}


def test_a_newer_document_has_times_tokens_and_cost_for_each_call() -> None:
    rows = rows_in("swe-agent", mini(answer(2.5), result(3, 1), answer(5), result(6), instance_id="task-1"))
    llm, tools = of_kind(rows, "llm"), sorted(of_kind(rows, "tool"), key=lambda row: str(row["span_id"]))
    assert [total(rows, name) for name in ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m")] == [
        200,
        1200,
        600,
    ]
    assert (total(rows, "cost_nano"), run_of(rows)["cost_nano"]) == (500_000_000, None)  # its calls carry it
    assert [(row["started_ns"] - T0_NS, row["ended_ns"] - T0_NS) for row in tools] == [
        (2_500_000_000, 3_000_000_000),
        (5_000_000_000, 6_000_000_000),
    ]
    assert [(row["status"], row["error_type"]) for row in tools] == [("error", "exit_1"), ("ok", None)]
    run = run_of(rows)
    assert (run["ended_ns"] - T0_NS, run["status"], run["agent_version"]) == (6 * 10**9, "ok", "2.0.0")
    assert sorted(row["started_ns"] - T0_NS for row in llm) == [500_000_000, 3_000_000_000]
    assert {(row["model"], row["model_served"]) for row in llm} == {("anthropic/claude-x", "claude-x")}
    assert {row["flags"] for row in rows.values()} == {None}


def test_tool_calls_are_answered_by_their_id() -> None:
    asked = answer(2, actions=[{"command": "a", "tool_call_id": "c1"}, {"command": "b", "tool_call_id": "c2"}])
    rows = rows_in("swe-agent", mini(asked, result(4, 1, role="tool", tool_call_id="c2"), answer(5), result(6)))
    first, second, third = sorted(of_kind(rows, "tool"), key=lambda row: str(row["span_id"]))
    assert (first["rank"], first["status"], first["ended_ns"]) == (Rank.ABANDONED, "unknown", T0_NS + 5 * 10**9)
    assert (second["status"], third["status"]) == ("error", "ok")


def test_totals_stand_on_the_run_where_no_call_counts() -> None:
    run = run_of(rows_in("swe-agent", mini(answer(2, response={}, cost=0), result(3))))
    assert (run["cost_nano"], run["cost_basis"]) == (9_000_000_000, "reported")


def test_a_mini_document_that_grows() -> None:
    steps = [answer(2), result(3), answer(5), result(6)]
    versions = [mini(*steps[:count], exit_status="Submitted" if count == 4 else "") for count in (0, 1, 2, 3, 4)]
    same_when_read_in_versions("swe-agent", list(versions))
    running = rows_in("swe-agent", versions[1])
    assert {row["rank"] for row in (run_of(running), *of_kind(running, "tool"))} == {Rank.STARTED}


# --- what is none


@needs_data
@pytest.mark.parametrize("folder", ["autogen", "tau2-bench"])
def test_other_documents_of_agents_are_not_mistaken(folder: str) -> None:
    for path in files_of(folder, "*.json"):
        data = path.read_bytes()
        assert recognise([data]) is None
        assert recognise([line for line in data.split(b"\n") if line.strip()][:20]) is None


@pytest.mark.parametrize(
    "value",
    [
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}, {"role": "user", "content": "<x>"}],
        {"messages": [{"role": "user", "content": "hi"}]},
        {"trajectory": [], "info": {}},
        {"trajectory": [{"action": 1}], "info": {}, "history": []},
    ],
)
def test_chats_are_no_trajectories(value: object) -> None:
    assert recognise([json.dumps(value).encode()]) is None


def test_any_wrong_value_in_any_place_of_a_mini_document() -> None:
    bare = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "```bash\nls\n```"}, result(3)]
    for good in (mini(answer(2), result(3)), bare):
        values = [with_value(good, path, wrong) for path in paths_in(good) for wrong in WRONG]
        random.Random(3).shuffle(values)
        storable(parse("swe-agent", [Line(number, json.dumps(one).encode()) for number, one in enumerate(values)]))


def test_a_line_that_is_none_is_a_reject() -> None:
    assert rejected(parse("swe-agent", document({"x": 1}))) == ["not a trajectory"]
