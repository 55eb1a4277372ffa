"""OpenLLMetry (traceloop): `traceloop.*` on steps, GenAI names on model calls, older ones flattened.

https://github.com/traceloop/openllmetry, opentelemetry-semantic-conventions-ai. A workflow at the root and an agent
are a run, a task is a step. What is a model call is read as GenAI.
"""

from __future__ import annotations

from collectors.formats.otel import genai
from collectors.formats.otel.draft import called, hash_of, is_root, payload, put, text, unflattened
from collectors.formats.otel.span import OtelSpan
from store.record.span import Span

KIND = "traceloop.span.kind"
_KINDS: dict[object, str | None] = {"workflow": None, "task": None, "agent": "run", "tool": "tool"}
_INPUT = ("traceloop.entity.input", "mcp.request.argument")
_OUTPUT = ("traceloop.entity.output", "mcp.response.value")
_NAME = ("traceloop.entity.name", "traceloop.workflow.name")
_TOOL = ("gen_ai.tool.name", "traceloop.entity.name")
_VERSION = ("traceloop.prompt.version", "traceloop.prompt.version_name")
_PROMPT_HASH = ("traceloop.prompt.version_hash",)
PREFIXES = ("gen_ai.prompt.", "gen_ai.completion.", "llm.request.functions.")
TAKEN = frozenset(
    {KIND, *_INPUT, *_OUTPUT, *_NAME, *_VERSION, *_PROMPT_HASH, "llm.request.type", "traceloop.prompt.template"}
)


def read(otel: OtelSpan, span: Span, flags: set[str]) -> list[Span]:
    """Fill `span` from the attributes; returns what else the record holds."""
    attributes = otel.attributes
    stated = attributes.get(KIND)
    if stated is None and ("llm.request.type" in attributes or genai.is_genai(attributes)):
        return _model_call(otel, span, flags)
    kind = _KINDS.get(stated) if isinstance(stated, str) else None
    if stated is None and attributes.get("mcp.method.name") == "tools/call":
        kind = "tool"
    span.kind = "run" if kind is None and is_root(otel) else kind
    put(span, "input", payload(attributes, _INPUT))
    put(span, "output", payload(attributes, _OUTPUT))
    if span.kind == "tool":
        called(span, text(attributes, _TOOL))
    else:
        span.name = text(attributes, _NAME) or span.name
    return []


def _model_call(otel: OtelSpan, span: Span, flags: set[str]) -> list[Span]:
    attributes = otel.attributes
    others = genai.read(otel, span, flags)
    if genai.OPERATION not in attributes and "llm.request.type" in attributes and span.kind != "llm":
        span.kind = "llm"
        genai.model(attributes, span)
        genai.usage(attributes, span, flags)
    template = attributes.get("traceloop.prompt.template")
    span.prompt_hash = text(attributes, _PROMPT_HASH) or hash_of(template) or span.prompt_hash
    span.prompt_version = text(attributes, _VERSION) or span.prompt_version
    if span.tools_hash is None:
        span.tools_hash = hash_of(unflattened(attributes, "llm.request.functions."))
    return others
