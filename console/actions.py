"""Everything the console does or asks outside the telemetry store, in one place: stops, incidents, bundles.

Nothing here draws. Methods that read are called from the reading thread, those that change from a thread each;
each opens what it needs and closes it again, so that no console keeps another out. They raise StoreError.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from console.context import Context
from console.questions import Answers, Missing
from console.views import Exported, GuardLine, IncidentView, Stopped, TimelineLine
from runbooks.effects.blast import Blast, blast
from runbooks.incidents.bundle import export_bundle
from runbooks.playbooks.load import Playbook, PlaybookError, load_playbooks
from runbooks.switches import publish
from runbooks.switches.guards import guards
from runbooks.switches.model import Kill, StopProgress
from runbooks.switches.progress import expected_guards
from runbooks.switches.witness import look
from store.control import Actor, Control
from store.control.control import Incident, Note, Step, SwitchRow
from store.folder import StoreError
from store.liveness import Heartbeat, collector_heartbeat
from store.record.scope import Scope
from store.record.tools import ToolMap
from store.telemetry.views import SessionFilter

if TYPE_CHECKING:
    from collectors.enrich import Enricher

DEFAULT_RUNBOOK = "runaway-loop"
_TYPED = ("agent", "user", "tenant", "tool", "text")


class Actions:
    """What the keys do. Tests give the app one with fixed answers; the real one works on the store folder."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._playbooks: dict[str, Playbook] | None = None
        self._redacts: Enricher | None = None

    def heartbeat(self) -> Heartbeat:
        """Whether anybody collects, now."""
        return collector_heartbeat(self.context.store)

    # switches

    def standing(self) -> tuple[Kill, ...]:
        """Every stop in force, oldest first. StoreError where guards would block as unverified."""
        return tuple(publish.standing(self.context.store))

    def guards(self, scope: Scope, now_ns: int) -> tuple[GuardLine, ...]:
        """The guarded processes that would have to answer a stop of `scope`."""
        probe = Kill("", str(scope), "halt", "", now_ns, "")
        return tuple(
            GuardLine(one.instance, one.host, one.pid, one.agent or "?", one.life == "alive", one.heartbeat_ns or None)
            for one in expected_guards(guards(self.context.store, now_ns), probe)
        )

    def stop(self, scope: str, verb: str, reason: str, agent: str | None) -> Stopped:
        """Write the stop, then open an incident. The stop never waits for the incident, nor fails with it."""
        kill, written_ms = publish.stop(
            self.context.store, Scope.parse(scope), verb=verb, actor=Actor.current(), reason=reason
        )
        try:
            incident = self.open_incident(scope, agent, f"stop: {reason}")
        except StoreError as error:
            return Stopped(kill, written_ms, None, f"the stop is written; its incident is not: {error}")
        return Stopped(kill, written_ms, incident)

    def rearm(self, kill: Kill, reason: str) -> None:
        publish.rearm(self.context.store, kill.kill_id, Actor.current(), reason)

    def progress(self, reader: Answers, kill: Kill, now_ns: int, written_ms: float | None) -> StopProgress:
        """How far the stop is proven by now; without a readable store it is never more than acked."""
        witness = None if isinstance(reader, Missing) else reader
        return look(self.context.store, kill, now_ns, witness, written_ms=written_ms)

    # runbooks and incidents

    def playbooks(self) -> dict[str, Playbook]:
        if self._playbooks is None:
            self._playbooks = load_playbooks()
        return self._playbooks

    def runbook_of(self, agent: str | None) -> Playbook | None:
        """The agent's own runbook, else the one for runaway loops; None where the registry names none that is."""
        entry = self.context.registry.agents.get(agent) if agent is not None else None
        return self.playbooks().get((entry.runbook if entry else None) or DEFAULT_RUNBOOK)

    def incidents(self) -> tuple[Incident, ...]:
        """Newest first; none where nobody ever opened one."""
        if not self._has_control():
            return ()
        with Control(self.context.store, read_only=True) as control:
            return control.incidents()

    def incident(self, number: int) -> IncidentView | None:
        if not self._has_control():
            return None
        with Control(self.context.store, read_only=True) as control:
            incident = control.incident(number)
            if incident is None:
                return None
            steps, notes, switches = control.steps(number), control.notes(number), control.switch_history()
        timeline = _timeline(incident, tuple(steps.values()), notes, switches)
        return IncidentView(incident, tuple(steps.values()), timeline)

    def find_open_incident(self, scopes: list[str], agent: str | None) -> Incident | None:
        """The newest open incident of one of these scopes, or of the agent."""
        for incident in self.incidents():
            if incident.closed_ns is None and (
                (incident.scope in scopes and incident.scope != "all")
                or (agent is not None and incident.agent == agent)
            ):
                return incident
        return None

    def open_incident(self, scope: str, agent: str | None, title: str) -> int:
        """The number of the open incident of this scope or agent; a new one where there is none."""
        known = self.find_open_incident([scope], agent)
        if known is not None:
            return known.id
        try:
            book = self.runbook_of(agent)
        except PlaybookError:
            book = None  # an incident without a runbook is better than none
        with Control(self.context.store) as control:
            incident = control.open_incident(
                Actor.current(),
                scope=scope,
                severity=book.severity if book is not None else "SEV2",
                title=title,
                agent=agent,
                session=Scope.parse(scope).get("session"),
                runbook=book.name if book is not None else None,
            )
        return incident.id

    def tick(self, incident: int, step: int, done: bool) -> None:
        with Control(self.context.store) as control:
            if done:
                control.tick(incident, step, Actor.current())
            else:
                control.untick(incident, step, Actor.current())

    def note(self, incident: int, text: str) -> None:
        with Control(self.context.store) as control:
            control.note(incident, text, Actor.current())

    # what it touched, what is kept

    def blast(self, reader: Answers, scope: Scope, as_of_ns: int) -> Blast:
        return blast(reader, scope, self.context.registry, as_of_ns)

    def export(self, scope: str, path: Path, as_of_ns: int) -> Exported:
        """Write the bundle of `scope` or `incident:ID`, as known at that moment, into a new file."""
        made = export_bundle(
            self.context.store,
            scope,
            path,
            registry=self.context.registry,
            as_of_ns=as_of_ns,
            actor=Actor.current(),
            redact=self.redact,
        )
        summary = (
            f"{made.spans:,} spans, {made.sessions:,} sessions, {made.effects:,} effects, {made.size_bytes:,} bytes"
        )
        return Exported(str(made.path), made.sha256, " · ".join((summary, *made.warnings)))

    def redact(self, text: str) -> str:
        """What an operator typed, as a bundle may carry it; as it is where nothing was ever collected here."""
        enricher = self._enricher()
        return text if enricher is None else enricher.text(text)

    def stored_filter(self, wanted: SessionFilter) -> SessionFilter:
        """A filter whose values were typed raw, as the store has them."""
        typed = {name: value for name in _TYPED if (value := getattr(wanted, name)) is not None}
        enricher = self._enricher() if typed or wanted.session is not None else None
        if enricher is None:
            return wanted
        stored = {name: enricher.token_of(value) for name, value in typed.items()}
        session = None if wanted.session is None else enricher.id_of(wanted.session)
        return dataclasses.replace(wanted, session=session, **stored)  # type: ignore[arg-type]  # all text

    def _enricher(self) -> Enricher | None:
        """Made once; None while nothing was ever collected here."""
        if self._redacts is None and self.context.store.redact_key.exists():
            from collectors.enrich import Enricher

            self._redacts = Enricher(self.context.store, ToolMap(), self.context.rules)
        return self._redacts

    def _has_control(self) -> bool:
        try:
            return self.context.store.control.stat().st_size > 0
        except OSError:
            return False


