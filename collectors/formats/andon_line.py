"""One line of Andon NDJSON as a typed struct; the published JSON Schema is generated from it."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from collectors.formats.decode import MAX_COST_NANO, MAX_INT, MAX_TEXT_CHARS, MAX_TOKENS
from store.record.span import NANO_PER_USD

Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
Kind = Literal["run", "llm", "tool", "reasoning", "side_effect"]
Status = Literal["ok", "error", "aborted", "capped", "refused", "cancelled"]
EffectStatus = Literal["planned", "sent", "confirmed", "failed", "unknown", "compensated"]
Reversible = Literal["yes", "no", "unknown"]
Count = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Number64 = Annotated[int, Meta(ge=0, le=MAX_INT)]
Ms = Annotated[float, Meta(ge=0, le=1e12, description="milliseconds")]
Usd = Annotated[float, Meta(ge=0, le=MAX_COST_NANO / NANO_PER_USD, description="US dollars")]
When = Annotated[
    str | int | float | None,
    Meta(description="ISO 8601, or a number of s, ms, us or ns since 1970 (told apart by size)"),
]


class Wait(msgspec.Struct, forbid_unknown_fields=True):
    """Time within the span that was spent waiting for a human, or in a queue."""

    human_ms: Ms | None = None
    queue_ms: Ms | None = None


class Tokens(msgspec.Struct, forbid_unknown_fields=True):
    """`input` is fresh input only: cached tokens are counted apart. `reasoning` is part of `output`."""

    input: Count | None = None
    cache_read: Count | None = None
    cache_write_5m: Count | None = None
    cache_write_1h: Count | None = None
    output: Count | None = None
    reasoning: Count | None = None


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    """The tool that was called."""

    name: Text | None = None
    call_id: Text | None = None
    args: Any = None
    result: Any = None


class Effect(msgspec.Struct, forbid_unknown_fields=True):
    """What the step did outside."""

    system: Text | None = None
    operation: Text | None = None
    resource: Text | None = None
    status: EffectStatus | None = None
    idempotency_key: Text | None = None
    external_id: Text | None = None
    reversible: Reversible | bool | None = None


class Score(msgspec.Struct, forbid_unknown_fields=True):
    """A judgement of the step."""

    name: Text | None = None
    value: float | None = None
    label: Text | None = None


class Guard(msgspec.Struct, forbid_unknown_fields=True):
    """The guard's own numbering of its answers, so that a leak is seen without a clock."""

    instance: Text | None = None
    action: Number64 | None = None


class AndonLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One object a line when a span ends, and optionally one when it starts.

    Required: `session_id`, `kind` and a time. `time`, `ended_at`, or `duration_ms` beside `started_at` means
    ended. `started_at` alone is a start and needs `span_id`. Unknown fields are kept with the payload.
    """

    session_id: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
    kind: Kind
    run_id: Text | None = None
    span_id: Text | None = None
    parent_id: Text | None = None
    agent: Text | None = None
    agent_version: Text | None = None
    environment: Text | None = None
    host: Text | None = None
    user_id: Text | None = None
    tenant_id: Text | None = None
    credential_id: Text | None = None
    time: When = None
    started_at: When = None
    ended_at: When = None
    duration_ms: Ms | None = None
    ttft_ms: Ms | None = None
    wait: Wait | None = None
    status: Status | None = None
    error_type: Text | None = None
    error_message: str | None = None
    model: Text | None = None
    model_served: Text | None = None
    provider: Text | None = None
    tokens: Tokens | None = None
    cost_usd: Usd | None = None
    tool: Tool | None = None
    effect: Effect | None = None
    prompt_hash: Text | None = None
    prompt_version: Text | None = None
    tools_hash: Text | None = None
    retry_of: Text | None = None
    attempt: Count | None = None
    context_tokens: Count | None = None
    context_limit: Count | None = None
    score: Score | None = None
    guard: Guard | None = None
    input: Any = None
    output: Any = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a line, as docs/andon-ndjson.schema.json holds it."""
    (_,), components = msgspec.json.schema_components([AndonLine], ref_template="#/$defs/{name}")
    for component in components.values():
        component.pop("additionalProperties", None)  # unknown fields are welcome: they stay with the payload
        component["description"] = inspect.cleandoc(component["description"])
    line = components.pop("AndonLine")
    line["anyOf"] = [{"required": [name]} for name in ("time", "started_at", "ended_at")]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Andon NDJSON, one line",
        **{key: value for key, value in line.items() if key != "title"},
        "$defs": dict(sorted(components.items())),
    }


if __name__ == "__main__":
    import json
    import sys

    json.dump(json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
