"""The console driven by keys, on a real store, a real switch folder and a real agent process."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from console.screens.stop import StopScreen
from runbooks.incidents.verify import verify_bundle
from runbooks.switches.publish import standing, stop
from store.control import Actor, Control
from store.folder import StoreFolder
from store.record.scope import Scope
from tests.pilot.conftest import console
from tests.snapshot.waiting import screen_text, until, until_shown

SIZE = (100, 30)


async def test_stop_ends_the_process_and_says_verified(
    store: StoreFolder, collector: None, agent: subprocess.Popen[str]
) -> None:
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("K")
        await until_shown(pilot, "guard (1 of 1 alive)")
        await pilot.press("shift+tab", *"loop", "tab", "7", "k")
        assert standing(store) == [], "two of three letters stop nothing"
        await pilot.press("q")
        await until_shown(pilot, "WRITTEN +")
        await until_shown(pilot, "VERIFIED: stopped")
        await pilot.press("escape")
        await until_shown(pilot, "OFF ")
        await until_shown(pilot, "1 open incident")
    assert agent.wait(10) == 7
    (kill,) = standing(store)
    assert (kill.scope, kill.verb, kill.reason) == ("agent:billing-bot", "halt", "loop")
    with Control(store, read_only=True) as control:
        assert [row.action for row in control.audit_rows()][:2] == ["kill", "incident.open"]
        assert control.incidents()[0].runbook == "runaway-loop"


async def test_a_wrong_code_stops_nothing_and_esc_leaves(store: StoreFolder, agent: subprocess.Popen[str]) -> None:
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("K")
        await until_shown(pilot, "nobody collects")
        await pilot.press("a", "b", "c")
        await until_shown(pilot, "nothing was stopped")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, StopScreen))
    assert standing(store) == []
    assert agent.poll() is None


async def test_a_session_is_offered_first_where_the_cursor_is_on_one(store: StoreFolder) -> None:
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("enter")
        await until_shown(pilot, "s-81f2")
        await pilot.press("K", "7", "k", "q")
        await until_shown(pilot, "WRITTEN +")
    assert [kill.scope for kill in standing(store)] == ["session:s-81f2"]


async def test_starting_again_takes_a_reason_and_a_code(store: StoreFolder) -> None:
    stop(store, Scope.of(agent="billing-bot"), actor=Actor.current(), reason="loop")
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "1 off")
        await pilot.press("A")
        await until_shown(pilot, "ARM")
        await pilot.press("tab", "7", "k", "q")
        await until_shown(pilot, "takes a reason")
        assert len(standing(store)) == 1
        await pilot.press(*"fixed", "enter", "7", "k", "q")
        await until_shown(pilot, "re-armed agent:billing-bot")
        await until_shown(pilot, "0 off")
    assert standing(store) == []
    with Control(store, read_only=True) as control:
        assert control.switch_history()[0].rearmed_reason == "fixed"


async def test_a_step_is_ticked_with_who_and_when_and_stays_ticked(store: StoreFolder) -> None:
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("i")
        await until_shown(pilot, "0 of 8 done")
        await pilot.press("down", "x")
        await until_shown(pilot, "1 of 8 done")
        await pilot.press("n")
        await until_shown(pilot, "note to incident 1")
        await pilot.press(*"asked", "enter")
        await until_shown(pilot, "note: asked")
    again = console(store)
    async with again.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "1 open incident")
        await pilot.press("r")
        await until_shown(pilot, "1 of 8 done")
        assert Actor.current().label in screen_text(again.screen)
        await pilot.press("down", "x")
        await until_shown(pilot, "0 of 8 done")
    with Control(store, read_only=True) as control:
        step = control.steps(1)[2]
        assert not step.done
        assert step.done_by == step.undone_by == Actor.current().label


async def test_export_shows_the_path_and_the_bundle_holds(store: StoreFolder, tmp_path: Path) -> None:
    app = console(store)
    path = tmp_path / "out.zip"
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("e")
        await until_shown(pilot, "EXPORT")
        app.screen.query_one("#path").value = str(path)  # type: ignore[attr-defined]  # an Input
        await pilot.press("enter")
        await until_shown(pilot, "sha256")
        await pilot.press("enter")
        await until_shown(pilot, "not written")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not verify_bundle(path).problems


async def test_read_only_changes_nothing(store: StoreFolder) -> None:
    app = console(store, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        before = app.screen
        await pilot.press("K", "A", "i")
        await until_shown(pilot, "[RO]")
        assert app.screen is before
    assert standing(store) == []


async def test_a_stop_needs_no_store(store: StoreFolder, agent: subprocess.Popen[str]) -> None:
    store.telemetry.unlink()
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "NO STORE")
        await pilot.press("K", "7", "k", "q")
        await until_shown(pilot, "ACKED 1 of 1")
        await until_shown(pilot, "no more than acked")
        assert "VERIFIED" not in screen_text(app.screen)
    assert agent.wait(10) == 7


async def test_a_stop_that_cannot_be_written_says_so_and_what_to_do(store: StoreFolder) -> None:
    shutil.rmtree(store.switches)
    store.switches.write_text("not a folder")
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("K", "7", "k", "q")
        await until_shown(pilot, "NOT WRITTEN: nothing was stopped")
        await until_shown(pilot, "touch ")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
    with Control(store) as control:
        assert control.incidents() == ()


@pytest.mark.parametrize("size", [(1, 1), (12, 3), (20, 6), (40, 10), (300, 90)])
async def test_no_terminal_is_too_small_or_too_large(store: StoreFolder, size: tuple[int, int]) -> None:
    app = console(store)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "billing-bot")
        for keys in ("s", "enter", "b", "escape", "i", "K", "escape", "escape", "question_mark"):
            await pilot.press(keys)
            await pilot.resize_terminal(*size)
            await pilot.pause(0.05)
        await pilot.resize_terminal(80, 24)
        await until_shown(pilot, "write a bundle")


async def test_the_screen_says_when_the_store_comes_back(store: StoreFolder) -> None:
    aside = store.path / "aside"
    store.telemetry.rename(aside)
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "NO STORE")
        aside.rename(store.telemetry)
        await until_shown(pilot, "search-api")
        await until(pilot, lambda: "NO STORE" not in screen_text(app.screen))


async def test_the_filter_finds_sessions(store: StoreFolder) -> None:
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("s")
        await until_shown(pilot, "s-81f2")
        await pilot.press("slash", *["backspace"] * 40, *"agent:search-api", "enter")
        await until_shown(pilot, "s-60b1")
        await until(pilot, lambda: "s-81f2" not in screen_text(app.screen))
        await pilot.press("slash", *["backspace"] * 40, *"no such words", "enter")
        await until_shown(pilot, "No session matches")


async def test_pause_holds_the_moment(store: StoreFolder) -> None:
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("space")
        await until_shown(pilot, "PAUSED")
        held_ns = app.moment_ns()
        assert held_ns <= time.time_ns()
        await pilot.press("t")
        await until_shown(pilot, "24 h")
        assert app.moment_ns() == held_ns
        await pilot.press("space")
        await until(pilot, lambda: "PAUSED" not in screen_text(app.screen))


async def test_leaving_is_asked_for(store: StoreFolder) -> None:
    app = console(store)
    async with app.run_test(size=SIZE) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("q")
        await until_shown(pilot, "Leave the console?")
        await pilot.press("escape")
        await until_shown(pilot, "billing-bot")
        await pilot.press("q", "q")
        await until(pilot, lambda: not app.is_running or app._exit)
