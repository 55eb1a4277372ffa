"""Cost of model calls whose log names none: the user's own prices first, then genai-prices from its offline snapshot.

Prices are looked up once per (provider, model, day) and kept as integers of 1e-15 dollars a token, so that a
sum is exact and costs no library call a span. The background update of genai-prices is never started.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.enrich.price_names import spellings
from collectors.enrich.price_table import PriceTable
from collectors.enrich.price_unit import Unit, cost, unit_of
from store.record.span import NS_PER_S, Span

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo

_DAY_NS = 86_400 * NS_PER_S
_CACHED_PRICES = 4096
_LONGEST_NAME = 200


class Pricer:
    """Fills `cost_nano`, `cost_basis` and `price_ref` of spans that have tokens and no reported cost."""

    def __init__(self, table: PriceTable | None = None) -> None:
        self._table = table or PriceTable()
        self._units: dict[tuple[str | None, str, str | None, int | None], Unit | None] = {}
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

    def load(self) -> DataSnapshot:
        """Our own snapshot of the bundled data: nothing that updates the library's global one reaches it."""
        if self._snapshot is None:
            from genai_prices import __version__
            from genai_prices.data import providers
            from genai_prices.data_snapshot import DataSnapshot

            self._snapshot, self._version = DataSnapshot(providers, from_auto_update=False), __version__
        return self._snapshot

    def _price(self, span: Span) -> None:
        model = span.model_served or span.model
        unit = None
        if model:
            at_ns = span.ended_ns if span.ended_ns is not None else span.started_ns
            unit = self._unit(span.provider, model, span.model, at_ns)
        if unit is None:
            span.cost_basis = "unpriced"
            return
        span.cost_nano, span.cost_basis = cost(span, unit)
        span.price_ref = unit.ref if span.cost_nano is not None else None

    def _unit(self, provider: str | None, model: str, asked: str | None, at_ns: int | None) -> Unit | None:
        """The prices of the model that served, at that moment. The user's table may know it by the name asked for."""
        key = (provider, model, asked, None if at_ns is None else at_ns // _DAY_NS)
        if key in self._units:
            return self._units[key]
        unit = self._table.of(provider, (model, asked), at_ns)
        if unit is None and at_ns is not None and (found := self._model(provider, model)) is not None:
            ref, info = found
            unit = unit_of(ref, info.get_prices(datetime.fromtimestamp(at_ns // NS_PER_S, UTC)))
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
        snapshot = self.load()
        for owner_id, name in spellings(provider, model):
            try:
                owner, info = snapshot.find_provider_model(name, None, owner_id, None)
            except LookupError:
                continue
            return f"{owner.id}/{info.id}@genai-prices-{self._version}", info
        return None


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
