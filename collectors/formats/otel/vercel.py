"""Vercel AI SDK telemetry: `ai.*` on its spans, with GenAI names beside them on model calls.

https://ai-sdk.dev/docs/ai-sdk-core/telemetry. `ai.generateText` and its like wrap the calls that they make
(`.doGenerate`, `.doStream`, `.doEmbed`) and repeat their usage, so only the inner ones carry tokens. The names of
counts differ by version and call: promptTokens, inputTokens, tokens.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.otel import genai
from collectors.formats.otel.draft import (
    Attributes,
    called,
    count,
    finish,
    hash_of,
    is_root,
    millis_ns,
    number,
    opened,
    payload,
    put,
    system_hash,
    text,
)
from collectors.formats.otel.span import OtelSpan
from collectors.formats.usage import NONE, Count, add_usage, within
from store.record.span import Span

OPERATION = "ai.operationId"
_TOOL_CALL = "ai.toolCall"
_CALLS = (".doGenerate", ".doStream", ".doEmbed", ".doRerank")
_GIVEN = ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens")
_OUTPUT_TOKENS = ("ai.usage.outputTokens", "ai.usage.completionTokens")
_READ = ("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens")
_WRITE = ("ai.usage.inputTokenDetails.cacheWriteTokens",)
_FRESH = ("ai.usage.inputTokenDetails.noCacheTokens",)
_REASONING = ("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens")
_TOTAL = ("ai.usage.totalTokens",)
_INPUT = ("ai.prompt.messages", "ai.prompt", "ai.value", "ai.values")
_OUTPUT = ("ai.response.text", "ai.response.object", "ai.response.toolCalls")
_METADATA = "ai.response.providerMetadata"
_MODEL, _SERVED, _PROVIDER = ("ai.model.id",), ("ai.response.model",), ("ai.model.provider",)
TAKEN = frozenset(
    {
        OPERATION, "operation.name", "ai.embedding", "ai.embeddings", "ai.toolCall.name", "ai.toolCall.args",
        "ai.toolCall.result", "ai.response.finishReason", "ai.prompt.tools", "ai.response.msToFirstChunk",
        *_INPUT, *_OUTPUT, *_SERVED,
    }
)  # fmt: skip
"""Vectors are among them: an embedding is no text that anybody reads."""
COUNTED = frozenset({*_MODEL, *_PROVIDER, *_GIVEN, *_OUTPUT_TOKENS, *_READ, *_WRITE, *_FRESH, *_REASONING, *_TOTAL})


def read(otel: OtelSpan, span: Span, flags: set[str]) -> list[Span]:
    """Fill `span` from the attributes; returns what else the record holds: nothing."""
    attributes = otel.attributes
    operation = attributes.get(OPERATION)
    operation = operation if isinstance(operation, str) else ""
    if operation == _TOOL_CALL:
        called(span, text(attributes, ("ai.toolCall.name",)))
        put(span, "input", payload(attributes, ("ai.toolCall.args",)))
        put(span, "output", payload(attributes, ("ai.toolCall.result",)))
        return []
    put(span, "input", payload(attributes, _INPUT))
    for name in _OUTPUT:
        put(span, f"output:{name.rpartition('.')[2]}", payload(attributes, (name,)))
    finish(span, attributes.get("ai.response.finishReason"))
    if not operation.endswith(_CALLS):
        span.kind = "run" if is_root(otel) else None
        span.name = text(attributes, ("ai.telemetry.functionId",)) or span.name
        return []
    span.kind = "llm"
    span.model, span.model_served = text(attributes, _MODEL), text(attributes, _SERVED)
    provider = text(attributes, _PROVIDER)
    span.provider = provider.partition(".")[0] if provider else None  # `openai.responses` is an API of openai
    span.ttft_ns = millis_ns(number(attributes, ("ai.response.msToFirstChunk",)))
    span.prompt_hash = system_hash(attributes.get("ai.prompt.messages"))
    span.tools_hash = hash_of(attributes.get("ai.prompt.tools"))
    _usage(attributes, span, flags)
    return []


def _usage(attributes: Attributes, span: Span, flags: set[str]) -> None:
    given = count(attributes, _GIVEN)
    if given.value is None:
        genai.usage(attributes, span, flags)
        return
    read_, write, fresh = count(attributes, _READ), count(attributes, _WRITE), count(attributes, _FRESH)
    short, long = _writes(attributes.get(_METADATA), write)
    output = count(attributes, _OUTPUT_TOKENS)
    if output.value is None and given.name == "ai.usage.tokens":
        output = Count("ai.usage.tokens", 0)  # an embedding has no output that is billed
    add_usage(
        span,
        flags,
        given=given,
        output=output,
        read=read_,
        write=short,
        write_1h=long,
        reasoning=count(attributes, _REASONING),
        total=count(attributes, _TOTAL),
    )
    if isinstance(fresh.value, int) and span.tokens_input not in (None, fresh.value):
        flags.add("total_tokens")


def _writes(metadata: object, write: Count) -> tuple[Count, Count]:
    """Cache writes of 5 minutes and of 1 hour, which Anthropic bills apart and only its own metadata tells apart."""
    if isinstance(metadata, str) and "ephemeral_1h_input_tokens" in metadata:
        told: dict[str, Any] = within(opened(metadata), "anthropic", "usage", "cache_creation")
        short, long = told.get("ephemeral_5m_input_tokens"), told.get("ephemeral_1h_input_tokens")
        if isinstance(short, int) and isinstance(long, int) and short + long == write.value:
            return Count("ephemeral_5m_input_tokens", short), Count("ephemeral_1h_input_tokens", long)
    return write, NONE
