"""The user's own prices as a table that is looked up: before every price list, by name, provider and day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from collectors.enrich.price_unit import Unit


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One price: the pattern, whose it is, when it began, and what a token costs."""

    model: str
    provider: str | None
    from_ns: int | None
    unit: Unit

    @property
    def is_exact(self) -> bool:
        return not any(one in self.model for one in "*?[")


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Rows with the one that counts first: the exact before the pattern, the longer, the provider's own, the latest."""

    rows: tuple[PriceRow, ...] = ()

    def of(self, provider: str | None, models: Sequence[str | None], at_ns: int | None) -> Unit | None:
        """The prices of the first of these names that the table has at that moment, or None."""
        for model in models:
            if model is None:
                continue
            name, owner = model.lower(), (provider or "").lower()
            for row in self.rows:
                begun = row.from_ns is None or (at_ns is not None and at_ns >= row.from_ns)
                is_whose = row.provider is None or row.provider == owner
                if begun and is_whose and (row.model == name or fnmatchcase(name, row.model)):
                    return row.unit
        return None
