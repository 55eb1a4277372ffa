# ruff: noqa: ARG002 - fixed answers look at nothing
"""A fixed fleet at a fixed moment, for tests of the screens: answers of a reader, and actions that touch nothing."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from console.actions import Actions
from console.app import AndonApp
from console.context import Context
from console.questions import Answers
from console.views import GuardLine, IncidentView, Stopped, TimelineLine
from runbooks.effects.blast import Blast
from runbooks.switches.model import Answer, Kill, StopProgress
from store.control import Incident, Step
from store.folder import StoreFolder
from store.liveness import Heartbeat
from store.record.scope import Scope
from store.record.span import NANO_PER_USD, NS_PER_MS, NS_PER_S
from store.record.tools import ToolMap
from store.record.window import Window
from store.registry.model import Registry
from store.telemetry.views import (
    AgentRow,
    Board,
    CostLeader,
    Coverage,
    EffectRow,
    Figures,
    ScopeActivity,
    SessionFilter,
    SessionRow,
    SourceRow,
    SpanRow,
    ToolUse,
    Trace,
)

NOW_NS = 1_769_824_447 * NS_PER_S  # 2026-01-31T01:54:07Z
CENT = NANO_PER_USD // 100

REGISTRY = Registry.model_validate(
    {
        "agents": {
            "billing-bot": {
                "owner": "payments",
                "on_call": "@payments",
                "environment": "prod",
                "may_stop": "any on-call",
                "runbook": "runaway-loop",
                "tools": {
                    "send_email": {"tier": "high", "reversible": "no", "system": "email"},
                    "search_invoices": {"tier": "read"},
                },
            }
        },
        "systems": {
            "email": {"owner": "@payments", "check": "grep the message id in /var/log/smtp/out.log"},
            "crm": {"owner": "@sales-ops"},
        },
    }
)


def _figures(runs: int, ok: int, p50_ms: int, p99_ms: int, cents: int, errors: int = 0, running: int = 0) -> Figures:
    return Figures(
        runs=runs,
        ok=ok,
        failed=runs - ok,
        running=running,
        p50_ns=p50_ms * NS_PER_MS,
        p95_ns=(p50_ms + p99_ms) // 2 * NS_PER_MS,
        p99_ns=p99_ms * NS_PER_MS,
        errors=errors,
        cost_nano=cents * CENT,
        llm_calls=runs * 3,
        tool_calls=runs * 2,
        burn_nano_per_hour=cents * CENT,
    )


AGENTS = (
    AgentRow("search-api", _figures(890, 882, 900, 4_200, 170, 8, 3), NOW_NS),
    AgentRow("billing-bot", _figures(212, 172, 2_100, 72_000, 4_120, 41, 1), NOW_NS - NS_PER_S),
    AgentRow("triage", _figures(64, 61, 1_400, 38_000, 110, 3), NOW_NS - 3 * NS_PER_S),
    AgentRow("mailer", Figures(), NOW_NS - 240 * NS_PER_S),
    AgentRow("importer", Figures(), NOW_NS - 7_300 * NS_PER_S),
)
KILL = Kill("k-1", "agent:mailer", "halt", "sre2@bastion-1", NOW_NS - 240 * NS_PER_S, "wrong template")


def session(name: str, agent: str, status: str, cents: int, tool_calls: int, age_s: int) -> SessionRow:
    ended_ns = NOW_NS - age_s * NS_PER_S
    return SessionRow(
        session=name,
        agent=agent,
        format="andon",
        user_id="u-1093",
        tenant_id="acme",
        started_ns=ended_ns - 664 * NS_PER_S,
        ended_ns=ended_ns,
        status=status,
        runs=1,
        llm_calls=tool_calls + 1,
        tool_calls=tool_calls,
        errors=0 if status in {"ok", "running"} else 2,
        open_spans=1 if status == "running" else 0,
        tokens_input=61_000,
        tokens_cache_read=1_204_000,
        tokens_cache_write=88_000,
        tokens_output=9_300,
        tokens_reasoning=0,
        cost_nano=cents * CENT,
        cost_basis="computed",
        run_ns=664 * NS_PER_S,
    )


SESSIONS = (
    session("s-81f2", "billing-bot", "running", 1_820, 47, 1),
    session("s-77aa", "triage", "error", 402, 12, 30),
    session("s-60b1", "search-api", "ok", 12, 3, 90),
    session("s-5e0c", "search-api", "unknown", 9, 2, 400),
)
BOARD = Board(
    as_of_ns=NOW_NS,
    window=Window(NOW_NS - 3_600 * NS_PER_S, NOW_NS, "1 h"),
    fleet=dataclasses.replace(_figures(1_204, 1_133, 1_800, 41_000, 1_240, 52, 4), outside=24, unpriced=11),
    agents=AGENTS,
    leaders=(
        CostLeader(SESSIONS[0], 1_820 * CENT, "loop: search_invoices 41x in a row", "search_invoices"),
        CostLeader(SESSIONS[1], 402 * CENT, "context +9k tokens a step from step 7"),
    ),
    coverage=Coverage(newest_ns=NOW_NS - NS_PER_S, rejects=2, sources=4, collector_alive=True, lag_ns=400 * NS_PER_MS),
    today_nano=20_810 * CENT,
)


def span(
    number: int, depth: int, kind: str, name: str, start_s: float, took_s: float | None, **more: object
) -> SpanRow:
    begin_ns = NOW_NS - 664 * NS_PER_S
    started_ns = begin_ns + int(start_s * NS_PER_S)
    base = SpanRow(
        namespace="n",
        span_id=f"s{number}",
        parent_id=None if depth == 0 else "s0",
        run_id="r1",
        kind=kind,
        name=name,
        model="claude-sonnet-4-6" if kind == "llm" else None,
        tool=name if kind == "tool" else None,
        started_ns=started_ns,
        ended_ns=None if took_s is None else started_ns + int(took_s * NS_PER_S),
        status="running" if took_s is None else "ok",
        error_type=None,
        error_message=None,
        tokens_input=1_200 if kind == "llm" else None,
        tokens_cache_read=None,
        tokens_cache_write=None,
        tokens_output=340 if kind == "llm" else None,
        tokens_reasoning=None,
        cost_nano=2 * CENT if kind == "llm" else None,
        cost_basis="computed" if kind == "llm" else None,
        effect_system=None,
        effect_status=None,
        flags=None,
        depth=depth,
    )
    return dataclasses.replace(base, **more)  # type: ignore[arg-type]  # fields of SpanRow


SPANS = (
    span(0, 0, "run", "handle refund #8841", 0, None, children=6, cost_nano=1_820 * CENT),
    span(1, 1, "llm", "plan", 0, 1.2),
    span(2, 1, "tool", "search_invoices", 1.2, 0.3, children=1),
    span(3, 2, "side_effect", "read", 1.2, 0.3, effect_system="crm", effect_status="confirmed"),
    span(4, 1, "llm", "answer", 1.5, 1.9),
    span(5, 1, "tool", "send_email", 3.4, 0.4, status="unknown", effect_system="email", part_names=("input",)),
    span(6, 1, "tool", "get_page", 4, 598, status="error", error_type="Timeout", error_message="no answer in 598 s"),
    span(7, 1, "llm", "answer", 661, None),
)
TRACE = Trace(SESSIONS[0], SPANS, "loop: search_invoices, get_page, 41 rounds", "3f9c77aa", len(SPANS))


def effect(number: int, system: str, status: str, key: str | None, tool: str = "send_email") -> EffectRow:
    return EffectRow(
        at_ns=NOW_NS - (900 - number * 120) * NS_PER_S,
        agent="billing-bot",
        session="s-81f2",
        namespace="n",
        span_id=f"e{number}",
        tool=tool,
        system=system,
        operation="send" if system == "email" else "update",
        resource="<email:6f2a77aa0b1c>" if system == "email" else "refund 8841",
        status=status,
        reversible="no" if system == "email" else "yes",
        idempotency_key=key,
        external_id=f"id-{number}",
        basis="reported",
    )


EFFECTS = (
    effect(1, "email", "confirmed", "rf-8841-1"),
    effect(2, "email", "confirmed", "rf-8841-1"),
    effect(3, "email", "unknown", None),
    effect(4, "crm", "confirmed", "rf-8841-2", "update_crm"),
    effect(5, "crm", "confirmed", "rf-8841-3", "update_crm"),
)
TOOL_USES = (
    ToolUse("billing-bot", "search_invoices", 41, 0, 0),
    ToolUse("billing-bot", "export_csv", 1, 0, 0),
)
PARTS = {"input": "to: <email:6f2a77aa0b1c>\nsubject: Your refund\nbody: 1,204 characters"}


class FixedReader:
    """Answers as `store.telemetry.reader.Reader` does, always the same."""

    board_answer: Board = BOARD
    sessions_answer: tuple[SessionRow, ...] = SESSIONS
    trace_answer: Trace | None = TRACE
    parts_answer: dict[str, str] = PARTS
    effects_answer: tuple[EffectRow, ...] = EFFECTS
    uses_answer: tuple[ToolUse, ...] = TOOL_USES

    def latest_ns(self) -> int | None:
        return self.board_answer.coverage.newest_ns

    def board(self, window: Window, as_of_ns: int, today_from_ns: int) -> Board:
        return dataclasses.replace(self.board_answer, window=window)

    def sessions(self, wanted: SessionFilter, as_of_ns: int) -> tuple[SessionRow, ...]:
        return tuple(row for row in self.sessions_answer if wanted.agent in {None, row.agent})

    def trace(self, session: str, as_of_ns: int, limit: int = 20000) -> Trace | None:
        return self.trace_answer

    def parts(self, namespace: str, span_id: str) -> dict[str, str]:
        return self.parts_answer if span_id == "s5" else {}

    def effects(
        self, scope: Scope, as_of_ns: int, tool_map: ToolMap, window: Window | None = None
    ) -> tuple[EffectRow, ...]:
        return self.effects_answer

    def tool_uses(self, scope: Scope, as_of_ns: int, window: Window | None = None) -> tuple[ToolUse, ...]:
        return self.uses_answer

    def activity(self, scope: Scope, as_of_ns: int, tool_map: ToolMap) -> ScopeActivity:
        return ScopeActivity(3, 2, (EFFECTS[2],), tuple(row.agent for row in self.board_answer.agents), NOW_NS)

    def guard_actions(self, instance: str, after: int, scope: Scope | None = None) -> tuple[int, ...]:
        return ()

    def knows(self, scope: Scope) -> bool:
        return True

    def sources(self) -> tuple[SourceRow, ...]:
        return ()

    def agents(self) -> tuple[str, ...]:
        return tuple(row.agent for row in self.board_answer.agents)

    def is_current(self) -> bool:
        return True


INCIDENT = Incident(
    12, "agent:billing-bot", "billing-bot", None, "SEV1", "stop: loop", "runaway-loop", "sre@bastion-1",
    NOW_NS - 180 * NS_PER_S, None,
)  # fmt: skip
STEPS = (
    Step(1, "sre@bastion-1", NOW_NS - 170 * NS_PER_S, None, None),
    Step(2, "sre@bastion-1", NOW_NS - 60 * NS_PER_S, None, None),
)


def guard(instance: str, host: str, pid: int) -> GuardLine:
    return GuardLine(instance, host, pid, "billing-bot", alive=True, heartbeat_ns=NOW_NS - NS_PER_S)


class FixedActions(Actions):
    """Stops that are written nowhere and always come as far as one of three answers is missing."""

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(alive=True, seen_ns=NOW_NS, pid=4711)

    def standing(self) -> tuple[Kill, ...]:
        return (KILL,)

    def guards(self, scope: Scope, now_ns: int) -> tuple[GuardLine, ...]:
        return (guard("app-3-1", "app-3", 812), guard("app-3-2", "app-3", 813), guard("app-4-1", "app-4", 77))

    def stop(self, scope: str, verb: str, reason: str, agent: str | None) -> Stopped:
        return Stopped(Kill("k-2", scope, verb, "sre@bastion-1", NOW_NS, reason), 11.0, 12)

    def progress(self, reader: Answers, kill: Kill, now_ns: int, written_ms: float | None) -> StopProgress:
        states = (("app-3", 812, "holding", 1), ("app-3", 813, "holding", 1), ("app-4", 77, "silent", 9))
        answers = tuple(
            Answer(f"{host}-{pid}", host, pid, "billing-bot", state, NOW_NS, NOW_NS - age_s * NS_PER_S)
            for host, pid, state, age_s in states
        )
        return StopProgress(
            kill=kill,
            state="not_confirmed",
            written_ms=written_ms,
            acked_ms=400.0,
            verified_ms=None,
            answers=answers,
            in_flight=("send_email, step 96",),
            collector_alive=True,
            note="app-4-77 has missed three heartbeats: unknown",
        )

    def incidents(self) -> tuple[Incident, ...]:
        return (INCIDENT,)

    def incident(self, number: int) -> IncidentView | None:
        timeline = (TimelineLine(NOW_NS - 180 * NS_PER_S, "sre@bastion-1", "opened the incident"),)
        return IncidentView(INCIDENT, STEPS, timeline)

    def blast(self, reader: Answers, scope: Scope, as_of_ns: int) -> Blast:
        return super().blast(reader, scope, as_of_ns)


def context(folder: Path, **more: object) -> Context:
    base = Context(
        store=StoreFolder(folder), registry=REGISTRY, actor="sre@bastion-1", environment="prod", as_of_ns=None
    )
    return dataclasses.replace(base, **more)  # type: ignore[arg-type]  # fields of Context


def opener(reader: FixedReader) -> AbstractContextManager[Answers]:
    return nullcontext(reader)


def fixed_app(folder: Path, reader: FixedReader | None = None, **more: object) -> AndonApp:
    """The console on the fixed fleet; nothing in it reads a clock or a random number."""
    own = context(folder, **more)
    fixed = reader or FixedReader()
    return AndonApp(
        own,
        open_reader=lambda: opener(fixed),
        actions=FixedActions(own),
        clock=lambda: NOW_NS,
        make_code=lambda: "7KQ",
    )
