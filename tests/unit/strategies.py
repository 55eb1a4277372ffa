"""Spans as a hostile log would bring them: few keys, so that versions collide, and every measure at will."""

from __future__ import annotations

from hypothesis import strategies as st

from store.record.span import EFFECT_BASES, EFFECT_STATUSES, KINDS, STATUSES, Span

_some = st.sampled_from(["a", "b", "c"])
_maybe = st.none() | _some
_time = st.integers(1_700_000_000_000_000_000, 1_700_000_300_000_000_000)
_count = st.none() | st.integers(0, 1000)


def _finish(span: Span) -> Span:
    if span.rank == 0:
        span.ended_ns = None
        span.status = None
        span.started_ns = span.started_ns or 1_700_000_000_000_000_000
    elif span.ended_ns is None:
        span.ended_ns = 1_700_000_000_000_000_001
    return span


versions = st.builds(
    Span,
    namespace=st.just("n"),
    span_id=st.just("1"),
    session=_maybe,
    run_id=_maybe,
    parent_id=_maybe,
    kind=st.sampled_from(KINDS),
    agent=_maybe,
    user_id=_maybe,
    tool=_maybe,
    started_ns=st.none() | _time,
    rank=st.integers(0, 3),
    ended_ns=st.none() | _time,
    status=st.none() | st.sampled_from(STATUSES),
    model=_maybe,
    tokens_input=_count,
    tokens_cache_write_5m=_count,
    tokens_cache_write_1h=_count,
    tokens_output=_count,
    cost_nano=_count,
    cost_basis=st.none() | st.sampled_from(["reported", "computed", "unpriced", "partial", "uncertain"]),
    effect_system=_maybe,
    effect_resource=_maybe,
    effect_status=st.none() | st.sampled_from(EFFECT_STATUSES),
    effect_basis=st.none() | st.sampled_from(EFFECT_BASES),
    human_wait_ns=_count,
    score_value=st.none() | st.floats(0, 1),
    parts=st.dictionaries(st.sampled_from(["input", "output"]), st.text(max_size=5), max_size=2),
).map(_finish)

records = st.lists(
    st.tuples(versions, st.sampled_from(["1", "2", "3", "4"])).map(lambda pair: _with_id(*pair)), max_size=14
)


def _with_id(span: Span, span_id: str) -> Span:
    span.span_id = span_id
    return span
