"""The demo's content: the same from the same seed, in the format it says, with the faults it promises."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price

from collectors.formats.andon import AndonNdjson
from collectors.formats.base import Line, SourceFacts
from console.demo.faults import TELLS_AGAIN, faulty_job, runaway, undeclared_export
from console.demo.history import LOOP_ROUNDS, write_history
from console.demo.play import PastClock, Permit, Player
from console.demo.script import AGENTS, CONTEXT_LIMIT, PROFILES, Call, Job, seeded
from store.registry.model import load_registry

UNTIL_NS = 1_790_000_000 * 1_000_000_000
DEMO_REGISTRY = Path(__file__).resolve().parents[2] / "console" / "demo" / "agents.toml"


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("demo")
    paths = {name: folder / f"{name}.jsonl" for name in AGENTS}
    for name, path in paths.items():
        assert write_history(name, path, 7, UNTIL_NS) == len(path.read_text().splitlines())
    return paths


def test_the_same_seed_writes_the_same_bytes(hour: dict[str, Path], tmp_path: Path) -> None:
    write_history("triage", tmp_path / "again", 7, UNTIL_NS)
    write_history("triage", tmp_path / "other", 8, UNTIL_NS)
    assert (tmp_path / "again").read_bytes() == hour["triage"].read_bytes()
    assert (tmp_path / "other").read_bytes() != hour["triage"].read_bytes()


@pytest.mark.parametrize("agent", AGENTS)
def test_every_line_is_plain_andon_ndjson(hour: dict[str, Path], agent: str) -> None:
    lines = hour[agent].read_bytes().splitlines()
    form = AndonNdjson()
    assert form.recognises(lines[:20])
    parsed = form.parser(SourceFacts("s", str(hour[agent]))).parse([Line(0, line) for line in lines])
    assert (parsed.bad, parsed.unknown_types) == ([], {})
    assert len(parsed.spans) == len(lines)
    assert not [span for span in parsed.spans if span.flags or "extra" in span.parts]
    assert {span.agent for span in parsed.spans} == {agent}
    assert max(span.ended_ns or 0 for span in parsed.spans) < UNTIL_NS
    assert min(span.started_ns or 0 for span in parsed.spans) >= UNTIL_NS - 3600 * 10**9
    assert len({span.span_id for span in parsed.spans}) == len(parsed.spans)


def test_an_hour_is_enough_for_percentiles_and_not_too_much_to_collect_at_once(hour: dict[str, Path]) -> None:
    runs = {name: [row for row in rows(path) if row["kind"] == "run"] for name, path in hour.items()}
    assert all(len(found) >= 100 for found in runs.values())
    assert sum(len(rows(path)) for path in hour.values()) < 15_000
    outcomes = Counter(row["status"] for found in runs.values() for row in found)
    assert outcomes["ok"] > 0.9 * outcomes.total()
    assert {"error", "refused", "capped"} <= set(outcomes)
    retries = [row for row in rows(hour["triage"]) if row.get("attempt") == 2]
    assert retries
    assert all(row["retry_of"] for row in retries)


def test_models_are_known_to_the_price_list_but_for_the_one_that_is_meant_not_to_be(hour: dict[str, Path]) -> None:
    models = {row["model"] for path in hour.values() for row in rows(path) if row["kind"] == "llm"}
    assert models == {profile.model for profile in PROFILES.values()} | {"in-house-7b"}
    for model in models - {"in-house-7b"}:
        assert calc_price(Usage(input_tokens=1000), model_ref=str(model)).total_price > 0


def test_every_tool_is_declared_for_its_agent_but_the_one_of_the_fault(hour: dict[str, Path]) -> None:
    tools = load_registry(DEMO_REGISTRY).tool_map()
    for agent, path in hour.items():
        used = {str(row["tool"]["name"]) for row in rows(path) if isinstance(row.get("tool"), dict)}  # type: ignore[index]
        assert used
        assert [name for name in used if tools.of(agent, name) is None] == []
    fault = [call.name for call in undeclared_export(seeded(1)).calls if call.kind == "tool"]
    assert [name for name in fault if tools.of("importer", name) is None] == ["export_csv"]


def test_the_registry_of_the_demo_names_an_owner_for_every_agent() -> None:
    registry = load_registry(DEMO_REGISTRY)
    assert set(registry.agents) == set(AGENTS)
    assert registry.owner_of_system("email") == "@messaging"


def test_the_loop_goes_round_without_end_and_costs_more_each_time() -> None:
    calls = list(itertools.islice(runaway(seeded(1)).calls, 3_000))
    tools = [call.name for call in calls if call.kind == "tool"]
    assert tools[:4] == ["search_invoices", "get_page", "search_invoices", "get_page"]
    assert Counter(tools)["search_invoices"] > 500
    contexts = [call.context_tokens or 0 for call in calls if call.kind == "llm"]
    assert contexts[60] > 5 * contexts[0]
    assert max(contexts) < CONTEXT_LIMIT
    keys = [call.effect["idempotency_key"] for call in calls[:60] if call.effect is not None]
    assert keys == ["rf-8841-1"] * len(TELLS_AGAIN)


def test_the_history_has_one_loop_that_was_capped(hour: dict[str, Path]) -> None:
    found = rows(hour["billing-bot"])
    capped = [row for row in found if row["status"] == "capped"]
    assert len(capped) == 1
    session = [row for row in found if row["session_id"] == capped[0]["session_id"]]
    searches = [row for row in session if row["kind"] == "tool" and "search_invoices" in json.dumps(row["tool"])]
    assert len(searches) == LOOP_ROUNDS


def test_only_two_agents_are_faulty() -> None:
    assert [name for name in AGENTS if faulty_job(name, seeded(1)) is not None] == ["billing-bot", "importer"]


class StopError(Exception):
    pass


class DenyError(StopError):
    pass


def played(stop_at: int, error: type[Exception]) -> list[dict[str, object]]:
    lines: list[bytes] = []
    asked = itertools.count(1)

    @contextlib.contextmanager
    def gate(_job: Job, _call: Call) -> Iterator[Permit]:
        number = next(asked)
        if number == stop_at:
            raise error("by sre")
        yield Permit("host-1-2", number)

    player = Player(
        PROFILES["billing-bot"],
        PastClock(UNTIL_NS),
        lines.append,
        seeded(1),
        gate,
        stopped_by=(StopError,),
        denied_by=(DenyError,),
    )
    job = runaway(seeded(2), rounds=3)
    if error is DenyError:
        player.play(job)
    else:
        with pytest.raises(error):
            player.play(job)
    return [json.loads(line) for line in lines]


def test_a_halted_run_is_logged_as_aborted_and_its_last_call_is_never_begun() -> None:
    found = played(4, StopError)
    assert [row["guard"]["action"] for row in found if "guard" in row] == [1, 1, 2, 2, 3, 3]  # type: ignore[index]
    end = found[-1]
    assert (end["kind"], end["status"], end["error_type"]) == ("run", "aborted", "halted")
    assert "by sre" in str(end["error_message"])


def test_a_denied_call_is_logged_as_refused_and_the_run_goes_on() -> None:
    found = played(2, DenyError)
    refused = [row for row in found if row.get("status") == "refused"]
    assert [(row["kind"], row["error_type"], "guard" in row) for row in refused] == [("tool", "denied", False)]
    assert found[-1]["status"] == "capped"


def test_what_breaks_inside_is_an_error_and_not_a_success() -> None:
    class Broken(Exception):  # noqa: N818
        pass

    assert played(2, Broken)[-1]["error_type"] == "crashed"
