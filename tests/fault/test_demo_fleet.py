"""The demo as it runs: real processes that log, obey the guard, and never outlive who started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.demo.agent import EXIT_HALTED
from console.demo.fleet import Fleet
from console.demo.script import AGENTS
from runbooks.switches.publish import initialise, stop
from store.control import Actor
from store.folder import StoreFolder
from store.record.scope import Scope

WITHIN_S = 20.0


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {WITHIN_S:.0f} s: {what}")
        time.sleep(0.02)


def whole_lines(path: Path) -> list[dict[str, object]]:
    data = path.read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def loops(path: Path) -> bool:
    return any(row.get("prompt_hash") == "p-3f9c" and row["kind"] == "tool" for row in whole_lines(path))


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    folder = StoreFolder(tmp_path / "demo" / "store").prepare()
    initialise(folder)
    return folder


@pytest.fixture
def fleet(tmp_path: Path, store: StoreFolder) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "demo", seed=3, speed=8.0, store=store, history_s=120)
    try:
        yield made
    finally:
        made.stop()
        assert not [process for process in made.processes.values() if process.alive]


def test_agents_log_live_and_a_stop_ends_the_process_it_names(fleet: Fleet, store: StoreFolder) -> None:
    fleet.prepare()
    before = {path: path.stat().st_size for path in fleet.log_paths}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (*fleet.log_paths, fleet.registry_path))
    fleet.start()
    assert set(fleet.processes) == set(AGENTS)
    wait_for("every log grows", lambda: all(path.stat().st_size > size for path, size in before.items()))
    bot = fleet.log_folder / "billing-bot.jsonl"
    wait_for("billing-bot loops", lambda: loops(bot))
    live = [row for row in whole_lines(bot) if "guard" in row]
    started = {row["span_id"] for row in live if "ended_at" not in row}
    assert {row["span_id"] for row in live if "ended_at" in row} <= started

    stop(store, Scope.of(agent="billing-bot"), actor=Actor.current({}), reason="runaway loop")
    wait_for("billing-bot ends", lambda: not fleet.processes["billing-bot"].alive)
    assert fleet.processes["billing-bot"].exit_code == EXIT_HALTED
    rows = whole_lines(bot)
    assert (rows[-1]["kind"], rows[-1]["status"], rows[-1]["error_type"]) == ("run", "aborted", "halted")
    assert "runaway loop" in str(rows[-1]["error_message"])
    ended = {row["span_id"] for row in rows if "ended_at" in row}
    assert {row["span_id"] for row in rows} <= ended  # what was in flight was finished, not torn
    grown = (fleet.log_folder / "search-api.jsonl").stat().st_size
    wait_for("the others go on", lambda: (fleet.log_folder / "search-api.jsonl").stat().st_size > grown)
    assert [name for name, process in fleet.processes.items() if not process.alive] == ["billing-bot"]
    fleet.start()
    assert not fleet.processes["billing-bot"].alive  # a stopped agent stays stopped


def test_a_stop_of_one_session_ends_its_run_and_not_the_agent(fleet: Fleet, store: StoreFolder) -> None:
    fleet.start()
    bot = fleet.log_folder / "billing-bot.jsonl"
    wait_for("billing-bot loops", lambda: loops(bot))
    session = next(str(row["session_id"]) for row in whole_lines(bot) if row.get("prompt_hash") == "p-3f9c")
    stop(store, Scope.of(session=session), actor=Actor.current({}), reason="loop")

    def aborted() -> bool:
        return any(row["session_id"] == session and row.get("status") == "aborted" for row in whole_lines(bot))

    wait_for("its run ends", aborted)
    wait_for("the agent goes on", lambda: whole_lines(bot)[-1]["session_id"] != session)
    assert fleet.processes["billing-bot"].alive


def test_the_importer_writes_with_a_tool_that_is_not_declared(fleet: Fleet) -> None:
    fleet.start()
    log = fleet.log_folder / "importer.jsonl"
    wait_for("export_csv is called", lambda: b'"name":"export_csv"' in log.read_bytes())
    assert "export_csv =" not in fleet.registry_path.read_text()


def test_without_an_initialised_switch_folder_no_agent_works(tmp_path: Path) -> None:
    with Fleet(tmp_path, speed=8.0, history_s=1, agents=("triage",)) as fleet:
        wait_for("it refuses to start", lambda: not fleet.processes["triage"].alive)
        assert fleet.processes["triage"].exit_code not in {0, EXIT_HALTED}
        assert "not initialised" in (tmp_path / "output" / "triage.txt").read_text()


def test_agents_end_with_the_process_that_started_them_however_it_ends(tmp_path: Path, store: StoreFolder) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom console.demo.fleet import Fleet\n"
        "fleet = Fleet(Path(sys.argv[1]), speed=8.0, history_s=1)\nfleet.start()\n"
        "print(*[process.pid for process in fleet.processes.values()], flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "demo")], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(text) for text in parent.stdout.readline().split()]
        assert len(pids) == len(AGENTS)
        parent.send_signal(signal.SIGKILL)
    wait_for("every agent is gone", lambda: not any(runs(pid) for pid in pids))


def runs(pid: int) -> bool:
    """Alive and no zombie: whoever adopts orphans here may be slow to collect them."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
