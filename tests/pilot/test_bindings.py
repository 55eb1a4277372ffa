"""Keys are the same everywhere, each does something, and the help lists them all."""

from __future__ import annotations

import pytest
from textual.binding import Binding

from console import keys
from console.screens.base import Look
from console.screens.blast import BlastScreen
from console.screens.board import BoardScreen
from console.screens.help import HelpScreen
from console.screens.incident import IncidentScreen
from console.screens.incidents import IncidentsScreen
from console.screens.session import SessionScreen
from console.screens.sessions import SessionsScreen

SCREENS: list[type[Look]] = [
    BoardScreen, SessionsScreen, SessionScreen, BlastScreen, IncidentScreen, IncidentsScreen, HelpScreen,
]  # fmt: skip


@pytest.mark.parametrize("screen", SCREENS)
def test_every_key_of_a_screen_is_of_the_one_table_and_does_something(screen: type[Look]) -> None:
    for binding in screen.BINDINGS:
        assert isinstance(binding, Binding)
        key = keys.key_of(binding.action)
        assert key is not None
        assert binding.key == key.key
        assert callable(getattr(screen, f"action_{key.action}", None)), key
    for everywhere in ("help", "back", "leave", "palette", "pause"):
        assert any(isinstance(one, Binding) and one.action == everywhere for one in screen.BINDINGS)


def test_every_key_of_the_table_is_on_some_screen() -> None:
    used = {one.action for screen in SCREENS for one in screen.BINDINGS if isinstance(one, Binding)}
    assert used == {key.action for key in keys.KEYS}


def test_capital_letters_change_the_world_and_small_ones_only_look() -> None:
    for key in keys.KEYS:
        if key.key in {"K", "A"}:
            assert key.changes
    table = dict(keys.key_table())
    assert set(table) >= {keys.label(key) for key in keys.KEYS}
