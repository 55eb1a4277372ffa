"""What the fields of a Claude Agent SDK stream mean: how a request ended, and what it used.

`total_cost_usd` and `modelUsage` of a result are running totals of the process that wrote it, `usage` is of the one
request: with one result a process the first two are of the one request as well. Said by the maintainers in
anthropics/claude-code issue 83239.
"""

from __future__ import annotations

from typing import Any

import msgspec

from collectors.formats.decode import canonical, message_of, text_of, token_count, usd_nano, word
from store.record.span import Span

# Messages that are known and carry no span.
SILENT_TYPES = frozenset(
    [
        "auth_status",
        "control_cancel_request",
        "control_request",
        "control_response",
        "keep_alive",
        "prompt_suggestion",
        "rate_limit_event",
        "stream_event",
        "tool_progress",
        "tool_use_summary",
    ]
)
_CAPPED = frozenset(["error_max_budget_usd", "error_max_structured_output_retries", "error_max_turns"])
_MODEL_FIELDS = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "outputTokens")
_FIELDS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_FIGURES = ("duration_api_ms", "duration_ms", "modelUsage", "num_turns", "permission_denials", "subtype", "ttft_ms")
_MAX_MODELS = 16


class Totals(msgspec.Struct, array_like=True):
    """What the newest result said in all: nano-dollars, and by model [input, cache read, cache write, output]."""

    cost_nano: int | None = None
    models: dict[str, list[int]] = {}


def outcome_of(result: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """(status, error type, error message) of the request that a result ends."""
    subtype = word(result.get("subtype"))
    if result.get("stop_reason") == "refusal":
        return "refused", "refusal", None
    if subtype == "success" and result.get("is_error") is not True:
        return "ok", None, None
    said = result.get("result", result.get("errors"))
    message = message_of(canonical(said)) if said else None
    if subtype in _CAPPED:
        return "capped", subtype, message
    return "error", text_of("api_error" if subtype == "success" else subtype) or "error", message


def figures_of(result: dict[str, Any]) -> str:
    """The figures of a result as they were written, for what has no column: how long, how many turns, which models."""
    return canonical({name: result[name] for name in _FIGURES if result.get(name) is not None})


def add_result(span: Span, result: dict[str, Any], before: Totals, flags: set[str]) -> Totals:
    """Put tokens and cost of one request into its run, and return the totals that the next result starts from."""
    usage = result.get("usage")
    own = [token_count(usage.get(name)) for name in _FIELDS] if isinstance(usage, dict) else None
    now = Totals(usd_nano(result.get("total_cost_usd")), _models(result.get("modelUsage")))
    if result.get("total_cost_usd") is not None and now.cost_nano is None:
        flags.add("total_cost_usd")
    if isinstance(usage, dict) and own is not None:
        flags.update(f"tokens.{n}" for n, one in zip(_FIELDS, own, strict=True) if one is None and usage.get(n))
    used = {name: counts for name, counts in _used(now, before, own).items() if any(counts)}
    span.cost_nano = _cost(now, before, used)
    span.cost_basis = None if span.cost_nano is None else "reported"
    if len(used) == 1:
        (span.model,) = used  # of several models the run has no one price
    elif used:
        span.model = None
    counts = [sum(column) for column in zip(*used.values(), strict=True)] if used else own
    if counts is not None:
        span.tokens_input, span.tokens_cache_read, written, span.tokens_output = counts
        short, long = _writes(usage)
        long = min(long, written or 0)
        span.tokens_cache_write_1h = long if short is not None else None
        span.tokens_cache_write_5m = None if written is None else written - long
    return now


def context_of(usage: object) -> int | None:
    """How much the model read for one answer. What it wrote is not known yet when the stream says this."""
    if not isinstance(usage, dict):
        return None
    counts = [token_count(usage.get(name)) for name in _FIELDS[:3]]
    return sum(one or 0 for one in counts) if any(counts) else None


def _models(usage: object) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, figures in usage.items() if isinstance(usage, dict) else ():
        if isinstance(figures, dict) and (model := text_of(name)) and len(found) < _MAX_MODELS:
            found[model] = [token_count(figures.get(field)) or 0 for field in _MODEL_FIELDS]
    return found


def _used(now: Totals, before: Totals, own: list[int | None] | None) -> dict[str, list[int]]:
    """By model, what this request used: the totals, or what they grew by."""
    return now.models if _is_new_process(now, before, own) else _growth(now, before)


def _growth(now: Totals, before: Totals) -> dict[str, list[int]]:
    none = [0] * len(_MODEL_FIELDS)
    return {
        name: [new - old for new, old in zip(counts, before.models.get(name, none), strict=True)]
        for name, counts in now.models.items()
    }


def _is_new_process(now: Totals, before: Totals, own: list[int | None] | None) -> bool:
    """True if the totals do not go on from those before: they fell, or they are what this one request used."""
    if not before.models and before.cost_nano is None:
        return True
    if (now.cost_nano or 0) < (before.cost_nano or 0):
        return True
    if not now.models:
        return False  # an older version: the cost alone goes on
    if not before.models.keys() <= now.models.keys():
        return True
    growth = _growth(now, before)
    if any(one < 0 for counts in growth.values() for one in counts):
        return True
    whole = [sum(column) for column in zip(*now.models.values(), strict=True)] if now.models else None
    grown = [sum(column) for column in zip(*growth.values(), strict=True)] if growth else None
    return own is not None and whole == own and grown != own


def _cost(now: Totals, before: Totals, used: dict[str, list[int]]) -> int | None:
    if now.cost_nano is None:
        return None
    whole = {name: counts for name, counts in now.models.items() if any(counts)}
    if before.cost_nano is None or now.cost_nano < before.cost_nano or (whole and before.models and used == whole):
        return now.cost_nano
    return now.cost_nano - before.cost_nano


def _writes(usage: object) -> tuple[int | None, int]:
    split = usage.get("cache_creation") if isinstance(usage, dict) else None
    if not isinstance(split, dict):
        return None, 0
    short, long = (token_count(split.get(f"ephemeral_{one}_input_tokens")) for one in ("5m", "1h"))
    return short, long or 0
