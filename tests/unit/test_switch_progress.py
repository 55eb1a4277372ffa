"""K2 to K5: how far a stop has come, from guard files as guards of any host would leave them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_guard import switches as guard_view
from andon_guard.process import this_process

from runbooks.switches.folder import SwitchError
from runbooks.switches.guards import guards
from runbooks.switches.model import Kill, StopProgress
from runbooks.switches.progress import progress, whole_instance
from runbooks.switches.publish import initialise, rearm, stop
from runbooks.switches.tidy import forget, prune
from store.control import Actor, Control
from store.folder import StoreFolder
from store.liveness import CollectorLock
from store.record.scope import Scope

ME = Actor.current()
S = 1_000_000_000


@pytest.fixture
def folder(folder: StoreFolder) -> StoreFolder:
    initialise(folder)
    return folder


@pytest.fixture
def collector(folder: StoreFolder) -> Iterator[CollectorLock]:
    with CollectorLock(folder) as lock:
        lock.beat()
        yield lock


def kill_of(folder: StoreFolder, scope: str = "agent:billing-bot", verb: str = "halt") -> Kill:
    return stop(folder, Scope.parse(scope), verb=verb, actor=ME, reason="r")[0]


def ack(
    kill: Kill, *, after_s: float = 0.2, held_s: float = 5.0, holding: bool = True, last: int = 7
) -> dict[str, object]:
    return {
        "kill_id": kill.kill_id,
        "seen_at": guard_view.iso(kill.at_ns + int(after_s * S)),
        "held_ms": int(held_s * 1000),
        "holding": holding,
        "in_flight": ["tool send_email #7"],
        "last_action": last,
    }


def guard_file(
    folder: StoreFolder,
    name: str,
    *acks: dict[str, object],
    agent: str = "billing-bot",
    age_s: float = 0.0,
    **more: object,
) -> Path:
    """A live guard of another host unless `more` says otherwise."""
    instance = f"{name}-41-1000"
    now_ns = time.time_ns() - int(age_s * S)
    document = {
        "schema": 1,
        "instance": instance,
        "agent": agent,
        "host": name,
        "pid": 41,
        "start": 1000,
        "boot_id": "b",
        "machine_id": "m",
        "pid_namespace": "n",
        "started_at": guard_view.iso(now_ns - 3600 * S),
        "heartbeat_at": guard_view.iso(now_ns),
        "last_action": 7,
        "fail_open": False,
        "blocked": None,
        "ended_at": None,
        "acks": list(acks),
        **more,
    }
    path = folder.switches / "guards" / f"{instance}.json"
    path.write_text(json.dumps(document))
    os.utime(path, ns=(now_ns, now_ns))
    return path


def look(
    folder: StoreFolder, kill: Kill, *logged: int, after_s: float = 0.0, activity_ns: int | None = None
) -> StopProgress:
    def actions(_: str, after: int) -> tuple[int, ...]:
        return tuple(number for number in logged if number > after)

    return progress(folder, kill, time.time_ns() + int(after_s * S), actions, last_activity_ns=activity_ns)


def test_written_until_all_answered_then_acked_then_verified(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-3", ack(kill, held_s=0.1))
    guard_file(folder, "app-4")
    waiting = look(folder, kill)
    assert (waiting.state, waiting.acked, len(waiting.answers)) == ("written", 1, 2)
    assert "app-4-41-1000 has not answered" in str(waiting.note)
    guard_file(folder, "app-4", ack(kill, after_s=0.4, held_s=0.1))
    acked = look(folder, kill)
    assert (acked.state, acked.acked_ms, acked.verified_ms) == ("acked", 400.0, None)
    guard_file(folder, "app-3", ack(kill, held_s=4.0))
    guard_file(folder, "app-4", ack(kill, after_s=0.4, held_s=3.9))
    assert look(folder, kill).state == "acked"
    guard_file(folder, "app-4", ack(kill, after_s=0.4, held_s=4.1))
    verified = look(folder, kill)
    assert (verified.state, verified.acked_ms, verified.verified_ms) == ("verified", 400.0, 4400.0)
    assert verified.in_flight == ("tool send_email #7 (app-3-41-1000)", "tool send_email #7 (app-4-41-1000)")


def test_seven_of_eight_after_five_seconds_is_not_confirmed(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    for number in range(7):
        guard_file(folder, f"app-{number}", ack(kill))
    guard_file(folder, "app-7")
    found = look(folder, kill, after_s=5.5)
    assert (found.state, found.acked, len(found.answers)) == ("not_confirmed", 7, 8)


def test_silent_elsewhere_is_unknown(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-3", ack(kill))
    guard_file(folder, "app-4", ack(kill), age_s=3600)
    found = look(folder, kill, after_s=5.5)
    assert found.state == "not_confirmed"
    assert [answer.state for answer in found.answers] == ["holding", "silent"]


def test_no_collector_is_no_more_than_acked(folder: StoreFolder) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-3", ack(kill))
    found = look(folder, kill)
    assert (found.state, found.note) == ("acked", "no collector: no more than acked")


def test_no_store_is_no_more_than_acked(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-3", ack(kill))
    assert progress(folder, kill, time.time_ns(), None).state == "acked"


def test_an_action_numbered_after_the_answer_is_a_leak(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-3", ack(kill, last=7))
    assert look(folder, kill, 6, 7).state == "verified"
    found = look(folder, kill, 6, 7, 8)
    assert (found.state, found.leaks) == ("leak", ("app-3-41-1000 #8",))


def test_other_work_of_an_instance_is_no_leak_of_a_session(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder, "session:s-1")
    guard_file(folder, "app-3", ack(kill, last=7))
    found = look(folder, kill, 8, 9)
    assert (found.state, found.leaks) == ("verified", ())
    assert "other work" in str(found.note)
    narrow = progress(folder, kill, time.time_ns(), lambda *_: (), narrow_actions=lambda *_: (9,))
    assert (narrow.state, narrow.leaks) == ("leak", ("app-3-41-1000 #9",))


def test_model_calls_under_denied_tools_are_no_leak(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder, verb="deny_tools")
    guard_file(folder, "app-3", ack(kill, last=7))
    found = progress(folder, kill, time.time_ns(), lambda *_: (8,), narrow_actions=lambda *_: (8,))
    assert (found.state, found.leaks) == ("verified", ())


@pytest.mark.parametrize(
    ("scope", "verb", "whole"),
    [
        ("all", "halt", True),
        ("agent:a", "halt", True),
        ("agent:a", "deny_tools", False),
        ("session:s", "halt", False),
        ("agent:a+tool:t", "halt", False),
    ],
)
def test_what_stops_an_instance_whole(scope: str, verb: str, *, whole: bool) -> None:
    assert whole_instance(Kill("k", scope, verb, "me", 0, "r")) is whole


def test_who_must_answer(folder: StoreFolder) -> None:
    guard_file(folder, "app-1")
    guard_file(folder, "app-2", agent="crm-bot")
    agent, everything, session = kill_of(folder), kill_of(folder, "all"), kill_of(folder, "session:s")
    assert [answer.host for answer in look(folder, agent).answers] == ["app-1"]
    assert [answer.host for answer in look(folder, everything).answers] == ["app-1", "app-2"]
    assert [answer.host for answer in look(folder, session).answers] == ["app-1", "app-2"]


def test_a_guard_that_cannot_hold_a_session_is_not_counted(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder, "session:s")
    guard_file(folder, "app-1", ack(kill, holding=False))
    found = look(folder, kill, after_s=5.5)
    assert found.state == "not_confirmed"
    assert "stop the agent" in str(found.note)


def test_a_blocked_guard_has_not_answered_and_says_why(folder: StoreFolder) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-1", blocked="blocked: unverified: switches.json is empty")
    assert "switches.json is empty" in str(look(folder, kill).note)


def test_a_guard_that_ended_before_the_kill_is_history(folder: StoreFolder, collector: CollectorLock) -> None:
    guard_file(folder, "app-1", age_s=60, ended_at="2026-01-01T00:00:00Z")
    kill = kill_of(folder)
    assert look(folder, kill).answers == ()
    guard_file(folder, "app-2", ended_at="2026-01-01T00:00:00Z")
    found = look(folder, kill)
    assert [answer.state for answer in found.answers] == ["gone"]
    assert found.state == "verified"


def test_a_restart_later_on_does_not_move_the_times(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-1", ack(kill, after_s=0.3))
    guard_file(folder, "app-2", ack(kill, after_s=30), started_at=guard_view.iso(kill.at_ns + 30 * S))
    found = look(folder, kill)
    assert (found.state, found.acked_ms, found.verified_ms) == ("verified", 300.0, 4300.0)


def test_without_guards_silence_is_quiet_at_most(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    assert look(folder, kill, activity_ns=0).state == "written"
    assert look(folder, kill, after_s=5.5, activity_ns=kill.at_ns).state == "quiet"
    assert look(folder, kill, after_s=5.5, activity_ns=0).state == "quiet"
    assert look(folder, kill, after_s=5.5, activity_ns=kill.at_ns + 1).state == "not_confirmed"
    assert look(folder, kill, after_s=5.5).state == "not_confirmed"
    collector.release()
    assert look(folder, kill, after_s=5.5, activity_ns=0).state == "not_confirmed"


def test_a_clock_set_back_gives_no_time_to_wait(folder: StoreFolder) -> None:
    kill = kill_of(folder)
    guard_file(folder, "app-1")
    assert look(folder, kill, after_s=-3600).state == "not_confirmed"


def test_what_no_longer_stands_is_rearmed(folder: StoreFolder) -> None:
    kill = kill_of(folder)
    rearm(folder, kill.kill_id, ME, "r")
    assert look(folder, kill).state == "rearmed"


def test_a_folder_that_cannot_be_read_confirms_nothing(folder: StoreFolder) -> None:
    kill = kill_of(folder)
    (folder.switches / "switches.json").write_text("")
    assert look(folder, kill).state == "not_confirmed"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 2}', "x" * 600_000, '{"schema": 1, "instance": "other"}']
)
def test_a_guard_file_that_cannot_be_read_counts_as_unknown(
    folder: StoreFolder, collector: CollectorLock, content: str
) -> None:
    (folder.switches / "guards" / "app-9-1-1.json").write_text(content)
    kill = kill_of(folder)
    found = look(folder, kill, after_s=5.5)
    assert (found.state, [answer.state for answer in found.answers]) == ("not_confirmed", ["silent"])


def test_a_link_or_fifo_among_the_guards_is_not_followed(folder: StoreFolder, tmp_path: Path) -> None:
    target = guard_file(folder, "app-1").rename(tmp_path / "elsewhere.json")
    (folder.switches / "guards" / "app-1-41-1000.json").symlink_to(target)
    os.mkfifo(folder.switches / "guards" / "app-2-41-1000.json")
    assert [guard.agent for guard in guards(folder, time.time_ns())] == [None, None]


def test_odd_values_in_a_guard_file_do_no_harm(folder: StoreFolder, collector: CollectorLock) -> None:
    kill = kill_of(folder)
    odd = {**ack(kill), "in_flight": [1, None, "x" * 9999], "last_action": "7", "held_ms": -1}
    guard_file(folder, "app-1", odd, {"kill_id": 7}, started_at=7, last_action=True)
    found = look(folder, kill)
    assert found.state == "acked"
    assert max(len(text) for text in found.in_flight) < 600


def test_a_silent_guard_is_forgotten_by_a_persons_word_only(folder: StoreFolder, collector: CollectorLock) -> None:
    alive, silent = guard_file(folder, "app-1"), guard_file(folder, "app-2", age_s=3600)
    with pytest.raises(SwitchError, match="alive"):
        forget(folder, alive.stem, ME, "r", time.time_ns())
    with pytest.raises(SwitchError, match="reason"):
        forget(folder, silent.stem, ME, " ", time.time_ns())
    with pytest.raises(SwitchError, match="no guard"):
        forget(folder, "../../control", ME, "r", time.time_ns())
    forget(folder, silent.stem, ME, "host was retired", time.time_ns())
    assert [guard.host for guard in guards(folder, time.time_ns())] == ["app-1"]
    with Control(folder) as control:
        assert [row.action for row in control.audit_rows()] == ["guard.forgotten"]


def test_only_what_is_proven_over_goes_by_itself(folder: StoreFolder) -> None:
    old = 25 * 3600
    guard_file(folder, "silent", age_s=old)
    guard_file(folder, "fresh", ended_at="2026-01-01T00:00:00Z")
    over = guard_file(folder, "over", age_s=old, ended_at="2026-01-01T00:00:00Z")
    kill = kill_of(folder)
    guard_file(folder, "evidence", ack(kill), age_s=old, ended_at="2026-01-01T00:00:00Z")
    assert prune(folder, time.time_ns()) == (over.stem,)
    rearm(folder, kill.kill_id, ME, "r")
    assert prune(folder, time.time_ns()) == ("evidence-41-1000",)


def own(pid: int, start: int, **more: object) -> dict[str, object]:
    process = this_process()
    return {
        "host": process.host,
        "pid": pid,
        "start": start,
        "boot_id": process.boot_id,
        "machine_id": process.machine_id,
        "pid_namespace": process.pid_namespace,
        **more,
    }


def test_only_a_process_of_this_very_host_can_be_proven_gone(folder: StoreFolder) -> None:
    me = this_process()

    def life(**more: Any) -> str:
        guard_file(folder, "x", **more)
        return guards(folder, time.time_ns())[0].life

    assert life(**own(me.pid, me.start)) == "alive"
    assert life(**own(me.pid, me.start + 1)) == "gone"  # the pid was reused
    assert life(**own(2**22 + 1, 5)) == "gone"
    assert life(**own(2**22 + 1, 5, host="elsewhere")) == "alive"
    assert life(**own(2**22 + 1, 5, pid_namespace="pid:[1]")) == "alive"
    assert life(**own(2**22 + 1, 5, boot_id="other", machine_id="other")) == "alive"
