"""The lamp of an agent: one word for how it is, the same on the board and in `andon status`."""

from __future__ import annotations

from collections.abc import Iterable

from runbooks.switches.model import Kill
from store.record.scope import Scope, ScopeError
from store.record.span import NS_PER_S
from store.telemetry.views import AgentRow

GLYPHS = {"bad": "✖", "warn": "!", "stopped": "■", "stale": "?", "unknown": "?", "ok": "✔"}
WORDS = {"bad": "bad", "warn": "warn", "stopped": "off", "stale": "stale", "unknown": "none", "ok": "ok"}
TONES = {"bad": "bad", "warn": "warn", "stopped": "warn", "stale": "", "unknown": "", "ok": ""}
BY_TROUBLE = tuple(GLYPHS)

BAD_BELOW, WARN_BELOW = 0.90, 0.97  # success rate
STALE_AFTER_NS = 900 * NS_PER_S


def kill_of(agent: str, standing: Iterable[Kill]) -> Kill | None:
    """The stop that holds all of this agent, its own or the one of everything; a halt before a mere deny."""
    for kill in sorted(standing, key=lambda kill: kill.verb != "halt"):
        try:
            scope = Scope.parse(kill.scope)
        except ScopeError:
            continue
        if all(kind == "agent" and value == agent for kind, value in scope.parts):
            return kill
    return None


def lamp(row: AgentRow, standing: Iterable[Kill], as_of_ns: int) -> str:
    """`stopped`, `unknown` (nothing ended, nothing runs), `stale` (nothing for 15 m), `bad`, `warn` or `ok`."""
    kill = kill_of(row.agent, standing)
    if kill is not None and kill.verb == "halt":
        return "stopped"
    figures = row.figures
    rate = figures.success_rate
    if rate is not None and rate < BAD_BELOW:
        return "bad"
    if rate is not None and rate < WARN_BELOW:
        return "warn"
    if row.last_seen_ns is not None and as_of_ns - row.last_seen_ns > STALE_AFTER_NS:
        return "stale"
    return "ok" if rate is not None or figures.running else "unknown"
