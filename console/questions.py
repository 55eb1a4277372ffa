"""What a screen asks: frozen questions that a thread of its own answers, each with one frozen answer.

A question is asked again about once a second while its screen is looked at. Nothing here imports Textual.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn, Protocol
from zoneinfo import ZoneInfo

from console.context import Context
from console.views import GuardLine, IncidentView
from runbooks.effects.blast import Blast, EffectReader
from runbooks.switches.model import Kill, StopProgress
from store.control.control import Incident
from store.folder import StoreError
from store.liveness import Heartbeat
from store.record.scope import Scope
from store.record.span import NS_PER_S
from store.record.tools import ToolMap
from store.record.window import Window, parse_window
from store.telemetry.views import (
    Board,
    ScopeActivity,
    SessionFilter,
    SessionRow,
    SourceRow,
    Trace,
)

if TYPE_CHECKING:
    from console.actions import Actions


class Answers(EffectReader, Protocol):
    """What the screens need of `store.telemetry.reader.Reader`; one for one thread."""

    def latest_ns(self) -> int | None: ...
    def board(self, window: Window, as_of_ns: int, today_from_ns: int) -> Board: ...
    def sessions(self, session_filter: SessionFilter, as_of_ns: int) -> tuple[SessionRow, ...]: ...
    def trace(self, session: str, as_of_ns: int, limit: int = 20000) -> Trace | None: ...
    def activity(self, scope: Scope, as_of_ns: int, tool_map: ToolMap) -> ScopeActivity: ...
    def guard_actions(self, instance: str, after: int, scope: Scope | None = None) -> tuple[int, ...]: ...
    def knows(self, scope: Scope) -> bool: ...
    def sources(self) -> tuple[SourceRow, ...]: ...
    def agents(self) -> tuple[str, ...]: ...
    def is_current(self) -> bool: ...


class Missing:
    """In place of a reader where the store cannot be opened: all but stops and switches is unknown."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def is_current(self) -> bool:
        return True

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreError(self.problem)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question is answered with: `as_of_ns` is the moment looked at, `now_ns` the wall clock."""

    reader: Answers  # or Missing
    actions: Actions
    context: Context
    as_of_ns: int
    now_ns: int


class Question(Protocol):
    def ask(self, asked: Asked) -> object: ...


@dataclass(frozen=True, slots=True)
class Pulse:
    """What every screen's first line says. Switches are always those of now."""

    newest_ns: int | None
    collector: Heartbeat
    standing: tuple[Kill, ...]
    problem: str | None = None  # of the store
    unsafe: str | None = None  # of the switch folder: guards block as unverified


@dataclass(frozen=True, slots=True)
class AskPulse:
    def ask(self, asked: Asked) -> Pulse:
        heartbeat = asked.actions.heartbeat()
        try:
            newest_ns, problem = asked.reader.latest_ns(), None
        except StoreError as error:
            newest_ns, problem = None, str(error)
        try:
            standing, unsafe = asked.actions.standing(), None
        except StoreError as error:
            standing, unsafe = (), str(error)
        return Pulse(newest_ns, heartbeat, standing, problem, unsafe)


@dataclass(frozen=True, slots=True)
class AskBoard:
    window: str

    def ask(self, asked: Asked) -> Board:
        window = parse_window(self.window, asked.as_of_ns)
        return asked.reader.board(window, asked.as_of_ns, day_start_ns(asked.as_of_ns, asked.context.tz))


@dataclass(frozen=True, slots=True)
class AskSessions:
    wanted: SessionFilter

    def ask(self, asked: Asked) -> tuple[SessionRow, ...]:
        return asked.reader.sessions(asked.actions.stored_filter(self.wanted), asked.as_of_ns)


@dataclass(frozen=True, slots=True)
class AskTrace:
    session: str

    def ask(self, asked: Asked) -> Trace | None:
        return asked.reader.trace(self.session, asked.as_of_ns)


@dataclass(frozen=True, slots=True)
class AskParts:
    namespace: str
    span_id: str

    def ask(self, asked: Asked) -> dict[str, str]:
        return asked.reader.parts(self.namespace, self.span_id)


@dataclass(frozen=True, slots=True)
class AskBlast:
    scope: Scope

    def ask(self, asked: Asked) -> Blast:
        return asked.actions.blast(asked.reader, self.scope, asked.as_of_ns)


@dataclass(frozen=True, slots=True)
class StopFacts:
    """What a stop of one scope would hit."""

    scope: Scope
    activity: ScopeActivity
    guards: tuple[GuardLine, ...]
    collector: Heartbeat
    agents: tuple[str, ...]  # every name known, for the look-alike warning
    problem: str | None = None  # why what it hits is not known


@dataclass(frozen=True, slots=True)
class AskStopFacts:
    scope: Scope

    def ask(self, asked: Asked) -> StopFacts:
        known = set(asked.context.registry.agents)
        problem = None
        try:
            activity = asked.reader.activity(self.scope, asked.now_ns, asked.context.registry.tool_map())
            known |= {*activity.agents, *asked.reader.agents()}
        except StoreError as error:  # a stop does not need the store
            activity, problem = ScopeActivity(), str(error)
        guards = asked.actions.guards(self.scope, asked.now_ns)
        heartbeat = asked.actions.heartbeat()
        return StopFacts(self.scope, activity, guards, heartbeat, tuple(sorted(known)), problem)


@dataclass(frozen=True, slots=True)
class AskProgress:
    kill: Kill
    written_ms: float | None

    def ask(self, asked: Asked) -> StopProgress:
        return asked.actions.progress(asked.reader, self.kill, asked.now_ns, self.written_ms)


@dataclass(frozen=True, slots=True)
class AskIncidents:
    def ask(self, asked: Asked) -> tuple[Incident, ...]:
        return asked.actions.incidents()


@dataclass(frozen=True, slots=True)
class AskIncident:
    incident: int

    def ask(self, asked: Asked) -> IncidentView | None:
        return asked.actions.incident(self.incident)


def day_start_ns(now_ns: int, zone: str) -> int:
    """Midnight of the day of `now_ns` in that zone."""
    tz = UTC if zone == "UTC" else ZoneInfo(zone)
    midnight = datetime.fromtimestamp(now_ns // NS_PER_S, tz).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(midnight.timestamp()) * NS_PER_S
