"""What the readers of the store answer with: frozen, complete, safe to hand from a thread to a screen.

Text in them comes from logs: it is untrusted and goes through the console's sanitiser before it is shown.
Times are ns UTC, durations ns, money nano-dollars; None is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from store.record.window import Window


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of runs comes to in a window. A run belongs to the window in which it ended."""

    runs: int = 0
    ok: int = 0
    failed: int = 0  # error + aborted + capped + refused
    outside: int = 0  # cancelled + unknown: counted, not in the success rate
    running: int = 0  # started and not ended at `as_of`
    p50_ns: int | None = None
    p95_ns: int | None = None
    p99_ns: int | None = None
    errors: int = 0  # spans that ended in error in the window
    cost_nano: int | None = None  # of spans that ended in the window; None where nothing was priced
    unpriced: int = 0  # llm spans with tokens and no price
    llm_calls: int = 0
    tool_calls: int = 0
    burn_nano_per_hour: int | None = None

    @property
    def success_rate(self) -> float | None:
        return self.ok / (self.ok + self.failed) if self.ok + self.failed else None

    @property
    def coverage(self) -> float | None:
        """The part of the runs that ended in the window whose outcome is known."""
        return (self.ok + self.failed) / self.runs if self.runs else None


@dataclass(frozen=True, slots=True)
class AgentRow:
    agent: str
    figures: Figures
    last_seen_ns: int | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    session: str
    agent: str | None
    format: str | None
    user_id: str | None
    tenant_id: str | None
    started_ns: int | None
    ended_ns: int | None  # the newest thing known of it
    status: str  # of its newest run
    runs: int
    llm_calls: int
    tool_calls: int
    errors: int
    open_spans: int
    tokens_input: int
    tokens_cache_read: int
    tokens_cache_write: int
    tokens_output: int
    tokens_reasoning: int
    cost_nano: int | None
    cost_basis: str | None
    human_wait_ns: int = 0

    @property
    def duration_ns(self) -> int | None:
        """Summed over its runs, without time spent waiting for a human between them."""
        return self.run_ns

    run_ns: int | None = None


@dataclass(frozen=True, slots=True)
class CostLeader:
    session: SessionRow
    cost_nano: int
    why: str  # in words, from the spans: `loop: search_invoices 41x in a row`
    why_tool: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the figures rest on."""

    newest_ns: int | None = None  # the newest event not more than 5 minutes ahead of its ingest
    future: int = 0  # events further ahead than that
    rejects: int = 0
    gaps: int = 0
    gap_bytes: int = 0
    sources: int = 0
    collector_alive: bool = False
    collector_seen_ns: int | None = None  # wall clock of its last heartbeat
    lag_ns: int | None = None  # ingest clock minus event clock of the newest record, where it is live


@dataclass(frozen=True, slots=True)
class Board:
    as_of_ns: int
    window: Window
    fleet: Figures
    agents: tuple[AgentRow, ...]
    leaders: tuple[CostLeader, ...]
    coverage: Coverage
    today_nano: int | None = None


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span of a session, in the order it is shown; `depth` and `children` come from the tree."""

    namespace: str
    span_id: str
    parent_id: str | None
    run_id: str | None
    kind: str
    name: str | None
    model: str | None
    tool: str | None
    started_ns: int | None
    ended_ns: int | None
    status: str  # running where it has not ended and is fresh, unknown where its end never came
    error_type: str | None
    error_message: str | None
    tokens_input: int | None
    tokens_cache_read: int | None
    tokens_cache_write: int | None
    tokens_output: int | None
    tokens_reasoning: int | None
    cost_nano: int | None
    cost_basis: str | None
    effect_system: str | None
    effect_status: str | None
    flags: str | None
    depth: int = 0
    children: int = 0
    part_names: tuple[str, ...] = ()

    @property
    def duration_ns(self) -> int | None:
        if self.started_ns is None or self.ended_ns is None:
            return None
        return max(0, self.ended_ns - self.started_ns)


@dataclass(frozen=True, slots=True)
class Trace:
    """A session's spans as a tree in depth-first order. A cycle or a missing parent makes a span a root."""

    session: SessionRow
    spans: tuple[SpanRow, ...]
    why: str | None = None
    prompt_hash: str | None = None
    total_spans: int = 0  # more than len(spans) where the read was limited


@dataclass(frozen=True, slots=True)
class EffectRow:
    at_ns: int | None
    agent: str | None
    session: str | None
    namespace: str
    span_id: str
    tool: str | None
    system: str
    operation: str | None
    resource: str | None
    status: str
    reversible: str
    idempotency_key: str | None
    external_id: str | None
    basis: str | None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Calls of one tool by one agent inside a scope. `did`: what arguments or name tell: read, write, unknown."""

    agent: str | None
    tool: str
    calls: int
    errors: int
    open_spans: int
    did: str = "unknown"


@dataclass(frozen=True, slots=True)
class ScopeActivity:
    """What a stop of a scope would hit."""

    running_runs: int = 0
    sessions: int = 0
    open_writes: tuple[EffectRow, ...] = ()
    agents: tuple[str, ...] = ()
    last_seen_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FindingFlow:
    """What was found of one class that came in one way: how often, how it was handled, and where it ended up."""

    class_: str  # email, card, api_key, prompt_injection, ...
    entered_by: str | None  # user, tool or retrieval; None: it was seen to leave, and not to enter
    handled: str  # replaced, flagged
    values: int  # different ones; 0 where nothing was replaced
    count: int  # how often they stood there
    spans: int
    sessions: int
    first_ns: int
    last_ns: int
    ended_up: tuple[tuple[str, int], ...] = ()  # (system, provider, `tool` or `output`; how many of the values)


@dataclass(frozen=True, slots=True)
class SourceRow:
    path: str
    format: str | None
    state: str
    message: str | None
    offset: int
    size_bytes: int
    lines: int
    rejected: int
    seen_ns: int


@dataclass(frozen=True, slots=True)
class RejectRow:
    path: str
    offset: int
    length: int
    reason: str
    sample: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """None is any. Text values are compared literally; `text` is looked for in names, ids and error text."""

    agent: str | None = None
    user: str | None = None
    tenant: str | None = None
    session: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    status: str | None = None
    tool: str | None = None
    error_type: str | None = None
    text: str | None = None
    order: str = "newest"  # newest, cost, duration, errors
    limit: int = 1000
