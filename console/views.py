"""What the screens show of stops and incidents: plain and frozen, made by `console.actions`."""

from __future__ import annotations

from dataclasses import dataclass

from runbooks.switches.model import Kill
from store.control.control import Incident, Step


@dataclass(frozen=True, slots=True)
class GuardLine:
    """One process with a guard inside, as its heartbeat file says."""

    instance: str
    host: str
    pid: int
    agent: str
    alive: bool
    heartbeat_ns: int | None


@dataclass(frozen=True, slots=True)
class TimelineLine:
    at_ns: int
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    """`steps`: the newest mark of each step that was ever ticked. `timeline` is oldest first."""

    incident: Incident
    steps: tuple[Step, ...] = ()
    timeline: tuple[TimelineLine, ...] = ()

    def mark(self, number: int) -> Step | None:
        """The mark of a step that is done."""
        return next((step for step in self.steps if step.step == number and step.done), None)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a stop that was asked for. `incident` is None where it could not be written down."""

    kill: Kill
    written_ms: float
    incident: int | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    path: str
    sha256: str | None
    summary: str
