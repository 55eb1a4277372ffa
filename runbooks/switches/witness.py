"""How far a stop has come, with the logs as witness: one way for the console and the command line."""

from __future__ import annotations

from typing import Protocol

from runbooks.switches.model import Kill, StopProgress
from runbooks.switches.progress import progress
from store.folder import StoreFolder
from store.record.scope import Scope, ScopeError
from store.record.tools import ToolMap
from store.telemetry.views import ScopeActivity


class Witness(Protocol):
    """The part of the store's Reader that tells what agents did after a stop."""

    def guard_actions(self, instance: str, after: int, scope: Scope | None = None) -> tuple[int, ...]: ...

    def activity(self, scope: Scope, as_of_ns: int, tool_map: ToolMap) -> ScopeActivity: ...


def look(
    folder: StoreFolder, kill: Kill, now_ns: int, witness: Witness | None, *, written_ms: float | None = None
) -> StopProgress:
    """The state of a kill at the wall clock `now_ns`. Without a witness nothing is verified, and the note says so."""
    if witness is None:
        return progress(folder, kill, now_ns, None, written_ms=written_ms)
    scope = _scope(kill)

    def of_the_scope(instance: str, after: int, _: Kill) -> tuple[int, ...]:
        return witness.guard_actions(instance, after, scope)

    return progress(
        folder,
        kill,
        now_ns,
        witness.guard_actions,
        last_activity_ns=witness.activity(scope, now_ns, ToolMap()).last_seen_ns or 0,
        written_ms=written_ms,
        narrow_actions=of_the_scope,
    )


def _scope(kill: Kill) -> Scope:
    """The scope as the store knows it; one that somebody wrote by hand and nobody can read is everything."""
    try:
        return Scope.parse(kill.shown or kill.scope)
    except ScopeError:
        return Scope()
