"""Counts whose input includes the cache: taken apart once, believed by their total, flagged where nothing adds up."""

from __future__ import annotations

import pytest

from collectors.enrich.price import Pricer
from collectors.formats.usage import NONE, Count, add_usage, first, within
from store.record.span import Span

T_NS = 1_769_825_640_000_000_000


def counted(given: object, out: object, **more: object) -> tuple[Span, set[str]]:
    span, flags = Span(namespace="n", span_id="s", kind="llm", model="claude-sonnet-4-5", ended_ns=T_NS), set[str]()
    counts = {name: Count(name, value) for name, value in more.items()}
    add_usage(span, flags, given=Count("given", given), output=Count("output", out), **counts)
    return span, flags


@pytest.mark.parametrize(
    ("given", "out", "more", "expected", "flags"),
    [
        # (fresh, read, write 5m, write 1h, out, reasoning)
        (100, 10, {}, (100, None, None, None, 10, None), set()),
        (100, 10, {"read": 60, "write": 30}, (10, 60, 30, None, 10, None), set()),
        (100, 10, {"read": 60, "write": 10, "write_1h": 20, "total": 110}, (10, 60, 10, 20, 10, None), set()),
        (100, 10, {"read": 100}, (0, 100, None, None, 10, None), set()),
        # input that leaves the cache out: the total says so
        (10, 10, {"read": 90, "total": 110}, (10, 90, None, None, 10, None), set()),
        (100, 10, {"read": 90, "total": 200}, (100, 90, None, None, 10, None), set()),
        # it says nothing, and cannot be what it should be
        (10, 10, {"read": 90}, (10, 90, None, None, 10, None), {"total_tokens"}),
        (100, 10, {"total": 5}, (100, None, None, None, 10, None), {"total_tokens"}),
        # reasoning is part of the answer, unless the total shows it beside
        (100, 10, {"reasoning": 7, "total": 110}, (100, None, None, None, 10, 7), set()),
        (100, 10, {"reasoning": 7, "total": 117}, (100, None, None, None, 17, 7), set()),
        # nothing was counted
        (0, 0, {"read": 0, "total": 0}, (None,) * 6, set()),
        (None, None, {}, (None,) * 6, set()),
        # half of it was
        (None, 10, {}, (None, None, None, None, 10, None), set()),
        (100, None, {}, (100, None, None, None, None, None), set()),
        # what is no count
        ("x", 10, {"read": -1}, (None, None, None, None, 10, None), {"tokens.given", "tokens.read"}),
        (100.0, 10.5, {}, (100, None, None, None, None, None), {"tokens.output"}),
        (10**30, True, {}, (None,) * 6, {"tokens.given", "tokens.output"}),
    ],
)
def test_counts(
    given: object, out: object, more: dict[str, object], expected: tuple[int | None, ...], flags: set[str]
) -> None:
    span, found = counted(given, out, **more)
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    assert tuple(getattr(span, f"tokens_{name}") for name in names) == expected
    assert found == flags


@pytest.mark.parametrize(
    ("more", "basis"),
    [({"total": 110}, "computed"), ({"total": 5}, "uncertain"), ({"read": "x"}, "partial")],
)
def test_the_price_says_when_counts_do_not_add_up(more: dict[str, object], basis: str) -> None:
    span, flags = counted(100, 10, **more)
    span.flags = ",".join(sorted(flags)) or None
    Pricer().price([span])
    assert span.cost_basis == basis
    assert span.cost_nano


def test_looking_for_fields() -> None:
    row = {"a": None, "b": 0, "c": {"d": [{"e": 1}]}}
    assert first(row, "a", "b") == Count("b", 0)
    assert first(row, "a", "x") is first([], "a") is NONE
    assert within(row, "c", "d") == {"e": 1}
    assert within(row, "b", "x") == within(None, "x") == within(row, "c", "d", "e") == {}
