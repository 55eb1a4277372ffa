"""The lamp says off for a halt alone, whatever else stands."""

from __future__ import annotations

import pytest

from console.lamp import kill_of, lamp
from runbooks.switches.model import Kill
from store.telemetry.views import AgentRow, Figures

DENY = Kill("k-1", "agent:a", "deny_tools", "me", 1, "r")
HALT = Kill("k-2", "all", "halt", "me", 2, "r")


@pytest.mark.parametrize(("standing", "word"), [([DENY], "ok"), ([DENY, HALT], "stopped"), ([HALT, DENY], "stopped")])
def test_only_a_halt_is_off(standing: list[Kill], word: str) -> None:
    assert lamp(AgentRow("a", Figures(runs=1, ok=1), 10), standing, 10) == word
    found = kill_of("a", standing)
    assert found is not None
    assert found.verb == ("halt" if HALT in standing else "deny_tools")
