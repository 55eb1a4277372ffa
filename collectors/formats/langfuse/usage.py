"""Usage and cost of Langfuse observations, each counted once.

`usageDetails` is meant to be disjoint counts, `input` fresh only; many senders put the whole input there, which shows
where a total is stated. Wrappers repeat the usage of what they wrap: the innermost observation keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from collectors.formats.decode import token_count, usd_nano, word
from store.record.span import Span

_READ = (
    "input_cached_tokens",
    "cache_read_input_tokens",
    "input_cache_read",
    "cached_input_tokens",
    "prompt_details.cache_read",
    "cache_read",
)
_WRITE = (
    "cache_creation_input_tokens",
    "input_cache_creation",
    "cache_write_input_tokens",
    "prompt_details.cache_write",
    "cache_creation",
)
_WRITE_1H = ("input_cache_creation_1h", "cache_creation_1h_input_tokens", "ephemeral_1h_input_tokens")
_REASONING = ("output_reasoning_tokens", "output_reasoning", "completion_details.reasoning", "reasoning_tokens")


def wrappers_in(rows: list[dict[str, Any]]) -> set[str]:
    """Ids of the observations that only repeat the usage of another one within them.

    A model call is none because a tool that it called used a model in its turn.
    """
    by_id = {word(row.get("id")): row for row in rows}
    found: set[str] = set()
    seen: set[tuple[str, bool]] = set()
    for row in rows:
        if not any(_counts(row).values()):
            continue
        at, in_tool = word(row.get("parentObservationId")), row.get("type") == "TOOL"
        while at in by_id and (at, in_tool) not in seen:
            seen.add((at, in_tool))
            kind = by_id[at].get("type")
            if not (in_tool and kind in ("GENERATION", "EMBEDDING")):
                found.add(at)
            in_tool = in_tool or kind == "TOOL"
            at = word(by_id[at].get("parentObservationId"))
    return found


def _counts(row: dict[str, Any]) -> dict[str, object]:
    """The usage by key: `usageDetails`, else the older `usage` or `inputUsage` fields."""
    details = row.get("usageDetails")
    if isinstance(details, dict) and details:
        return details
    usage = row.get("usage")
    if isinstance(usage, dict) and any(usage.get(name) for name in ("input", "output", "total")):
        return usage
    older = (("input", ("inputUsage", "promptTokens")), ("output", ("outputUsage", "completionTokens")))
    counts = {own: next((row[name] for name in names if row.get(name)), None) for own, names in older}
    return {**counts, "total": row.get("totalUsage") or row.get("totalTokens")} if any(counts.values()) else {}


def add_usage(span: Span, row: dict[str, Any], flags: set[str]) -> None:
    """Counts as they are, once it is known which of them the stated total holds twice."""
    raw = _counts(row)
    counts: dict[str, int] = {}
    for name, value in raw.items():
        if (count := token_count(value)) is not None:
            counts[name] = count
        elif value is not None and name != "unit":
            flags.add(f"tokens.{name}" if len(name) < 40 and name.replace(".", "").isidentifier() else "tokens.other")
    if not any(counts.values()):
        return

    def of(names: Iterable[str]) -> int | None:
        return next((counts[name] for name in names if name in counts), None)

    whole, out, stated = counts.get("input"), counts.get("output"), counts.get("total")
    read, write, write_1h, thought = of(_READ), of(_WRITE), of(_WRITE_1H), of(_REASONING)
    cached, extra = (read or 0) + (write or 0) + (write_1h or 0), thought or 0
    # Disjoint counts come first: that is what Langfuse means, and what is believed where no total is stated.
    ways = [
        (inner_in, inner_out)
        for inner_in, inner_out in product((False, True), repeat=2)
        if not (inner_in and cached > (whole or 0)) and not (inner_out and extra > (out or 0))
    ]
    inner_in, inner_out = ways[0]
    if stated is not None:
        sums = {
            way: (whole or 0) + (out or 0) + (0 if way[0] else cached) + (0 if way[1] else extra)
            for way in reversed(ways)
        }
        fits = [way for way, total in sums.items() if total == stated]
        if fits:
            inner_in, inner_out = fits[-1]
        else:
            flags.add("total_tokens")
    span.tokens_input = whole if whole is None or not inner_in else whole - cached
    span.tokens_output = out if inner_out or not extra else (out or 0) + extra
    span.tokens_cache_read, span.tokens_cache_write_5m, span.tokens_cache_write_1h = read, write, write_1h
    span.tokens_reasoning = thought
    if whole is not None or cached:
        span.context_tokens = (span.tokens_input or 0) + cached


def add_cost(span: Span, row: dict[str, Any], flags: set[str]) -> None:
    """Dollars that Langfuse was sent or worked out. Its 0 for a model without a price is no cost that is known."""
    details = row.get("costDetails")
    total = details.get("total") if isinstance(details, dict) else None
    cost = next((one for one in (total, row.get("totalCost"), row.get("calculatedTotalCost")) if one), None)
    if cost is None:
        return
    span.cost_nano = usd_nano(_number(cost))
    if span.cost_nano is None:
        flags.add("cost")
    else:
        span.cost_basis = "reported"


def _number(value: object) -> object:
    """Langfuse's API writes decimals as text."""
    try:
        return float(value) if isinstance(value, str) and len(value) < 64 else value
    except ValueError:
        return value
