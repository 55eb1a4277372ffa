"""Token counts of the dialects whose input includes what the cache took: OpenAI, LiteLLM, LangChain, Datadog.

FORMATS: such an `input` is stored as fresh = input - cached. Where a stated total shows that a writer means fresh
input after all, its own total is believed; where nothing adds up, the parts are kept and `total_tokens` is flagged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from collectors.formats.decode import token_count
from store.record.span import Span


class Count(NamedTuple):
    """A count as the log has it, and the name of its field, which becomes a flag if the count cannot be read."""

    name: str
    value: object


NONE = Count("", None)


def first(row: object, *names: str) -> Count:
    """The first of these fields of `row` that holds anything."""
    if isinstance(row, dict):
        for name in names:
            if row.get(name) is not None:
                return Count(name, row[name])
    return NONE


def within(row: object, *path: str) -> dict[str, Any]:
    """The object at this path, or an empty one. A list that holds one object is that object."""
    for name in path:
        row = row.get(name) if isinstance(row, dict) else None
        if isinstance(row, list) and row:
            row = row[0]
    return row if isinstance(row, dict) else {}


def add_usage(
    span: Span,
    flags: set[str],
    *,
    given: Count,
    output: Count,
    read: Count = NONE,
    write: Count = NONE,
    write_1h: Count = NONE,
    reasoning: Count = NONE,
    total: Count = NONE,
) -> None:
    """Put the counts of a call into `span`. `given` is all input: it includes `read`, `write` (5 min) and `write_1h`.

    Counts that are all zero were not counted: they stay unknown. A count that is no number is flagged as
    `tokens.<field>`.
    """
    whole, out = _count(given, flags), _count(output, flags)
    cached = [_count(one, flags) for one in (read, write, write_1h)]
    thought, stated = _count(reasoning, flags), _count(total, flags)
    if not any((whole, out, *cached, thought)):
        return
    from_cache = sum(one or 0 for one in cached)
    fresh = whole
    if whole is not None and from_cache:
        apart = stated is not None and stated == whole + from_cache + (out or 0)
        if not apart and from_cache <= whole:
            fresh = whole - from_cache
        elif not apart:
            flags.add("total_tokens")
    spent = (fresh or 0) + from_cache
    if stated is not None and stated != spent + (out or 0):
        if out is not None and thought and stated == spent + out + thought:
            out += thought  # a writer that counts reasoning beside the answer
        else:
            flags.add("total_tokens")
    span.tokens_input, span.tokens_output, span.tokens_reasoning = fresh, out, thought
    span.tokens_cache_read, span.tokens_cache_write_5m, span.tokens_cache_write_1h = cached
    if whole is not None or from_cache:
        span.context_tokens = spent


def _count(count: Count, flags: set[str]) -> int | None:
    counted = token_count(count.value)
    if counted is None and count.value is not None:
        flags.add(f"tokens.{count.name}")
    return counted
