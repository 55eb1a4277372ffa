"""Prices: exact to the nano-dollar against the library's own slow calculation, and never a guess."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price

from collectors.enrich.price import Pricer
from store.record.span import NANO_PER_USD, Span
from tests.unit.format_files import VIEWER, lines_of, merged, needs_data, of_kind, parse

T_NS = 1_769_825_640_000_000_000


def llm(model: str | None = "claude-sonnet-4-20250514", **fields: object) -> Span:
    given: dict[str, object] = {"tokens_input": 1000, "tokens_output": 200, "ended_ns": T_NS, **fields}
    return Span(namespace="n", span_id="s", kind="llm", model=model, **given)  # type: ignore[arg-type]


def priced(span: Span) -> tuple[int | None, str | None]:
    Pricer().price([span])
    return span.cost_nano, span.cost_basis


def oracle(span: Span) -> int:
    """What the library itself makes of the span: its `input_tokens` is the total, cached or not."""
    counts = (span.tokens_input, span.tokens_cache_read, span.tokens_cache_write_5m, span.tokens_cache_write_1h)
    fresh, read, short, long = (one or 0 for one in counts)
    given = {
        "input_tokens": fresh + read + short + long,
        "cache_read_tokens": read,
        "cache_write_tokens": short + long,
        "cache_write_1h_tokens": long,
        "output_tokens": span.tokens_output or 0,
    }
    usage = Usage(**{name: value for name, value in given.items() if value})
    at = datetime.fromtimestamp((span.ended_ns or 0) // NANO_PER_USD, UTC)
    made = calc_price(usage, span.model or "", provider_id=span.provider, genai_request_timestamp=at)
    return round(made.total_price * NANO_PER_USD)


@pytest.mark.parametrize(
    "model",
    [
        "claude-sonnet-4-20250514",
        "claude-opus-4-5",
        "claude-opus-4-1-20250805",
        "claude-3-5-haiku-20241022",
        "gpt-5",
        "gpt-4o-mini",
        "gemini-2.5-pro",
        "claude-sonnet-4-5",
    ],
)
@pytest.mark.parametrize("fresh", [7, 199_999, 200_001])
def test_the_same_cost_as_the_library(model: str, fresh: int) -> None:
    span = llm(model, tokens_input=fresh, tokens_cache_read=12_345, tokens_output=321)
    assert priced(span) == (oracle(span), "computed")
    assert span.price_ref is not None
    assert "@genai-prices-" in span.price_ref


def test_cache_writes_of_five_minutes_and_of_one_hour_have_their_own_prices() -> None:
    short, long = llm(tokens_cache_write_5m=1_000_000), llm(tokens_cache_write_1h=1_000_000)
    both = llm(tokens_cache_write_5m=333, tokens_cache_write_1h=777, tokens_cache_read=5)
    base = 1000 * 3_000 + 200 * 15_000
    assert priced(short) == (base + 3_750_000_000, "computed")
    assert priced(long) == (base + 6_000_000_000, "computed")
    assert priced(both) == (oracle(both), "computed")


@needs_data
def test_a_real_session_costs_what_the_price_list_says() -> None:
    (path,) = VIEWER.glob("fe5e1c67*")
    spans = parse("claude-code", lines_of(path.read_bytes()), str(path)).spans
    Pricer().price(spans)
    rows = of_kind(merged(spans), "llm")
    assert Counter(row["cost_basis"] for row in rows) == {"computed": 170}
    assert {row["model"] for row in rows} == {"claude-sonnet-4-20250514"}
    dollars = sum(
        Decimal(row["tokens_input"]) * 3
        + Decimal(row["tokens_output"]) * 15
        + Decimal(row["tokens_cache_read"]) * Decimal("0.3")
        + Decimal(row["tokens_cache_write_5m"]) * Decimal("3.75")
        for row in rows
    ) / Decimal(10**6)
    assert sum(row["cost_nano"] for row in rows) == round(dollars * NANO_PER_USD)


def test_a_reported_cost_stands() -> None:
    assert priced(llm(cost_nano=5, cost_basis="reported")) == (5, "reported")
    assert priced(llm(cost_nano=0)) == (0, "reported")
    assert priced(llm("no-such-model", cost_nano=7)) == (7, "reported")


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "no-such-model"},
        {"model": None},
        {"model": "m" * 5000},
        {"model": ""},
        {"provider": "a-gateway-nobody-knows"},
        {"ended_ns": None, "started_ns": None},
    ],
)
def test_an_unknown_model_is_unpriced_never_free(fields: dict[str, object]) -> None:
    model = fields.pop("model", "claude-opus-4-5")
    assert model is None or isinstance(model, str)
    assert priced(llm(model, **fields)) == (None, "unpriced")


def test_a_span_without_tokens_is_not_unpriced() -> None:
    assert priced(llm(tokens_input=None, tokens_output=None)) == (None, None)
    assert priced(llm(tokens_input=0, tokens_output=0)) == (None, None)
    assert priced(llm("no-such-model", tokens_input=None, tokens_output=None)) == (None, None)


@pytest.mark.parametrize(
    ("fields", "basis"),
    [
        ({"tokens_output": None}, "partial"),
        ({"tokens_input": None}, "partial"),
        ({"flags": "tokens.input"}, "partial"),
        ({"flags": "server_tool_use"}, "partial"),
        ({"flags": "speed"}, "uncertain"),
        ({"flags": "service_tier"}, "uncertain"),
        ({"flags": "totalTokens"}, "uncertain"),
        ({"flags": "cache_creation"}, "uncertain"),
        ({"flags": "surrogate"}, "computed"),
        ({"model": "gpt-5", "tokens_cache_write_1h": 5}, "uncertain"),
    ],
)
def test_what_is_not_whole_says_so(fields: dict[str, object], basis: str) -> None:
    model = fields.pop("model", "claude-opus-4-5")
    assert isinstance(model, str)
    cost, own = priced(llm(model, **fields))
    assert own == basis
    assert cost is not None


def test_the_model_that_served_is_the_one_that_is_paid() -> None:
    assert priced(llm("claude-opus-4-5", model_served="claude-sonnet-4-20250514")) == priced(llm())


def test_prices_are_those_of_the_day() -> None:
    from genai_prices.data import providers
    from genai_prices.types import StartDateConstraint

    for provider in providers:
        for model in provider.models:
            for price in model.prices if isinstance(model.prices, list) else ():
                if provider.id == "openai" and isinstance(price.constraint, StartDateConstraint):
                    start = datetime.combine(price.constraint.start_date, datetime.min.time(), UTC)
                    day_ns = round(start.timestamp()) * NANO_PER_USD
                    for at_ns in (day_ns - NANO_PER_USD, day_ns + NANO_PER_USD):
                        span = llm(model.id, provider="openai", ended_ns=at_ns)
                        assert priced(span)[0] == oracle(span)


def test_the_largest_counts_stay_within_64_bits() -> None:
    cost, _ = priced(llm("claude-opus-4-1", tokens_input=10**10, tokens_output=10**10))
    assert cost is not None
    assert 0 < cost < 2**63


def test_pricing_starts_no_update_and_opens_no_connection() -> None:
    script = """
import socket, threading
def refuse(*a, **k): raise AssertionError("network")
socket.socket.connect = refuse
from collectors.enrich.price import Pricer
from store.record.span import Span
span = Span(namespace="n", span_id="s", model="claude-opus-4-5", ended_ns=1769825640000000000)
span.tokens_input = span.tokens_output = 5
Pricer().price([span])
assert span.cost_basis == "computed"
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


def test_the_price_list_is_loaded_when_it_is_needed() -> None:
    script = "import sys, collectors.enrich; assert 'genai_prices' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
