"""LangSmith runs: two parts in any order, ids and starts from `dotted_order`, two clocks' spellings, projects."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from collectors.enrich.price import Pricer
from collectors.formats import recognise
from collectors.formats.base import Line
from store.record.span import Rank
from tests.unit.format_documents import by_id, document, files_of, loaded, name_of, read_file, rows_in, total
from tests.unit.format_files import lines_from, merged, needs_data, parse, parts_of, rejected

FILES = files_of("langsmith", "langsmith_*.json")
MANAGED = files_of("langsmith", "anthropic_managed_*.jsonl")
# (fresh input, output, reasoning) of the one call of each file, as `usage_metadata` has them
FIGURES = {
    "langsmith_js_wrap_openai_default": (9, 9, 0),
    "langsmith_js_wrap_openai_reasoning": (43, 1901, 960),
    "langsmith_js_wrap_openai_stream": (9, 9, 0),
    "langsmith_js_wrap_openai_stream_no_usage": (None, None, None),
    "langsmith_py_wrap_openai_": (9, 9, 0),
    "langsmith_py_wrap_openai_reasoning": (43, 2497, 1408),
    "langsmith_py_wrap_openai_stream": (9, 9, 0),
    "langsmith_py_wrap_openai_stream_no_usage": (None, None, None),
}
A, B = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
ORDER_A = f"20260131T021400000001Z{A}"
ORDER_B = f"{ORDER_A}.20260131T021400500002Z{B}"
T0, T1 = "2026-01-31T02:14:00+00:00", "2026-01-31T02:14:02.5+00:00"
T0_NS = 1_769_825_640_000_000_000
USAGE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}


def run(own: str = A, run_type: str = "llm", **fields: Any) -> dict[str, Any]:
    order = ORDER_A if own == A else ORDER_B
    row = {"id": own, "trace_id": A, "dotted_order": order, "run_type": run_type, "name": "n", "start_time": T0}
    parent = {} if own == A else {"parent_run_id": A}
    return {**row, **parent, "end_time": T1, "session_name": "default", **fields}


def one(**fields: Any) -> dict[str, Any]:
    return by_id(rows_in("langsmith", run(**fields)), A)


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_real_batch(path: Path) -> None:
    raw = loaded(path)
    post, patch = raw["post"][0], raw["patch"][0]
    parsed = read_file(path, "langsmith")
    (row,) = merged(parsed.spans).values()
    assert [span.rank for span in parsed.spans] == [Rank.STARTED, Rank.ENDED]
    assert (row["kind"], row["span_id"], row["run_id"]) == ("llm", post["id"], post["trace_id"])
    counts = (row["tokens_input"], row["tokens_output"], row["tokens_reasoning"])
    assert counts == FIGURES[path.name.removesuffix(".json")]
    assert row["model"] == post["inputs"]["model"]
    assert row["model_served"] == patch["outputs"]["model"]
    assert row["cost_nano"] is None
    if "_js_" in path.name:  # epoch milliseconds, and a patch that does not name its run
        assert row["ended_ns"] - row["started_ns"] == (patch["end_time"] - post["start_time"]) * 10**6
        assert "id" not in patch
    else:
        assert isinstance(post["start_time"], str)
        assert 0 < row["ended_ns"] - row["started_ns"] < 20 * 10**9
    (parts,) = parts_of(parsed.spans).values()
    assert json.loads(parts["input"]) == patch.get("inputs", post["inputs"])
    assert json.loads(parts["output"]) == patch["outputs"]


@needs_data
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_parts_on_lines_of_their_own_in_any_order_are_the_same_run(path: Path) -> None:
    raw = loaded(path)
    pieces = [{"post": raw["post"], "patch": []}, {"post": [], "patch": raw["patch"]}]
    whole = merged(read_file(path, "langsmith").spans)
    for order in permutations(pieces):
        spans = parse("langsmith", lines_from(*order, *order)).spans
        (row,) = merged(spans).values()
        (expected,) = whole.values()
        asked = "model"  # the patch of an old SDK may not say what was asked for
        assert {**row, asked: None} == {**expected, asked: None}
        Pricer().price(spans)
        assert all(span.cost_basis in (None, "computed") for span in spans)


@needs_data
@pytest.mark.parametrize("path", MANAGED, ids=name_of)
def test_recorded_calls_of_another_api_are_no_runs(path: Path) -> None:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    found = recognise(lines[:20])
    assert found is None or found.name != "langsmith"


def test_a_patch_without_id_or_start_has_both_from_its_path() -> None:
    patch = {
        "dotted_order": ORDER_B,
        "trace_id": A,
        "end_time": 1_769_825_642_500,
        "outputs": {"usage_metadata": USAGE},
    }
    row = by_id(rows_in("langsmith", {"patch": [patch]}), B)
    assert (row["parent_id"], row["kind"], row["tokens_input"]) == (A, "llm", 100)
    assert row["started_ns"] == T0_NS + 500_002_000
    assert row["ended_ns"] == T0_NS + 2_500_000_000
    assert row["session"] is None  # its post says


def test_a_post_alone_is_in_flight() -> None:
    row = by_id(rows_in("langsmith", {"post": [run(end_time=None)]}), A)
    assert (row["rank"], row["ended_ns"], row["status"], row["session"]) == (Rank.STARTED, None, None, A)


def test_a_project_is_no_conversation() -> None:
    assert one(session_id="project-1")["session"] == A
    for name in ("session_id", "thread_id", "conversation_id"):
        assert one(session_id="project-1", extra={"metadata": {name: "talk"}})["session"] == "talk"
    rows = rows_in("langsmith", {"post": [run(run_type="chain", extra={"metadata": {"thread_id": "talk"}}), run(B)]})
    assert {row["session"] for row in rows.values()} == {"talk"}
    assert one(session_name="shop")["agent"] == "shop"
    assert one()["agent"] == "langsmith"


def test_kinds_and_parents() -> None:
    rows = rows_in("langsmith", [run(run_type="chain"), run(B, "tool", inputs={"q": 1}, outputs={"a": 2})])
    assert (by_id(rows, A)["kind"], by_id(rows, B)["kind"], by_id(rows, B)["parent_id"]) == ("run", "tool", A)
    assert by_id(rows, B)["tool"] == "n"
    assert by_id(rows_in("langsmith", [run(B, "chain")]), B)["kind"] is None
    assert by_id(rows_in("langsmith", [run(B, "retriever")]), B)["kind"] == "tool"
    unknown = parse("langsmith", document([run(run_type="agentic"), run(B)]))
    assert unknown.unknown_types == {"langsmith/agentic": 1}
    assert len(unknown.spans) == 1


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({"outputs": {"usage_metadata": USAGE}}, (100, None, None, 20)),
        (
            {"outputs": {"usage_metadata": {**USAGE, "input_token_details": {"cache_read": 60, "cache_creation": 30}}}},
            (10, 60, 30, 20),
        ),
        ({"outputs": {"message": {"usage_metadata": USAGE}}}, (100, None, None, 20)),
        ({"outputs": {"generations": [[{"message": {"kwargs": {"usage_metadata": USAGE}}}]]}}, (100, None, None, 20)),
        (
            {"outputs": {"llm_output": {"token_usage": {"prompt_tokens": 7, "completion_tokens": 3}}}},
            (7, None, None, 3),
        ),
        ({"extra": {"metadata": {"usage_metadata": USAGE}}}, (100, None, None, 20)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
                "prompt_token_details": {"cache_read": 40},
            },
            (60, 40, None, 20),
        ),
    ],
)
def test_usage_wherever_it_stands(fields: dict[str, Any], counts: tuple[int | None, ...]) -> None:
    row = one(**fields)
    names = ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m", "tokens_output")
    assert tuple(row[name] for name in names) == counts
    assert row["flags"] is None


def test_sums_on_a_chain_are_not_counted_again() -> None:
    root = run(run_type="chain", prompt_tokens=100, completion_tokens=20, total_tokens=120, total_cost="0.5")
    rows = rows_in("langsmith", [root, run(B, prompt_tokens=100, completion_tokens=20, total_cost="0.5")])
    assert (total(rows, "tokens_input"), total(rows, "cost_nano")) == (100, 500_000_000)


def test_how_runs_end() -> None:
    failed = one(error="openai.RateLimitError('slow down')\nTraceback …")
    assert (failed["status"], failed["error_type"]) == ("error", "openai.RateLimitError")
    assert failed["error_message"].startswith("openai.RateLimitError('slow down')")
    assert one(error="CancelledError()")["status"] == "cancelled"
    assert one(error={"why": 1})["error_message"] == '{"why":1}'
    assert one(status="error")["status"] == "error"
    assert one(outputs={"choices": [{"finish_reason": "length"}]})["status"] == "capped"
    assert one(first_token_time="2026-01-31T02:14:01Z")["ttft_ns"] == 10**9
    assert one(total_cost=0)["cost_nano"] is None
    assert one(total_cost="x")["flags"] == "total_cost"


def test_a_bad_run_costs_the_others_nothing() -> None:
    parsed = parse(
        "langsmith", document({"post": [run(), {"name": "x"}, run(B, start_time="x", dotted_order="x", end_time=None)]})
    )
    assert [span.span_id for span in parsed.spans] == [A]
    assert rejected(parsed) == ["2 of its 3 items: no time that can be read"]
    assert rejected(parse("langsmith", [Line(0, b'{"post": []}')])) == ["no object in it"]


@pytest.mark.parametrize("depth", [10, 5000])
def test_a_path_of_any_depth(depth: int) -> None:
    order = ".".join([ORDER_A, *[f"20260131T021400500002Z{B}"] * depth])
    parsed = parse("langsmith", document(run(B, dotted_order=order)))
    assert len(parsed.spans) == 1
