"""The guard decides before each call; its answers are in its heartbeat file."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_guard import Action, Denied, Guard, GuardError, Halted

from runbooks.switches.publish import initialise, rearm, stop
from store.control import Actor
from store.folder import StoreFolder
from store.record.scope import Scope

ME = Actor.current()


@pytest.fixture
def folder(folder: StoreFolder) -> StoreFolder:
    initialise(folder)
    return folder


@pytest.fixture
def guard(folder: StoreFolder) -> Iterator[Guard]:
    guard = Guard(agent="billing-bot", folder=folder.switches)
    yield guard
    guard.close()


def kill(folder: StoreFolder, scope: str, verb: str = "halt") -> str:
    return stop(folder, Scope.parse(scope), verb=verb, actor=ME, reason="runaway loop")[0].kill_id


def said(guard: Guard) -> dict[str, Any]:
    path = Path(guard.folder) / "guards" / f"{guard.instance}.json"
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came"
        time.sleep(0.005)


def test_check_numbers_actions_from_one(guard: Guard) -> None:
    actions = [guard.check("llm", session="s"), guard.check("tool", session="s", tool="send_email")]
    assert [action.action for action in actions] == [1, 2]
    assert actions[1].as_log() == {"instance": guard.instance, "action": 2}
    assert str(actions[1]) == "tool send_email #2"


@pytest.mark.parametrize("scope", ["all", "agent:billing-bot", "session:s-1", "agent:billing-bot+session:s-1"])
def test_a_halt_stops_the_next_call_of_either_kind(folder: StoreFolder, guard: Guard, scope: str) -> None:
    guard.check("llm", session="s-1")
    kill_id = kill(folder, scope)
    for kind in ("llm", "tool"):
        with pytest.raises(Halted) as caught:
            guard.check(kind, session="s-1", tool="send_email" if kind == "tool" else None)
        assert (caught.value.kill_id, caught.value.scope, caught.value.verb) == (kill_id, scope, "halt")
        assert caught.value.reason == "runaway loop"


@pytest.mark.parametrize("scope", ["agent:other-bot", "session:s-2", "agent:other-bot+session:s-1", "tool:export"])
def test_a_halt_of_something_else_stops_nothing(folder: StoreFolder, guard: Guard, scope: str) -> None:
    kill(folder, scope)
    assert guard.check("tool", session="s-1", tool="send_email").action == 1


def test_a_value_with_odd_characters_is_matched_raw(folder: StoreFolder, guard: Guard) -> None:
    stop(folder, Scope.of(session="a+b %:\x1b€"), actor=ME, reason="r")
    with pytest.raises(Halted):
        guard.check("llm", session="a+b %:\x1b€")
    guard.check("llm", session="a")


def test_user_and_tenant_and_tool_are_matched(folder: StoreFolder, guard: Guard) -> None:
    kill(folder, "tenant:acme+user:u-1")
    guard.check("llm", tenant="acme", user="u-2")
    with pytest.raises(Halted):
        guard.check("llm", tenant="acme", user="u-1")
    kill(folder, "tool:send_email")
    guard.check("llm", tenant="x", user="y")
    with pytest.raises(Halted):
        guard.check("tool", tool="send_email", tenant="x", user="y")


def test_denied_tools_are_an_ordinary_exception_and_models_go_on(folder: StoreFolder, guard: Guard) -> None:
    kill(folder, "agent:billing-bot", verb="deny_tools")
    guard.check("llm")
    assert issubclass(Denied, Exception)
    with pytest.raises(Denied):
        guard.check("tool", tool="send_email")


def test_halt_passes_through_what_catches_exceptions(folder: StoreFolder, guard: Guard) -> None:
    kill(folder, "all")
    assert not issubclass(Halted, Exception)

    def retry() -> None:
        with contextlib.suppress(Exception):
            guard.check("llm")
        pytest.fail("a retry loop would have swallowed the stop")

    with pytest.raises(Halted):
        retry()


def test_halt_goes_before_denial(folder: StoreFolder, guard: Guard) -> None:
    kill(folder, "agent:billing-bot", verb="deny_tools")
    kill(folder, "session:s")
    with pytest.raises(Halted) as caught:
        guard.check("tool", tool="t", session="s")
    assert caught.value.verb == "halt"


def test_rearming_lets_calls_through_again(folder: StoreFolder, guard: Guard) -> None:
    kill_id = kill(folder, "agent:billing-bot")
    with pytest.raises(Halted):
        guard.check("llm")
    rearm(folder, kill_id, ME, "looked at it")
    assert guard.check("llm").action == 1


def test_a_plain_touch_of_stop_stops_everything(folder: StoreFolder, guard: Guard) -> None:
    guard.check("llm")
    (folder.switches / "STOP").touch()
    with pytest.raises(Halted) as caught:
        guard.check("llm")
    assert str(caught.value.kill_id).startswith("STOP-")
    until(lambda: [ack["kill_id"] for ack in said(guard)["acks"]] == [caught.value.kill_id])


@pytest.mark.parametrize("odd", ["directory", "symlink", "year 9999"])
def test_anything_named_stop_stops(folder: StoreFolder, guard: Guard, odd: str) -> None:
    stop_file = folder.switches / "STOP"
    if odd == "directory":
        stop_file.mkdir()
    elif odd == "symlink":
        stop_file.symlink_to("/nowhere")
    else:
        stop_file.touch()
        os.utime(stop_file, (2**33, 2**33))
    with pytest.raises(Halted):
        guard.check("llm")


def test_every_change_is_seen_at_once_however_fast(folder: StoreFolder, guard: Guard) -> None:
    """Time stamps advance in steps; a STOP that comes and goes within one must be seen all the same."""
    stop_file = folder.switches / "STOP"
    for _ in range(200):
        stop_file.touch()
        with pytest.raises(Halted):
            guard.check("llm")
        stop_file.unlink()
        guard.check("llm")


def test_the_answer_says_what_was_done_and_what_flies(folder: StoreFolder, guard: Guard) -> None:
    guard.check("llm", session="s").__enter__().__exit__(None, None, None)
    flying = guard.check("tool", session="s", tool="send_email")
    elsewhere = guard.check("tool", session="other", tool="export")
    kill_id = kill(folder, "agent:billing-bot+session:s")
    until(lambda: len(said(guard)["acks"]) == 1)
    ack = said(guard)["acks"][0]
    assert ack["kill_id"] == kill_id
    assert ack["holding"] is True
    assert ack["last_action"] == 3
    assert ack["in_flight"] == ["tool send_email #2"]
    guard.done(flying)
    guard.done(elsewhere.action)
    until(lambda: said(guard)["acks"][0]["in_flight"] == [])


def test_without_reported_ends_only_the_newest_action_may_fly(folder: StoreFolder, guard: Guard) -> None:
    for _ in range(200):
        guard.check("llm")
    kill(folder, "all")
    until(lambda: len(said(guard)["acks"]) == 1)
    assert said(guard)["acks"][0]["in_flight"] == ["llm #200"]


def test_a_session_that_checks_do_not_name_cannot_be_held_and_that_is_said(folder: StoreFolder, guard: Guard) -> None:
    kill(folder, "session:s")
    until(lambda: [ack["holding"] for ack in said(guard)["acks"]] == [True])
    guard.check("llm")
    until(lambda: [ack["holding"] for ack in said(guard)["acks"]] == [False])


def test_a_kill_of_another_agent_is_not_answered(folder: StoreFolder, guard: Guard) -> None:
    kill(folder, "agent:other")
    before = said(guard)["beats"]
    until(lambda: said(guard)["beats"] > before)
    assert said(guard)["acks"] == []


def test_heartbeat_goes_on_and_the_file_is_private(guard: Guard) -> None:
    path = Path(guard.folder) / "guards" / f"{guard.instance}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    until(lambda: said(guard)["beats"] >= 2)
    assert said(guard)["agent"] == "billing-bot"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_two_guards_of_a_process_are_two_instances(folder: StoreFolder, guard: Guard) -> None:
    with_other = Guard(agent="other", folder=folder.switches)
    try:
        assert with_other.instance != guard.instance
        assert said(with_other)["agent"] == "other"
    finally:
        with_other.close()


def test_after_close_nothing_goes_through(guard: Guard) -> None:
    guard.close()
    assert said(guard)["ended_at"]
    with pytest.raises(Halted, match="closed"):
        guard.check("llm")


def test_a_forked_child_is_an_instance_of_its_own(folder: StoreFolder, guard: Guard) -> None:
    guard.check("llm")
    kill(folder, "session:s")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # the child: only what it writes is looked at
        try:
            action = guard.check("llm", session="x")
            try:
                guard.check("llm", session="s")
            except Halted:
                os.write(write, f"{action.instance} {action.action}".encode())
        finally:
            os._exit(0)
    os.close(write)
    assert os.waitpid(pid, 0)[1] == 0
    instance, number = os.read(read, 200).decode().split()
    os.close(read)
    assert f"-{pid}-" in instance
    assert instance != guard.instance
    assert number == "1"
    assert guard.check("llm", session="x").action == 2


def test_fork_while_another_thread_checks_does_not_hang(guard: Guard) -> None:
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            guard.check("llm", session="x")

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                guard.check("llm", session="x")
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    finally:
        over.set()
        thread.join()


def test_threads_never_share_a_number(guard: Guard) -> None:
    numbers: list[int] = []

    def work() -> None:
        numbers.extend(guard.check("llm").action for _ in range(500))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 2001))


def test_the_environment_names_the_folder(folder: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_SWITCHES", str(folder.switches))
    guard = Guard(agent="a")
    assert isinstance(guard.check("llm"), Action)
    guard.close()
    monkeypatch.delenv("ANDON_SWITCHES")
    with pytest.raises(GuardError, match="ANDON_SWITCHES"):
        Guard(agent="a")


def test_a_check_is_cheap(guard: Guard) -> None:
    def once() -> float:
        began = time.perf_counter()
        for _ in range(2000):
            guard.done(guard.check("llm", session="s"))
        return (time.perf_counter() - began) / 2000

    assert min(once() for _ in range(5)) < 100e-6  # K6; measured at about a tenth of that
