"""OpenTelemetry's GenAI conventions, the current names and those before them.

https://github.com/open-telemetry/semantic-conventions-genai. Input tokens include what the cache took. There is no
cost in them; `gen_ai.usage.cost` and the like are additions of single writers. Spans of an agent or a workflow sum up
the usage of what they hold, so they carry none here.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.otel.draft import (
    Attributes,
    called,
    count,
    finish,
    hash_of,
    inner,
    is_root,
    number,
    opened,
    payload,
    put,
    seconds_ns,
    set_cost,
    system_hash,
    text,
    unflattened,
)
from collectors.formats.otel.span import OtelSpan
from collectors.formats.usage import add_usage
from store.record.span import Span

OPERATION = "gen_ai.operation.name"
KINDS: dict[str, str | None] = {
    **dict.fromkeys(("chat", "generate_content", "text_completion", "embeddings"), "llm"),
    **dict.fromkeys(("call_llm", "llm_call", "completion", "embedding", "responses"), "llm"),  # of single writers
    "execute_tool": "tool",
    "retrieval": "tool",
    **dict.fromkeys(("invoke_agent", "invoke_workflow", "create_agent"), "run"),
    "plan": "reasoning",
    "fetch_response": None,  # an answer read once more: no inference
    "agent_step": None,  # of the Vercel AI SDK: it sums up the call within it
    **dict.fromkeys(
        (
            f"{what}_memory{store}"
            for what in ("create", "search", "update", "upsert", "delete")
            for store in ("", "_store")
        ),
        "tool",
    ),
}
_MODEL = ("gen_ai.request.model",)
_SERVED = ("gen_ai.response.model",)
_PROVIDER = ("gen_ai.provider.name", "gen_ai.system")
INPUT_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
OUTPUT_TOKENS = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.details.cached_tokens",
)
_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
)
_TOTAL = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens")
_COST = ("gen_ai.usage.cost", "gen_ai.usage.total_cost")
_COST_PARTS = ("gen_ai.usage.input_cost", "gen_ai.usage.output_cost")
_INPUT = ("gen_ai.input.messages", "gen_ai.prompt", "input")
_OUTPUT = ("gen_ai.output.messages", "gen_ai.completion", "gen_ai.output", "output")
_TOOL = ("gen_ai.tool.name",)
_TOOL_INPUT = ("gen_ai.tool.call.arguments", "gen_ai.tool.args", "gen_ai.tool.input", "input")
_TOOL_OUTPUT = ("gen_ai.tool.call.result", "gen_ai.tool.result", "gen_ai.tool.output", "gen_ai.output", "output")
_RUN_NAME = ("gen_ai.agent.name", "gen_ai.workflow.name", "gen_ai.agent.id")
_WAIT = ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
_FINISH = ("gen_ai.response.finish_reasons", "gen_ai.agent.finish_reason", "gen_ai.completion.0.finish_reason")
_PROMPT_VERSION = ("gen_ai.prompt.version",)
PREFIXES = ("gen_ai.prompt.", "gen_ai.completion.")
TAKEN = frozenset(
    {
        OPERATION, "gen_ai.system_instructions", "gen_ai.tool.definitions", "gen_ai.tool.call.id",
        *_SERVED, *_PROVIDER,
        *_INPUT, *_OUTPUT, *_TOOL, *_TOOL_INPUT, *_TOOL_OUTPUT, *_RUN_NAME, *_WAIT, *_FINISH,
        *_PROMPT_VERSION,
    }
)  # fmt: skip
COUNTED = frozenset(
    {*_MODEL, *INPUT_TOKENS, *OUTPUT_TOKENS, *_READ, *_WRITE, *_REASONING, *_TOTAL, *_COST, *_COST_PARTS}
)


def is_genai(attributes: Attributes) -> bool:
    """True where a span speaks this vocabulary."""
    return (
        OPERATION in attributes
        or "gen_ai.request.model" in attributes
        or "gen_ai.system" in attributes
        or "gen_ai.provider.name" in attributes
        or "gen_ai.tool.name" in attributes
        or "gen_ai.agent.name" in attributes
    )


def read(otel: OtelSpan, span: Span, flags: set[str]) -> list[Span]:
    """Fill `span` from the attributes; returns what else the record holds."""
    attributes = otel.attributes
    span.kind = kind_of(otel)
    if span.kind == "tool":
        return _tool(attributes, span)
    put(span, "input", payload(attributes, _INPUT) or _flat(attributes, PREFIXES[0]))
    put(span, "output", payload(attributes, _OUTPUT) or _flat(attributes, PREFIXES[1]))
    finish(span, next((attributes[name] for name in _FINISH if name in attributes), None))
    identity(attributes, span)
    if span.kind == "run":
        span.name = text(attributes, _RUN_NAME) or span.name
    elif span.kind == "llm":
        model(attributes, span)
        usage(attributes, span, flags)
        cost = next((attributes[name] for name in _COST if attributes.get(name) is not None), None)
        if cost is not None:
            set_cost(span, flags, cost)
        else:
            set_cost(span, flags, *(attributes.get(name) for name in _COST_PARTS))
        return thoughts(attributes.get("gen_ai.output.messages"), span)
    return []


def kind_of(otel: OtelSpan) -> str | None:
    """By the operation; without one that is known, by what else is said. A root that is neither call is the run."""
    attributes = otel.attributes
    operation = attributes.get(OPERATION)
    if operation.__class__ is str and operation in KINDS:
        return KINDS[operation]
    if "gen_ai.tool.name" in attributes:
        return "tool"
    if operation is None and "agent_name" in attributes:
        return "run"  # of Pydantic AI before it named operations: a sum over the calls within
    if any(name in attributes for name in (*INPUT_TOKENS, *OUTPUT_TOKENS, "gen_ai.response.model")):
        return "llm"
    if operation is None and "gen_ai.request.model" in attributes:
        return "llm"
    return "run" if is_root(otel) else None


def identity(attributes: Attributes, span: Span) -> None:
    """What was asked for: prompt and tools."""
    if (told := attributes.get("gen_ai.system_instructions")) is not None:
        span.prompt_hash = hash_of(told)
    else:
        told = attributes.get("gen_ai.prompt.0.content") if attributes.get("gen_ai.prompt.0.role") == "system" else None
        span.prompt_hash = hash_of(told) or system_hash(attributes.get("gen_ai.input.messages"))
    if (tools := attributes.get("gen_ai.tool.definitions")) is not None:
        span.tools_hash = hash_of(tools)
    span.prompt_version = text(attributes, _PROMPT_VERSION)


def model(attributes: Attributes, span: Span) -> None:
    """Who was asked and who answered."""
    span.model = text(attributes, _MODEL)
    span.model_served = text(attributes, _SERVED)
    span.provider = text(attributes, _PROVIDER)
    if (waited := number(attributes, _WAIT)) is not None:
        span.ttft_ns = seconds_ns(waited)


def usage(attributes: Attributes, span: Span, flags: set[str]) -> None:
    """Tokens; the input includes what the cache took."""
    add_usage(
        span,
        flags,
        given=count(attributes, INPUT_TOKENS),
        output=count(attributes, OUTPUT_TOKENS),
        read=count(attributes, _READ),
        write=count(attributes, _WRITE),
        reasoning=count(attributes, _REASONING),
        total=count(attributes, _TOTAL),
    )


def _tool(attributes: Attributes, span: Span) -> list[Span]:
    called(span, text(attributes, _TOOL))
    put(span, "input", payload(attributes, _TOOL_INPUT))
    put(span, "output", payload(attributes, _TOOL_OUTPUT))
    return []


def _flat(attributes: Attributes, prefix: str) -> str | None:
    """The older, flattened messages; that they are there shows in the first."""
    if f"{prefix}0.content" in attributes or f"{prefix}0.role" in attributes:
        return unflattened(attributes, prefix)
    return None


def thoughts(messages: object, span: Span) -> list[Span]:
    """The reasoning that stands within an answer's messages, each a span."""
    if messages is None or (
        isinstance(messages, str) and '"reasoning"' not in messages and '"thinking"' not in messages
    ):
        return []
    found: list[Span] = []
    for message in _listed(opened(messages)):
        for part in _listed(message.get("parts") if isinstance(message, dict) else None):
            if isinstance(part, dict) and part.get("type") in ("reasoning", "thinking"):
                thought = inner(
                    span,
                    f"reasoning:{len(found)}",
                    "reasoning",
                    started_ns=span.started_ns,
                    ended_ns=span.ended_ns,
                    status=None if span.ended_ns is None else "ok",
                )
                said = part.get("content", part.get("text"))
                put(thought, "output", said if isinstance(said, str) else None)
                found.append(thought)
    return found


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
