"""The `--json` shapes, one pydantic model a command. Times are ISO 8601 UTC with ms and Z; null is unknown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

from store.record.span import NANO_PER_USD, NS_PER_MS
from store.record.window import iso

Time = Annotated[int | None, PlainSerializer(lambda ns: None if ns is None else iso(ns), return_type=str | None)]
"""ns in, ISO 8601 out."""
Ms = Annotated[
    int | None, PlainSerializer(lambda ns: None if ns is None else round(ns / NS_PER_MS, 3), return_type=float | None)
]
"""ns in, ms out."""
Usd = Annotated[
    int | None, PlainSerializer(lambda nano: None if nano is None else nano / NANO_PER_USD, return_type=float | None)
]
"""nano-dollars in, dollars out."""
Status = Literal["running", "ok", "error", "aborted", "capped", "refused", "cancelled", "unknown"]
CostBasis = Literal["reported", "computed", "partial", "unpriced", "uncertain"]
EffectStatus = Literal["planned", "sent", "confirmed", "failed", "unknown", "compensated"]
Lamp = Literal["ok", "warn", "bad", "stopped", "stale", "unknown"]
Breaker = Literal["closed", "half_open", "open"]
StopState = Literal["requested", "written", "acked", "verified", "quiet", "not_confirmed", "leak", "rearmed"]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FormatSummary(Shape):
    files: int
    lines: int
    records: int
    rejected: int


class CollectSummary(Shape):
    """`andon collect --once --json`"""

    files: int
    lines: int
    records: int
    spans: int
    sessions: int
    rejected: int
    duplicates: int
    gaps: int
    by_format: dict[str, FormatSummary]
    unknown_types: dict[str, int]
    reject_reasons: dict[str, int]
    not_read: dict[str, int]
    messages: list[str]


class WindowShape(Shape):
    start: Time
    end: Time
    label: str


class FiguresShape(Shape):
    runs: int
    running: int
    p50_ms: Ms
    p95_ms: Ms
    p99_ms: Ms
    success_rate: float | None
    errors: int
    cost_usd: Usd
    burn_usd_per_hour: Usd
    coverage: float | None
    unpriced: int


class AgentShape(FiguresShape):
    agent: str
    lamp: Lamp
    last_seen: Time
    breaker: Breaker
    infra_uptime: float | None = None  # the part of the probed time in which its health URL answered


class CoverageShape(Shape):
    newest: Time
    future: int
    rejects: int
    gaps: int
    gap_bytes: int
    sources: int
    collector_alive: bool
    collector_seen: Time
    lag_ms: Ms


class LeaderShape(Shape):
    session: str
    agent: str | None
    cost_usd: Usd
    why: str


class StatusShape(Shape):
    """`andon status --json`"""

    as_of: Time
    window: WindowShape
    fleet: FiguresShape
    today_usd: Usd
    agents: list[AgentShape]
    cost_leaders: list[LeaderShape]
    coverage: CoverageShape


class Tokens(Shape):
    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None


class SessionShape(Shape):
    """`andon sessions --json` is a list of these."""

    session: str
    agent: str | None
    format: str | None
    started: Time
    ended: Time
    status: Status
    runs: int
    llm_calls: int
    tool_calls: int
    errors: int
    tokens: Tokens
    cost_usd: Usd
    cost_basis: CostBasis | None
    duration_ms: Ms


class SpanShape(Shape):
    span: str
    parent: str | None
    kind: Literal["run", "llm", "tool", "reasoning", "side_effect", "step"]
    name: str | None
    model: str | None
    tool: str | None
    started: Time
    duration_ms: Ms
    status: Status
    error_type: str | None
    tokens: Tokens
    cost_usd: Usd
    cost_basis: CostBasis | None


class TraceShape(Shape):
    """`andon trace --json`"""

    session: str
    spans: list[SpanShape]


class EffectShape(Shape):
    at: Time
    operation: str | None
    resource: str | None
    status: EffectStatus
    reversible: Literal["yes", "no", "unknown"]
    undo: str | None
    basis: Literal["reported", "declared", "argument", "name", "unknown"] | None
    idempotency_key: str | None
    external_id: str | None
    session: str | None
    span: str


class SystemShape(Shape):
    system: str
    owner: str | None
    effects: list[EffectShape]


class UnmappedShape(Shape):
    tool: str
    agent: str | None
    calls: int


class BlastShape(Shape):
    """`andon blast --json`"""

    scope: str
    systems: list[SystemShape]
    reads: int
    unmapped_tools: list[UnmappedShape]


class AckShape(Shape):
    instance: str
    agent: str
    host: str
    pid: int
    state: Literal["holding", "running", "gone", "silent"]
    seen: Time
    heartbeat: Time
    in_flight: list[str]
    last_action: int | None


class StopShape(Shape):
    """`andon kill --json`, and each row of `andon switches --json`"""

    kill_id: str
    scope: str
    verb: str
    state: StopState
    written_ms: float | None
    acked_ms: float | None
    verified_ms: float | None
    acks: list[AckShape]
    in_flight: list[str]
    leaks: list[str]
    by: str
    at: Time
    reason: str
    note: str | None


class SwitchesShape(Shape):
    """`andon switches --json`"""

    folder: str
    switches: list[StopShape]


class ExportShape(Shape):
    """`andon export --json`"""

    path: str
    scope: str
    sha256: str
    manifest_sha256: str
    members: list[str]
    spans: int
    effects: int


class VerifyShape(Shape):
    """`andon verify --json`"""

    path: str
    ok: bool
    problems: list[str]
    members: list[str]
    manifest_sha256: str | None


class AuditRowShape(Shape):
    seq: int
    at: Time
    by: str
    action: str
    subject: str
    hash: str


class AuditShape(Shape):
    """`andon audit --json`"""

    rows: list[AuditRowShape]


class AuditVerifyShape(Shape):
    """`andon audit verify --json`"""

    ok: bool
    rows: int
    bad_seq: int | None
    problem: str | None


class CheckShape(Shape):
    area: str
    ok: bool
    message: str


class DoctorShape(Shape):
    """`andon doctor --json`"""

    ok: bool
    checks: list[CheckShape]


class ExplainFieldShape(Shape):
    field: str
    path: str
    raw: str | None
    became: str | None
    why: str


class ExplainSpanShape(Shape):
    span: str
    kind: str
    fields: list[ExplainFieldShape]


class ExplainRecordShape(Shape):
    number: int
    offset: int
    outcome: Literal["span", "rejected", "passed_over", "nothing"]
    reason: str
    spans: list[ExplainSpanShape]
    unused: list[str]


class ExplainNeverShape(Shape):
    field: str
    path: str


class ExplainTotalsShape(Shape):
    lines: int
    records: int
    spans: int
    sessions: int
    first: Time
    last: Time
    kinds: dict[str, int]
    statuses: dict[str, int]
    rejected: dict[str, int]
    rejected_at: dict[str, int]
    unknown_types: dict[str, int]
    flags: dict[str, int]
    fields: dict[str, int]
    never: list[ExplainNeverShape]
    tokens: dict[str, int]
    cost_usd: Usd
    cut_short: bool


class ExplainSampleShape(Shape):
    path: str
    value: str


class ExplainShape(Shape):
    """`andon collect --explain FILE --json`"""

    path: str
    size_bytes: int
    format: str | None
    known_by: str
    document: bool
    records: list[ExplainRecordShape]
    totals: ExplainTotalsShape
    hints: list[str]
    sample: list[ExplainSampleShape]
