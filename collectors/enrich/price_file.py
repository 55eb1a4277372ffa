"""The user's own prices: prices.toml, which goes before every price list.

```toml
[[price]]
model = "claude-sonnet-4-5*"   # as the log names it; exact, or a pattern with * and ?
provider = "anthropic"         # only where the log names this provider
from = 2026-01-01              # from this day on (UTC); of several that have begun, the latest
input = 3.00                   # USD per million tokens: input that came from no cache
output = 15.00
cache_read = 0.30
cache_write_5m = 3.75
cache_write_1h = 6.00
reasoning = 15.00              # where reasoning has a price of its own; else it is output
```

Zero is a price: what is served at home costs nothing. What has no price here makes a cost `partial`, or `uncertain`
where the price of fresh input stands in for one of the cache.
"""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collectors.enrich.price_table import PriceRow, PriceTable
from collectors.enrich.price_unit import Steps, Unit, femto
from store.record.span import NS_PER_S
from store.registry.model import first_problem

_LARGEST_USD = Decimal(1_000_000)
_MAX_BYTES = 4 * 1024 * 1024
_Usd = Annotated[Decimal, Field(ge=0, le=_LARGEST_USD, allow_inf_nan=False)]


class PriceTableError(Exception):
    """prices.toml cannot be used; the message names the file, the key and what is wrong with it."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    provider: str | None = None
    valid_from: date | None = Field(default=None, alias="from")
    input: _Usd | None = None
    output: _Usd | None = None
    cache_read: _Usd | None = None
    cache_write_5m: _Usd | None = None
    cache_write_1h: _Usd | None = None
    reasoning: _Usd | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    price: tuple[_Row, ...] = ()


def load_prices(path: Path) -> PriceTable:
    """Read prices.toml; a file that is not there is an empty table. PriceTableError says what is wrong."""
    try:
        data = path.read_bytes()
        if len(data) > _MAX_BYTES:
            raise PriceTableError(f"{path} has more than {_MAX_BYTES // 1024 // 1024} MiB")
        table = _File.model_validate(tomllib.loads(data.decode("utf-8"), parse_float=Decimal))
    except FileNotFoundError:
        return PriceTable()
    except (OSError, UnicodeDecodeError) as error:
        raise PriceTableError(f"{path} cannot be read: {error}; no cost is computed until it can be") from None
    except tomllib.TOMLDecodeError as error:
        raise PriceTableError(f"{path} is not TOML: {error}") from None
    except (ValidationError, RecursionError) as error:
        raise PriceTableError(f"{path}: {first_problem(error)}") from None
    except ValueError as error:  # a number of thousands of digits
        raise PriceTableError(f"{path} is not TOML that can be read: {error}") from None
    snapshot = hashlib.blake2b(data, digest_size=6).hexdigest()
    rows = [_priced(row, snapshot) for row in table.price]
    return PriceTable(tuple(sorted(rows, key=_before)))


def _priced(row: _Row, snapshot: str) -> PriceRow:
    begun = row.valid_from
    from_ns = None if begun is None else int(datetime.combine(begun, time(), UTC).timestamp()) * NS_PER_S
    owner = row.provider.lower() if row.provider else None
    unit = Unit(
        f"{owner or '*'}/{row.model}@prices-{snapshot}",
        input=_steps(row.input),
        output=_steps(row.output),
        cache_read=_steps(row.cache_read),
        cache_write_5m=_steps(row.cache_write_5m),
        cache_write_1h=_steps(row.cache_write_1h),
        reasoning=_steps(row.reasoning),
    )
    return PriceRow(row.model.lower(), owner, from_ns, unit)


def _steps(usd_a_million: Decimal | None) -> Steps | None:
    return None if usd_a_million is None else ((-1, femto(usd_a_million)),)


def _before(row: PriceRow) -> tuple[bool, int, bool, int]:
    return not row.is_exact, -len(row.model), row.provider is None, -(row.from_ns or 0)
