"""Cost of model calls whose log names none: genai-prices from its offline snapshot, in integers.

Prices are looked up once per (provider, model, day) and kept as integers of 1e-15 dollars a token, so that a
sum is exact and costs no library call a span. The background update of genai-prices is never started.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from store.record.span import NS_PER_S, Span

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

_DAY_NS = 86_400 * NS_PER_S
_FEMTO_PER_NANO = 1_000_000
_FEMTO_PER_USD_A_MILLION = 1_000_000_000  # 1 $ per million tokens is 1e-6 $ a token, 1e9 fs of a dollar
_CACHED_PRICES = 4096
_LONGEST_NAME = 200
# A field that a format dropped and that is billed apart, or at a rate the snapshot does not tell.
_BILLED_APART = frozenset({"server_tool_use"})
_OTHER_RATE = frozenset({"speed", "service_tier", "cache_creation", "totalTokens"})
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
    apart: bool  # it also bills what a span does not count: requests, or reasoning at a rate of its own


class Pricer:
    """Fills `cost_nano`, `cost_basis` and `price_ref` of spans that have tokens and no reported cost."""

    def __init__(self) -> None:
        self._units: dict[tuple[str | None, str, int], Unit | None] = {}
        self._models: dict[tuple[str | None, str], tuple[str, ModelInfo] | None] = {}
        self._snapshot: DataSnapshot | None = None
        self._version = ""

    def price(self, spans: Iterable[Span]) -> None:
        """Price a batch in place. A span without tokens costs nothing that could be known: it stays as it is."""
        for span in spans:
            if span.cost_nano is not None:
                span.cost_basis = span.cost_basis or "reported"
            elif _has_tokens(span):
                self._price(span)

    def _price(self, span: Span) -> None:
        model = span.model_served or span.model
        at_ns = span.ended_ns if span.ended_ns is not None else span.started_ns
        unit = self._unit(span.provider, model, at_ns) if model and at_ns is not None else None
        if unit is None:
            span.cost_basis = "unpriced"
            return
        span.cost_nano, span.cost_basis = _cost(span, unit)
        span.price_ref = unit.ref
        if span.cost_nano is None:
            span.cost_basis = "unpriced"

    def _unit(self, provider: str | None, model: str, at_ns: int) -> Unit | None:
        key = (provider, model, at_ns // _DAY_NS)
        if key in self._units:
            return self._units[key]
        found = self._model(provider, model)
        unit = None
        if found is not None:
            ref, info = found
            unit = _unit_of(ref, info.get_prices(datetime.fromtimestamp(at_ns // NS_PER_S, UTC)))
            if _depends_on_the_hour(info):
                return unit
        if len(self._units) >= _CACHED_PRICES:
            self._units.clear()
        self._units[key] = unit
        return unit

    def _model(self, provider: str | None, model: str) -> tuple[str, ModelInfo] | None:
        key = (provider, model)
        if key not in self._models:
            if len(self._models) >= _CACHED_PRICES:
                self._models.clear()
            self._models[key] = self._find(provider, model)
        return self._models[key]

    def _find(self, provider: str | None, model: str) -> tuple[str, ModelInfo] | None:
        if len(model) > _LONGEST_NAME or (provider is not None and len(provider) > _LONGEST_NAME):
            return None
        if self._snapshot is None:
            from genai_prices import __version__
            from genai_prices.data import providers
            from genai_prices.data_snapshot import DataSnapshot

            # Our own snapshot of the bundled data: nothing that updates the library's global one reaches it.
            self._snapshot, self._version = DataSnapshot(providers, from_auto_update=False), __version__
        try:
            owner, info = self._snapshot.find_provider_model(model, None, provider, None)
        except LookupError:
            return None
        return f"{owner.id}/{info.id}@genai-prices-{self._version}", info


def _has_tokens(span: Span) -> bool:
    return bool(
        span.tokens_input
        or span.tokens_output
        or span.tokens_cache_read
        or span.tokens_cache_write_5m
        or span.tokens_cache_write_1h
    )


def _depends_on_the_hour(info: ModelInfo) -> bool:
    return isinstance(info.prices, list) and any(
        type(one.constraint).__name__ == "TimeOfDateConstraint" for one in info.prices
    )


def _unit_of(ref: str, price: ModelPrice) -> Unit:
    """A cache price that the snapshot lacks is the one it derives from: 1 h from 5 min, both and reads from input."""
    fresh = _steps(price.input_mtok)
    write = _steps(price.cache_write_5m_mtok) or _steps(price.cache_write_mtok)
    return Unit(
        ref,
        input=fresh,
        output=_steps(price.output_mtok),
        cache_read=_steps(price.cache_read_mtok),
        cache_write_5m=write,
        cache_write_1h=_steps(price.cache_write_1h_mtok),
        apart=price.requests_kcount is not None or price.output_reasoning_mtok is not None,
    )


def _steps(price: object) -> Steps | None:
    from genai_prices.types import TieredPrices

    if isinstance(price, Decimal):
        return ((-1, _femto(price)),)
    if isinstance(price, TieredPrices):
        return ((-1, _femto(price.base)), *((tier.start, _femto(tier.price)) for tier in price.tiers))
    return None


def _femto(usd_a_million: Decimal) -> int:
    return int((usd_a_million * _FEMTO_PER_USD_A_MILLION).to_integral_value())


def _cost(span: Span, unit: Unit) -> tuple[int | None, str]:
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
    femto = priced = 0
    for count, own, instead in (
        (fresh, unit.input, None),
        (span.tokens_output or 0, unit.output, None),
        (read, unit.cache_read, unit.input),
        (short, unit.cache_write_5m, unit.input),
        (long, unit.cache_write_1h, unit.cache_write_5m or unit.input),
    ):
        if not count:
            continue
        steps = own or instead
        if steps is None:
            missing = True
            continue
        stand_in = stand_in or own is None
        priced += 1
        femto += count * next(price for start, price in reversed(steps) if total_in > start)
    if not priced:
        return None, "unpriced"
    nano = (femto + _FEMTO_PER_NANO // 2) // _FEMTO_PER_NANO
    return nano, "partial" if missing else "uncertain" if stand_in else "computed"
