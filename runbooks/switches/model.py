"""The words of stopping: a kill, who answered it, and how far it is proven (CASES K2)."""

from __future__ import annotations

from dataclasses import dataclass

STATES = ("requested", "written", "acked", "verified", "quiet", "not_confirmed", "leak", "rearmed")
VERBS = ("halt", "deny_tools")


@dataclass(frozen=True, slots=True)
class Kill:
    """One standing stop, as switches.json has it. `by` is who asked, `at_ns` when."""

    kill_id: str
    scope: str  # canonical text
    verb: str
    by: str
    at_ns: int
    reason: str
    shown: str | None = None  # the scope as it may be stored, where a personal value in it was tokenised


@dataclass(frozen=True, slots=True)
class Answer:
    """What one guard instance says to one kill. `state`: holding, running, gone, silent."""

    instance: str  # host-pid-start
    host: str
    pid: int
    agent: str
    state: str
    seen_ns: int | None = None  # when it saw the kill
    heartbeat_ns: int | None = None
    in_flight: tuple[str, ...] = ()
    last_action: int | None = None
    owner_uid: int | None = None  # whose file the answer is: in a shared folder an answer is a claim
    note: str | None = None  # what stands against it, in words


@dataclass(frozen=True, slots=True)
class StopProgress:
    """How far a kill has come. `state` is one of STATES; the word stopped belongs to `verified` alone."""

    kill: Kill
    state: str
    written_ms: float | None
    acked_ms: float | None
    verified_ms: float | None
    answers: tuple[Answer, ...] = ()
    in_flight: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    collector_alive: bool = False
    note: str | None = None  # what this state rests on or lacks, in words: "no collector: no more than acked"

    @property
    def acked(self) -> int:
        return sum(answer.state in {"holding", "gone"} for answer in self.answers)
