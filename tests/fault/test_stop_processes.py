"""Stops of real processes: answered, verified, crashed, wedged, restarted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbooks.switches.guards import guards
from runbooks.switches.model import Kill, StopProgress
from runbooks.switches.progress import progress
from runbooks.switches.publish import initialise, stop
from store.control import Actor
from store.folder import StoreFolder
from store.liveness import CollectorLock
from store.record.scope import Scope

ME = Actor.current()
ROOT = Path(__file__).resolve().parents[2]
AGENT = """
import sys, time
from andon_guard import Guard, Halted
agent, folder, log, on_halt = sys.argv[1:]
guard = Guard(agent=agent, folder=folder)
out = open(log, "a", buffering=1)
session = "s-1"
while True:
    try:
        with guard.check("tool", session=session, tool="search_invoices") as action:
            out.write(f"{action.instance} {action.action} {session}\\n")
            time.sleep(0.002)
    except Halted as halt:
        out.write(f"halted {halt.kill_id}\\n")
        if on_halt == "end":
            sys.exit(3)
        if on_halt == "go on":
            session = "s-2"
        time.sleep(0.02)
"""


class Fleet:
    """Agent processes on one switch folder, with the log that each writes."""

    def __init__(self, folder: StoreFolder, collector: CollectorLock) -> None:
        self.folder = folder
        self.collector = collector
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, agent: str = "billing-bot", on_halt: str = "hold") -> subprocess.Popen[bytes]:
        log = self._log(len(self.processes))
        process = subprocess.Popen(
            [sys.executable, "-c", AGENT, agent, str(self.folder.switches), str(log), on_halt], cwd=ROOT / "guard"
        )
        self.processes.append(process)
        self.until(lambda: log.exists() and bool(log.read_text()), "the agent works")
        return process

    def lines(self) -> list[list[str]]:
        return [
            line.split() for number in range(len(self.processes)) for line in self._log(number).read_text().splitlines()
        ]

    def actions(self, instance: str, after: int) -> tuple[int, ...]:
        return tuple(int(line[1]) for line in self.lines() if line[0] == instance and int(line[1]) > after)

    def narrow(self, instance: str, after: int, kill: Kill) -> tuple[int, ...]:
        session = Scope.parse(kill.scope).get("session")
        return tuple(
            int(line[1]) for line in self.lines() if line[0] == instance and int(line[1]) > after and line[2] == session
        )

    def look(self, kill: Kill, after_s: float = 0.0) -> StopProgress:
        self.collector.beat()
        now_ns = time.time_ns() + int(after_s * 1e9)
        return progress(self.folder, kill, now_ns, self.actions, narrow_actions=self.narrow)

    def until(self, condition: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}"
            time.sleep(0.02)

    def until_state(self, kill: Kill, state: str) -> StopProgress:
        seen: list[str] = []

        def there() -> bool:
            found = self.look(kill).state
            if seen[-1:] != [found]:
                seen.append(found)
            return found == state

        self.until(there, f"{state}, after {seen}")
        return self.look(kill)

    def kill(self, scope: str) -> Kill:
        return stop(self.folder, Scope.parse(scope), actor=ME, reason="drill")[0]

    def _log(self, number: int) -> Path:
        return self.folder.log / f"agent-{number}.log"


@pytest.fixture
def fleet(folder: StoreFolder) -> Iterator[Fleet]:
    initialise(folder)
    with CollectorLock(folder) as lock:
        fleet = Fleet(folder, lock)
        yield fleet
        for process in fleet.processes:
            process.kill()
            process.wait()


def test_a_kill_is_answered_at_once_and_verified_after_two_heartbeats(fleet: Fleet) -> None:
    fleet.start()
    fleet.start()
    bystander = fleet.start("crm-bot")
    kill = fleet.kill("agent:billing-bot")
    acked = fleet.until_state(kill, "acked")
    assert acked.acked_ms is not None
    assert acked.acked_ms < 2000
    verified = fleet.until_state(kill, "verified")
    assert verified.verified_ms == acked.acked_ms + 4000
    assert (verified.acked, len(verified.answers), verified.leaks) == (2, 2, ())
    assert verified.in_flight == ()
    assert sum(line[0] == "halted" and line[1] == kill.kill_id for line in fleet.lines()) > 2
    before = len(fleet.lines())
    fleet.until(lambda: len(fleet.lines()) > before, "the other agent goes on")
    assert bystander.poll() is None


def test_a_session_stops_and_the_same_process_goes_on_with_others(fleet: Fleet) -> None:
    fleet.start(on_halt="go on")
    kill = fleet.kill("session:s-1")
    verified = fleet.until_state(kill, "verified")
    assert verified.leaks == ()
    assert any(line[-1] == "s-2" for line in fleet.lines())


def test_an_agent_that_ends_when_halted_is_gone(fleet: Fleet) -> None:
    process = fleet.start(on_halt="end")
    kill = fleet.kill("all")
    assert process.wait(10) == 3
    verified = fleet.until_state(kill, "verified")
    assert [answer.state for answer in verified.answers] == ["gone"]


@pytest.mark.parametrize("reaped", [True, False])
def test_a_crashed_agent_is_proved_gone(fleet: Fleet, *, reaped: bool) -> None:
    process = fleet.start()
    process.kill()
    if reaped:
        process.wait()
    kill = fleet.kill("agent:billing-bot")
    verified = fleet.until_state(kill, "verified")
    assert [answer.state for answer in verified.answers] == ["gone"]


def test_an_agent_gone_long_before_is_not_expected(fleet: Fleet) -> None:
    process = fleet.start()
    process.kill()
    process.wait()
    kill = fleet.kill("agent:billing-bot")
    later = Kill(kill.kill_id, kill.scope, kill.verb, kill.by, kill.at_ns + 60_000_000_000, kill.reason)
    assert fleet.look(later).answers == ()


def test_a_wedged_agent_is_never_stopped(fleet: Fleet) -> None:
    process = fleet.start()
    fleet.start()
    process.send_signal(signal.SIGSTOP)
    kill = fleet.kill("all")
    fleet.until(lambda: fleet.look(kill).acked == 1, "the other one answers")
    assert fleet.look(kill).state == "written"
    found = fleet.look(kill, after_s=5.5)
    assert (found.state, found.acked, len(found.answers)) == ("not_confirmed", 1, 2)
    process.send_signal(signal.SIGCONT)
    fleet.until_state(kill, "verified")


def test_an_agent_restarted_under_a_kill_holds_from_its_first_call(fleet: Fleet) -> None:
    first = fleet.start()
    kill = fleet.kill("agent:billing-bot")
    fleet.until_state(kill, "verified")
    first.kill()
    first.wait()
    fleet.start()
    held = fleet.look(kill)
    assert {answer.state for answer in held.answers} == {"holding", "gone"}
    assert held.state in {"acked", "verified"}
    assert not [line for line in fleet.lines() if line[0] != "halted" and f"-{fleet.processes[1].pid}-" in line[0]]


def test_a_plain_touch_of_stop_stops_every_process(fleet: Fleet) -> None:
    fleet.start()
    fleet.start("crm-bot")
    (fleet.folder.switches / "STOP").touch()
    fleet.until(
        lambda: all(len(guard.acks) == 1 for guard in guards(fleet.folder, time.time_ns())), "both hold the file"
    )


def test_a_guard_answers_without_any_further_call(fleet: Fleet) -> None:
    """An agent in the middle of a long call still answers, and says what is in flight."""
    script = AGENT.replace("time.sleep(0.002)", "time.sleep(60)")
    log = fleet.folder.log / "slow.log"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "slow-bot", str(fleet.folder.switches), str(log), "hold"], cwd=ROOT / "guard"
    )
    try:
        fleet.until(lambda: log.exists() and bool(log.read_text()), "the agent works")
        kill = fleet.kill("agent:slow-bot")
        fleet.until(lambda: fleet.look(kill).acked == 1, "it answers")
        (flying,) = fleet.look(kill).in_flight
        assert flying.startswith("tool search_invoices #1 (")
    finally:
        process.kill()
        process.wait()
