"""What the screens look like, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.snapshot.fleet import fixed_app
from tests.snapshot.waiting import until_shown

SnapCompare = Callable[..., bool]
SMALL, LARGE = (80, 24), (120, 40)


def look(*steps: tuple[str, str]) -> Callable[[Pilot[Any]], Any]:
    """Press a key, then wait for a text, step by step; an empty key presses nothing."""

    async def run(pilot: Pilot[Any]) -> None:
        await until_shown(pilot, "billing-bot")
        for key, text in steps:
            if key:
                await pilot.press(*key.split())
            await until_shown(pilot, text)

    return run


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])
def test_board(snap_compare: SnapCompare, tmp_path: Path, size: tuple[int, int]) -> None:
    app = fixed_app(tmp_path)
    pane = ("", "newest sessions") if size == LARGE else ("", "loop: search_invoices")
    assert snap_compare(app, terminal_size=size, run_before=look(pane, ("", "1 open incident")))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])
def test_stop(snap_compare: SnapCompare, tmp_path: Path, size: tuple[int, int]) -> None:
    assert snap_compare(fixed_app(tmp_path), terminal_size=size, run_before=look(("K", "guard (3 of 3 alive)")))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])
def test_stop_asked_for(snap_compare: SnapCompare, tmp_path: Path, size: tuple[int, int]) -> None:
    steps = look(("K", "guard (3 of 3 alive)"), ("7 k q", "SILENT"))
    assert snap_compare(fixed_app(tmp_path), terminal_size=size, run_before=steps)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([("down s", "s-77aa")], id="sessions"),
        pytest.param(
            [("s", "s-81f2"), ("enter", "get_page"), ("down down down down down", "Your refund")], id="session"
        ),
        pytest.param([("b", "how to check email")], id="blast"),
        pytest.param([("I", "stop: loop"), ("enter", "2 of 8 done"), ("", "A loop is rarely")], id="incident"),
        pytest.param([("I", "stop: loop")], id="incidents"),
        pytest.param([("A", "wrong template")], id="arm"),
        pytest.param([("question_mark", "write a bundle")], id="help"),
        pytest.param([("colon", "hold the screen")], id="palette"),
        pytest.param([("q", "1 stop in force")], id="leave"),
    ],
)
def test_other_screens(snap_compare: SnapCompare, tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    assert snap_compare(fixed_app(tmp_path), terminal_size=SMALL, run_before=look(*steps))


@pytest.mark.parametrize("size", [(40, 10), (60, 16)], ids=["40x10", "60x16"])
def test_a_small_terminal(snap_compare: SnapCompare, tmp_path: Path, size: tuple[int, int]) -> None:
    assert snap_compare(fixed_app(tmp_path), terminal_size=size, run_before=look())


def test_ascii(snap_compare: SnapCompare, tmp_path: Path) -> None:
    app = fixed_app(tmp_path, ascii_only=True)
    assert snap_compare(app, terminal_size=SMALL, run_before=look(("", "1 open incident")))
