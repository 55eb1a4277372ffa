"""How far a stop has come, and what that rests on (CASES K2 to K5, K18). Looked at anew each time, nothing kept.

Who must answer: a guard says its agent, and no more of what it may be asked to do next. So a scope with an agent
expects every guard of that agent; any other scope (all, a session, a user, a tenant, a tool) expects every guard
there is, because the next call of that session may come to any of them, and each must hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runbooks.switches.folder import SwitchError, SwitchFolder
from runbooks.switches.guards import BEAT_NS, SILENT_AFTER_NS, Ack, GuardFile, guards
from runbooks.switches.model import Answer, Kill, StopProgress
from runbooks.switches.publish import standing
from store.folder import StoreFolder
from store.liveness import Heartbeat, collector_heartbeat
from store.record.scope import Scope, ScopeError

CONFIRM_WITHIN_NS = 5_000_000_000  # K13
PROVEN_AFTER_NS = 2 * BEAT_NS  # K4

GuardActions = Callable[[str, int], tuple[int, ...]]
NarrowActions = Callable[[str, int, Kill], tuple[int, ...]]


def progress(
    folder: StoreFolder,
    kill: Kill,
    now_ns: int,
    guard_actions: GuardActions | None,
    *,
    last_activity_ns: int | None = None,
    written_ms: float | None = None,
    narrow_actions: NarrowActions | None = None,
    switches: SwitchFolder | None = None,
) -> StopProgress:
    """State of one kill at the wall clock `now_ns`. Raises nothing for a folder it cannot read: it says so.

    `guard_actions(instance, after)` gives the numbers of guard actions that the instance logged after number
    `after` (`Reader.guard_actions`); None where no store can be read, and then nothing is verified. It is asked
    for kills that stop the whole instance (`whole_instance`). For narrower ones, whose instance rightly goes
    on with other work, `narrow_actions` gives those of the kill's own scope; without it, and for `deny_tools`
    (under which model calls rightly go on), the guards' word stands.
    `last_activity_ns` is the newest event of the scope in the logs (0: none ever; None: not known).
    """
    where = SwitchFolder.of(folder, switches)
    collector = collector_heartbeat(folder)
    base = _Base(kill, written_ms, collector)
    try:
        stands = any(own.kill_id == kill.kill_id for own in standing(folder, switches=where))
    except SwitchError as error:
        return base.result("not_confirmed", note=str(error))
    if not stands:
        return base.result("rearmed", note="it no longer stands in the switch folder")
    expected = expected_guards(guards(folder, now_ns, switches=where), kill)
    answers = tuple(_answer(guard, kill) for guard in expected)
    base.answers = answers
    if leaks := _leaks(answers, kill, guard_actions, narrow_actions):
        return base.result("leak", leaks=leaks, note="begun after the guard had said that it holds")
    if not answers:
        return _without_guards(base, now_ns, last_activity_ns)
    if not all(answer.state in {"holding", "gone"} for answer in answers):
        waiting = "; ".join(f"{answer.instance} {answer.note or answer.state}" for answer in answers if answer.note)
        return base.result("written" if _in_time(kill, now_ns) else "not_confirmed", note=waiting or None)
    sought = whole_instance(kill) or (kill.verb == "halt" and narrow_actions is not None)
    return _acked(base, expected, guard_actions is not None, sought)


def whole_instance(kill: Kill) -> bool:
    """True where a guard that holds this kill lets nothing through at all."""
    return kill.verb == "halt" and all(kind == "agent" for kind, _ in _scope(kill).parts)


def expected_guards(found: Sequence[GuardFile], kill: Kill) -> tuple[GuardFile, ...]:
    """The guards that must answer: all that could be hit and were there when the kill was written, or came later.

    One that had ended, or whose process was gone, before the kill is history. One that is merely silent is
    not: it may be running where we cannot look.
    """
    agent = _scope(kill).get("agent")
    return tuple(
        guard
        for guard in found
        if (agent is None or guard.agent in {None, agent})
        and (
            guard.life in {"alive", "silent"}
            or kill.kill_id in guard.acks
            or guard.heartbeat_ns >= kill.at_ns - SILENT_AFTER_NS
        )
    )


@dataclass(slots=True)
class _Base:
    kill: Kill
    written_ms: float | None
    collector: Heartbeat
    answers: tuple[Answer, ...] = ()

    def result(
        self,
        state: str,
        *,
        acked_ms: float | None = None,
        verified_ms: float | None = None,
        leaks: tuple[str, ...] = (),
        note: str | None = None,
    ) -> StopProgress:
        flying = tuple(f"{action} ({answer.instance})" for answer in self.answers for action in answer.in_flight)
        return StopProgress(
            self.kill,
            state,
            self.written_ms,
            acked_ms,
            verified_ms,
            self.answers,
            flying,
            leaks,
            self.collector.alive,
            note,
        )


def _acked(base: _Base, expected: tuple[GuardFile, ...], logs_read: bool, leaks_sought: bool) -> StopProgress:
    """All hold or are gone: proven only after two heartbeats, with a collector that would have seen a leak."""
    kill = base.kill
    held = [guard.acks[kill.kill_id] for guard in expected if guard.life == "alive"]
    acked_ns = _since(kill, [guard for guard in expected if kill.kill_id in guard.acks])
    acked_ms = None if acked_ns is None else acked_ns / 1e6
    if not base.collector.alive:
        return base.result("acked", acked_ms=acked_ms, note="no collector: no more than acked")
    if not logs_read:
        return base.result("acked", acked_ms=acked_ms, note="the store cannot be read: no more than acked")
    if any(ack.held_ms * 1_000_000 < PROVEN_AFTER_NS for ack in held):
        return base.result("acked", acked_ms=acked_ms, note="waiting for two heartbeats without a later action")
    verified_ms = None if acked_ms is None else acked_ms + (PROVEN_AFTER_NS / 1e6 if held else 0.0)
    note = None if leaks_sought else "the guards say that they hold it; other work of theirs goes on"
    return base.result("verified", acked_ms=acked_ms, verified_ms=verified_ms, note=note)


def _since(kill: Kill, answered: list[GuardFile]) -> int | None:
    """ns from the kill to the last answer of those that ran at the kill; a later restart does not move it."""
    there = [guard for guard in answered if guard.started_ns is None or guard.started_ns <= kill.at_ns]
    seen = [guard.acks[kill.kill_id].seen_ns for guard in there or answered]
    return max(0, max(seen) - kill.at_ns) if seen else None


def _without_guards(base: _Base, now_ns: int, last_activity_ns: int | None) -> StopProgress:
    """Nobody to answer: silence is the most that can be seen, and it is no proof."""
    kill = base.kill
    if _in_time(kill, now_ns):
        return base.result("written", note="no guard known: nobody will answer")
    if last_activity_ns is None or not base.collector.alive:
        lacks = "no collector" if not base.collector.alive else "its activity is not known"
        return base.result("not_confirmed", note=f"no guard answers, and {lacks}")
    if last_activity_ns <= kill.at_ns:
        return base.result("quiet", note="no guard answers; no activity seen since: quiet is no proof")
    return base.result("not_confirmed", note="no guard answers, and there was activity after the stop")


def _leaks(
    answers: tuple[Answer, ...], kill: Kill, whole: GuardActions | None, narrow: NarrowActions | None
) -> tuple[str, ...]:
    found = []
    for answer in answers:
        if answer.seen_ns is None or answer.last_action is None:
            continue
        if whole_instance(kill):
            numbers = whole(answer.instance, answer.last_action) if whole else ()
        else:
            numbers = narrow(answer.instance, answer.last_action, kill) if narrow and kill.verb == "halt" else ()
        found += [f"{answer.instance} #{number}" for number in numbers]
    return tuple(found)


def _answer(guard: GuardFile, kill: Kill) -> Answer:
    ack = guard.acks.get(kill.kill_id)
    state, note = _state(guard, ack)
    return Answer(
        instance=guard.instance,
        host=guard.host,
        pid=guard.pid,
        agent=guard.agent or "unknown",
        state=state,
        seen_ns=ack.seen_ns if ack else None,
        heartbeat_ns=guard.heartbeat_ns or None,
        in_flight=ack.in_flight if ack and guard.life in {"alive", "silent"} else (),
        last_action=ack.last_action if ack else None,
        owner_uid=guard.owner_uid,
        note=note,
    )


def _state(guard: GuardFile, ack: Ack | None) -> tuple[str, str | None]:
    if guard.life in {"gone", "ended"}:
        return "gone", None
    if guard.life == "silent":
        return "silent", "has missed three heartbeats: unknown"
    if ack is None:
        return "running", f"has not answered; {guard.blocked}" if guard.blocked else "has not answered"
    if not ack.holding:
        return "running", "cannot hold it: its checks are not told who the call is for; stop the agent"
    return "holding", "fails open" if guard.fail_open else None


def _in_time(kill: Kill, now_ns: int) -> bool:
    """A clock that was set back gives no time to wait: what is not confirmed then says so."""
    return 0 <= now_ns - kill.at_ns <= CONFIRM_WITHIN_NS


def _scope(kill: Kill) -> Scope:
    try:
        return Scope.parse(kill.scope)
    except ScopeError:  # written by hand; it then expects every guard
        return Scope()
