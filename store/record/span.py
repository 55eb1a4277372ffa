"""The canonical record: one version of one span, as a format read it.

A span is known by its key (namespace, span id) and may arrive in several versions: its start, its end, a
repeated line. `store.record.merge` joins versions; nothing else decides which one counts.
"""

from __future__ import annotations

import enum

import msgspec

KINDS = ("run", "llm", "tool", "reasoning", "side_effect")
STATUSES = ("ok", "error", "aborted", "capped", "refused", "cancelled", "unknown")
EFFECT_STATUSES = ("planned", "sent", "confirmed", "failed", "unknown", "compensated")
EFFECT_BASES = ("reported", "declared", "argument", "name", "unknown")
"""What told of an effect, the best first: the record itself, agents.toml, the arguments, the tool's name, nothing."""
COST_BASES = ("reported", "computed", "partial", "unpriced", "uncertain")
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NANO_PER_USD = 1_000_000_000


class Rank(enum.IntEnum):
    """How much a version knows. The greatest rank gives the measures, whatever came first."""

    STARTED = 0  # in flight: it has a start, and no end yet
    ABANDONED = 1  # the log went on without an answer to it: it ends as `unknown`
    PARTIAL = 2  # an early line of an answer that is still being written
    ENDED = 3


class Span(msgspec.Struct, kw_only=True):
    """One version of one span. Times are ns since 1970 UTC, money is nano-dollars, unknown is None, never 0.

    `ended_ns` is None for what is in flight (any rank below ENDED); of Rank.ENDED only where the log has no clock at
    all: such a row counts in its session, and in no window. `kind` None is a step that is none of KINDS. Tokens:
    `tokens_input` is fresh input only; reasoning is part of output. `parts` is payload text by part name (`input`,
    `output`, or `output:<id>` where a span is written in several pieces); versions of a span unite their parts.
    """

    # key
    namespace: str
    span_id: str
    # identity: the merged row has the greatest non-null value of each
    session: str | None = None
    run_id: str | None = None
    parent_id: str | None = None
    kind: str | None = None
    name: str | None = None
    format: str | None = None
    agent: str | None = None
    agent_version: str | None = None
    environment: str | None = None
    host: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    credential_id: str | None = None
    tool: str | None = None
    prompt_hash: str | None = None
    prompt_version: str | None = None
    tools_hash: str | None = None
    retry_of: str | None = None
    # the earliest
    started_ns: int | None = None
    # measures: whole from the version with the greatest (rank, ended_ns, content)
    rank: int = Rank.ENDED
    ended_ns: int | None = None
    status: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    model: str | None = None
    model_served: str | None = None
    provider: str | None = None
    tokens_input: int | None = None
    tokens_cache_read: int | None = None
    tokens_cache_write_5m: int | None = None
    tokens_cache_write_1h: int | None = None
    tokens_output: int | None = None
    tokens_reasoning: int | None = None
    cost_nano: int | None = None
    cost_basis: str | None = None
    price_ref: str | None = None
    ttft_ns: int | None = None
    human_wait_ns: int | None = None
    queue_wait_ns: int | None = None
    attempt: int | None = None
    context_tokens: int | None = None
    context_limit: int | None = None
    effect_system: str | None = None
    effect_operation: str | None = None
    effect_resource: str | None = None
    effect_status: str | None = None
    effect_reversible: str | None = None  # yes, no, unknown
    effect_idempotency_key: str | None = None
    effect_external_id: str | None = None
    effect_basis: str | None = None  # one of EFFECT_BASES; with no effect_system: the call only read, by that basis
    score_name: str | None = None
    score_value: float | None = None
    score_label: str | None = None
    guard_instance: str | None = None
    guard_action: int | None = None
    flags: str | None = None  # comma-joined names of fields that were dropped or mended
    # payload: the union over versions
    parts: dict[str, str] = {}


KEY = ("namespace", "span_id")
_ALL = tuple(field.name for field in msgspec.structs.fields(Span))
_RANK = _ALL.index("rank")
IDENTITY = _ALL[2 : _ALL.index("started_ns")]
MEASURES = _ALL[_RANK : _ALL.index("parts")]
EFFECT = (
    "effect_system",
    "effect_operation",
    "effect_resource",
    "effect_reversible",
    "effect_idempotency_key",
    "effect_basis",
)
"""What an effect was. It is whole from one version; its status and external id are measures, for they come later."""
COLUMNS = (*KEY, *IDENTITY, "started_ns", *MEASURES)
"""Every field but `parts`, in the order of the row."""


def is_open(span: Span) -> bool:
    """True for what is in flight, as far as its log tells."""
    return span.ended_ns is None and span.rank < Rank.ENDED