def _timeline(
    incident: Incident, steps: tuple[Step, ...], notes: tuple[Note, ...], switches: tuple[SwitchRow, ...]
) -> tuple[TimelineLine, ...]:
    lines = [TimelineLine(incident.opened_ns, incident.opened_by, "opened the incident")]
    lines += [TimelineLine(note.at_ns, note.by, f"note: {note.text}") for note in notes]
    for step in steps:
        lines.append(TimelineLine(step.done_ns, step.done_by, f"step {step.step} done"))
        if step.undone_ns is not None:
            lines.append(TimelineLine(step.undone_ns, step.undone_by or "?", f"step {step.step} taken back"))
    for row in switches:
        if not _concerns(row, incident):
            continue
        lines.append(TimelineLine(row.at_ns, row.by, f"stop {row.scope} ({row.verb}): {row.reason}"))
        if row.rearmed_ns is not None:
            lines.append(TimelineLine(row.rearmed_ns, row.rearmed_by or "?", f"re-armed: {row.rearmed_reason or ''}"))
    return tuple(sorted(lines, key=lambda line: line.at_ns))


def _concerns(row: SwitchRow, incident: Incident) -> bool:
    """A stop that was in force while the incident was open, of its scope, of its agent or of everything."""
    if row.rearmed_ns is not None and row.rearmed_ns < incident.opened_ns:
        return False
    if incident.closed_ns is not None and row.at_ns > incident.closed_ns:
        return False
    scopes = {incident.scope, "all", *([str(Scope.of(agent=incident.agent))] if incident.agent else [])}
    return row.scope in scopes
