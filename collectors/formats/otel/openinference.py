"""OpenInference (Arize Phoenix and its instrumentations): `openinference.span.kind`, `llm.*`, flattened lists.

https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md. Prompt tokens include what the cache
took. Lists are flattened (`llm.input_messages.0.message.role`); they are put together where `input.value` is missing.
"""

from __future__ import annotations

from collectors.formats.otel.draft import (
    Attributes,
    called,
    count,
    finish,
    hash_of,
    is_root,
    number,
    opened,
    payload,
    put,
    set_cost,
    text,
    unflattened,
)
from collectors.formats.otel.span import OtelSpan
from collectors.formats.usage import add_usage
from store.record.span import Span

KIND = "openinference.span.kind"
_KINDS: dict[object, str | None] = {
    **dict.fromkeys(("LLM", "EMBEDDING", "RERANKER"), "llm"),
    **dict.fromkeys(("TOOL", "RETRIEVER"), "tool"),
    "AGENT": "run",
    **dict.fromkeys(("CHAIN", "GUARDRAIL", "EVALUATOR", "PROMPT", "UNKNOWN"), None),
}
_MODEL = ("llm.request.model_name", "llm.model_name", "embedding.model_name", "reranker.model_name")
_SERVED = ("llm.response.model_name",)
_PROVIDER = ("llm.provider", "llm.system")
_PROMPT = ("llm.token_count.prompt",)
_COMPLETION = ("llm.token_count.completion",)
_TOTAL = ("llm.token_count.total",)
_READ = ("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input")
_WRITE = ("llm.token_count.prompt_details.cache_write",)
_REASONING = ("llm.token_count.completion_details.reasoning",)
_COST = ("llm.cost.total",)
_COST_PARTS = ("llm.cost.prompt", "llm.cost.completion")
_TOOL = ("tool.name", "tool_call.function.name")
_TOOL_INPUT = ("input.value", "tool.parameters", "tool_call.function.arguments")
_RUN_NAME = ("agent.name", "graph.node.name")
_PROMPT_VERSION = ("llm.prompt_template.version", "prompt.id")
_FIRST_TOKEN = "First Token Stream Event"  # noqa: S105 - the name of an event
_MAX_TOOLS = 1000
PREFIXES = (
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.tools.",
    "retrieval.documents.",
    "embedding.embeddings.",
)
TAKEN = frozenset(
    {
        KIND, "input.value", "input.mime_type", "output.value", "output.mime_type", "llm.finish_reason",
        "llm.prompt_template.template", *_MODEL, *_SERVED, *_PROVIDER, *_TOOL, *_RUN_NAME, *_PROMPT_VERSION,
    }
)  # fmt: skip

COUNTED = frozenset({*_PROMPT, *_COMPLETION, *_TOTAL, *_READ, *_WRITE, *_REASONING, *_COST, *_COST_PARTS})


def read(otel: OtelSpan, span: Span, flags: set[str]) -> list[Span]:
    """Fill `span` from the attributes; returns what else the record holds: nothing."""
    attributes = otel.attributes
    span.kind = _kind_of(otel)
    span.tenant_id = span.tenant_id or _tenant(attributes.get("metadata"))
    if span.kind == "tool":
        called(span, text(attributes, _TOOL))
        put(span, "input", payload(attributes, _TOOL_INPUT))
    else:
        put(span, "input", payload(attributes, ("input.value",)) or unflattened(attributes, "llm.input_messages."))
    put(span, "output", payload(attributes, ("output.value",)) or _output(attributes))
    if span.kind == "run":
        span.name = text(attributes, _RUN_NAME) or span.name
    elif span.kind == "llm":
        _call(otel, span, flags)
    _score(attributes, span)
    return []


def _kind_of(otel: OtelSpan) -> str | None:
    stated = otel.attributes.get(KIND)
    kind = _KINDS.get(stated.upper()) if isinstance(stated, str) else "llm"
    return "run" if kind is None and is_root(otel) else kind


def _output(attributes: Attributes) -> str | None:
    return unflattened(attributes, "llm.output_messages.") or unflattened(attributes, "retrieval.documents.")


def _call(otel: OtelSpan, span: Span, flags: set[str]) -> None:
    attributes = otel.attributes
    span.model, span.model_served = text(attributes, _MODEL), text(attributes, _SERVED)
    span.provider = text(attributes, _PROVIDER)
    finish(span, attributes.get("llm.finish_reason"))
    add_usage(
        span,
        flags,
        given=count(attributes, _PROMPT),
        output=count(attributes, _COMPLETION),
        read=count(attributes, _READ),
        write=count(attributes, _WRITE),
        reasoning=count(attributes, _REASONING),
        total=count(attributes, _TOTAL),
    )
    costs = [attributes.get(name) for name in _COST]
    set_cost(span, flags, *(costs if any(one is not None for one in costs) else map(attributes.get, _COST_PARTS)))
    _prompt(attributes, span)
    for event in otel.events:
        if event.name == _FIRST_TOKEN and event.at_ns is not None and span.started_ns is not None:
            span.ttft_ns = max(0, event.at_ns - span.started_ns)
            break


def _prompt(attributes: Attributes, span: Span) -> None:
    """A template tells the prompt better than what it was filled with; else the system message does."""
    template = attributes.get("llm.prompt_template.template")
    if template is None and attributes.get("llm.input_messages.0.message.role") == "system":
        first = "llm.input_messages.0.message"
        template = attributes.get(f"{first}.content") or attributes.get(f"{first}.contents.0.message_content.text")
    span.prompt_hash = hash_of(template)
    span.prompt_version = text(attributes, _PROMPT_VERSION)
    tools: list[object] = []
    while (tool := attributes.get(f"llm.tools.{len(tools)}.tool.json_schema")) is not None and len(tools) < _MAX_TOOLS:
        tools.append(tool)
    span.tools_hash = hash_of(tools)


def _tenant(metadata: object) -> str | None:
    if isinstance(metadata, str) and "tenant" not in metadata:
        return None
    told = opened(metadata)
    return text(told, ("tenant_id", "tenant")) if isinstance(told, dict) else None


def _score(attributes: Attributes, span: Span) -> None:
    if (name := text(attributes, ("evaluation.name",))) is None:
        return
    span.score_name, span.score_label = name, text(attributes, ("evaluation.label",))
    value = number(attributes, ("evaluation.score",))
    span.score_value = float(value) if value is not None and abs(value) < float("inf") else None
