"""What the exported spans come to, counted while they are written: nothing is read twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from runbooks.incidents.case import Seen
from store.record.span import KINDS, STATUSES, Span, is_open


@dataclass(slots=True)
class SessionTotal:
    agent: str | None = None
    spans: int = 0
    cost_nano: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    outcome: str = "unknown"


@dataclass(slots=True)
class Totals:
    spans: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)  # of runs
    errors: Counter[str] = field(default_factory=Counter)  # spans by error type
    cost_nano: int | None = None
    unpriced: int = 0  # model calls with tokens and no price
    open_spans: int = 0
    pruned_parts: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    first_ns: int | None = None
    last_ns: int | None = None
    sessions: dict[str, SessionTotal] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)

    def add(self, span: Span, pruned: int) -> None:
        self.spans += 1
        self.kinds[span.kind if span.kind in KINDS else "other"] += 1
        self.pruned_parts += pruned
        self.open_spans += is_open(span)
        if span.kind == "run":
            self.outcomes[outcome_of(span)] += 1
        if span.status == "error":
            self.errors[span.error_type or "no type given"] += 1
        if span.cost_nano is not None:
            self.cost_nano = (self.cost_nano or 0) + span.cost_nano
        elif span.kind == "llm" and (span.tokens_input is not None or span.tokens_output is not None):
            self.unpriced += 1
        for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output"):
            self.tokens[name] += getattr(span, f"tokens_{name}") or 0
        self.first_ns = _least(self.first_ns, span.started_ns, span.ended_ns)
        self.last_ns = _greatest(self.last_ns, span.started_ns, span.ended_ns)
        self._session(span)
        for kind, value in (
            ("agent", span.agent),
            ("tenant", span.tenant_id),
            ("user", span.user_id),
            ("session", span.session),
            ("tool", span.tool),
        ):
            if value is not None:
                self.values.setdefault(kind, set()).add(value)

    def _session(self, span: Span) -> None:
        if span.session is None:
            return
        own = self.sessions.setdefault(span.session, SessionTotal())
        own.agent = own.agent or span.agent
        own.spans += 1
        if span.cost_nano is not None:
            own.cost_nano = (own.cost_nano or 0) + span.cost_nano
        own.first_ns = _least(own.first_ns, span.started_ns, span.ended_ns)
        own.last_ns = _greatest(own.last_ns, span.started_ns, span.ended_ns)
        if span.kind == "run":
            own.outcome = outcome_of(span)

    def seen(self) -> Seen:
        return Seen({kind: frozenset(values) for kind, values in self.values.items()})

    def dearest(self, most: int = 5) -> list[tuple[str, SessionTotal]]:
        ranked = sorted(self.sessions.items(), key=lambda pair: (-(pair[1].cost_nano or 0), -pair[1].spans, pair[0]))
        return ranked[:most]


def outcome_of(span: Span) -> str:
    """One of STATUSES, or `running`: a word of ours, whatever the record says."""
    if is_open(span):
        return "running"
    return span.status if span.status in STATUSES else "unknown"


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _greatest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)
