"""The prices of one model as integers of 1e-15 dollars a token, so that a sum is exact; what a span costs by them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from store.record.span import Span

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_FEMTO_PER_NANO = 1_000_000
_FEMTO_PER_USD_A_MILLION = 1_000_000_000  # 1 $ per million tokens is 1e-6 $ a token, 1e9 fs of a dollar
# A field that a format dropped and that is billed apart, or at a rate the price list does not tell.
_BILLED_APART = frozenset({"server_tool_use"})
_OTHER_RATE = frozenset({"speed", "service_tier", "cache_creation", "totalTokens", "total_tokens"})
_LOST_COUNTS = frozenset(
    {
        "tokens",
        *("input", "output", "cacheRead", "cacheWrite"),  # Pi
        *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),  # Claude Code
    }
)

Steps = tuple[tuple[int, int], ...]  # (from more than so many input tokens, price), ascending


class Unit(NamedTuple):
    """Prices of one model, each as steps: a call beyond a threshold pays its price for every token."""

    ref: str
    input: Steps | None
    output: Steps | None
    cache_read: Steps | None
    cache_write_5m: Steps | None
    cache_write_1h: Steps | None
    reasoning: Steps | None = None  # where it is billed at a rate of its own; else it is output
    apart: bool = False  # it also bills what a span does not count: requests


def femto(usd_a_million: Decimal) -> int:
    """Dollars per million tokens -> 1e-15 dollars a token."""
    return int((usd_a_million * _FEMTO_PER_USD_A_MILLION).to_integral_value())


def unit_of(ref: str, price: ModelPrice) -> Unit:
    """The prices of the price list. Where it has one price for all cache writes, that is the one of 5 minutes."""
    return Unit(
        ref,
        input=_steps(price.input_mtok),
        output=_steps(price.output_mtok),
        cache_read=_steps(price.cache_read_mtok),
        cache_write_5m=_steps(price.cache_write_5m_mtok) or _steps(price.cache_write_mtok),
        cache_write_1h=_steps(price.cache_write_1h_mtok),
        reasoning=_steps(price.output_reasoning_mtok),
        apart=price.requests_kcount is not None,
    )


def _steps(price: object) -> Steps | None:
    from genai_prices.types import TieredPrices

    if isinstance(price, Decimal):
        return ((-1, femto(price)),)
    if isinstance(price, TieredPrices):
        return ((-1, femto(price.base)), *((tier.start, femto(tier.price)) for tier in price.tiers))
    return None


def cost(span: Span, unit: Unit) -> tuple[int | None, str]:
    """(nano-dollars, basis). `partial`: something that was billed has no price here, so the figure is a floor.

    `uncertain`: every count has a price, but one of them stands in for another, or the tokens do not add up.
    """
    fresh, read = span.tokens_input or 0, span.tokens_cache_read or 0
    short, long = span.tokens_cache_write_5m or 0, span.tokens_cache_write_1h or 0
    total_in = fresh + read + short + long  # thresholds are on the whole of the input, cached or not
    flags = set(span.flags.split(",")) if span.flags else set()
    lost = flags & (_BILLED_APART | _LOST_COUNTS) or any(flag.startswith("tokens.") for flag in flags)
    missing = unit.apart or bool(lost) or span.tokens_output is None or span.tokens_input is None
    stand_in = bool(flags & _OTHER_RATE)
    said, thought = span.tokens_output or 0, 0
    if unit.reasoning is not None and said:
        if span.tokens_reasoning is None:
            missing = True  # some of the output may be billed as reasoning: nobody says how much
        thought = min(said, span.tokens_reasoning or 0)
    total = priced = 0
    for count, own, instead in (
        (fresh, unit.input, None),
        (said - thought, unit.output, None),
        (read, unit.cache_read, unit.input),
        (short, unit.cache_write_5m, unit.input),
        (long, unit.cache_write_1h, unit.cache_write_5m or unit.input),
        (thought, unit.reasoning, None),
    ):
        if not count:
            continue
        steps = own or instead
        if steps is None:
            missing = True
            continue
        stand_in = stand_in or own is None
        priced += 1
        total += count * (steps[0][1] if len(steps) == 1 else _price_at(steps, total_in))
    if not priced:
        return None, "unpriced"
    nano = (total + _FEMTO_PER_NANO // 2) // _FEMTO_PER_NANO
    return nano, "partial" if missing else "uncertain" if stand_in else "computed"


def _price_at(steps: Steps, total_in: int) -> int:
    return next(price for start, price in reversed(steps) if total_in > start)
