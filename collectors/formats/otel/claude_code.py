"""Claude Code's own telemetry: spans `claude_code.*` (beta) and log events, which tell of the same calls.

https://code.claude.com/docs/en/monitoring-usage. A model call is known by its request id and a tool call by its
tool_use_id, in the namespace of the session, so that a span and an event of it become one row: what the event says is
believed, for only it knows the price and the outcome. `input_tokens` is fresh input, counts may come as text.
"""

from __future__ import annotations

from collectors.formats.claude_code.keys import unique
from collectors.formats.decode import canonical, cap, text_of, token_count
from collectors.formats.otel.draft import (
    Attributes,
    count,
    fail,
    finish,
    inner,
    millis_ns,
    number,
    opened,
    payload,
    put,
    set_cost,
    text,
    yes_or_no,
)
from collectors.formats.otel.span import OtelLog, OtelSpan
from store.record.span import NANO_PER_USD, Rank, Span

PREFIX = "claude_code."
_SCOPE = "com.anthropic.claude_code"
_EVENTS = frozenset({"api_request", "api_error", "tool_result", "tool_decision", "user_prompt"})
_LONGEST_NAME = 100
_REQUEST = ("request_id", "gen_ai.response.id", "client_request_id")
_MODEL = ("gen_ai.request.model", "model")
_PROVIDER = ("gen_ai.system", "gen_ai.provider.name", "provider")
_COUNTS = {
    "tokens_input": "input_tokens",
    "tokens_output": "output_tokens",
    "tokens_cache_read": "cache_read_tokens",
    "tokens_cache_write_5m": "cache_creation_tokens",
}
_ERROR_TYPE = ("error_type", "status_code")
_TOOL_INPUT = ("tool_input", "tool_parameters", "full_command", "file_path")
_TOOL_OUTPUT = ("tool_output", "tool_result", "output", "content")
_MICRO = NANO_PER_USD // 1_000_000
TAKEN = frozenset(
    {
        "event.name", "event.timestamp", "user_prompt", "prompt", "response", "cost_usd", "cost_usd_micros", "ttft_ms",
        "duration_ms", "tool_name", "tool_use_id", "success", "error", "attempt", "stop_reason", "gen_ai.system",
        *_REQUEST, *_MODEL, *_COUNTS.values(), *_ERROR_TYPE, *_TOOL_INPUT, *_TOOL_OUTPUT,
    }
)  # fmt: skip


# --- spans


def read(otel: OtelSpan, span: Span, flags: set[str]) -> list[Span]:
    """Fill `span` from the attributes; of a tool, returns its call, which is a row of its own within the span."""
    attributes = otel.attributes
    name = otel.name.removeprefix(PREFIX)
    span.name = cap(name)
    if name == "interaction":
        span.kind = "run"
        put(span, "input", payload(attributes, ("user_prompt",)))
    elif name == "llm_request":
        _key(span, text(attributes, _REQUEST))
        _call(attributes, span, flags)
        span.rank = min(span.rank, Rank.PARTIAL)
    elif name == "tool":
        return _tool(otel, span)
    elif name == "tool.blocked_on_user":
        if span.started_ns is not None and span.ended_ns is not None:
            span.human_wait_ns = span.ended_ns - span.started_ns
    elif name == "tool.execution":
        _verdict(attributes, span)
    return []


def _call(attributes: Attributes, span: Span, flags: set[str]) -> None:
    span.kind, span.name = "llm", "llm_request"
    span.model, span.provider = text(attributes, _MODEL), text(attributes, _PROVIDER) or "anthropic"
    span.ttft_ns = millis_ns(number(attributes, ("ttft_ms",)))
    span.attempt = _small(attributes, "attempt")
    if text(attributes, ("speed",)) not in (None, "normal", "standard"):
        flags.add("speed")
    _verdict(attributes, span)
    finish(span, attributes.get("stop_reason", attributes.get("gen_ai.response.finish_reasons")))
    counts = {}
    for field, name in _COUNTS.items():
        stated = count(attributes, (name,)).value
        counts[field] = token_count(stated)
        if counts[field] is None and stated is not None:
            flags.add(f"tokens.{name}")
    if not any(counts.values()):
        return  # a call that failed: nothing was counted
    for field, value in counts.items():
        setattr(span, field, value)
    read_in = [counts[field] for field in ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m")]
    if any(one is not None for one in read_in):
        span.context_tokens = sum(one or 0 for one in read_in)


def _tool(otel: OtelSpan, span: Span) -> list[Span]:
    """The span stays as the step that holds its inner spans; the call within it is what the events tell of, too."""
    attributes = otel.attributes
    told = next((event.attributes for event in otel.events if event.name == "tool.output"), {})
    put(span, "output", payload(told, _TOOL_OUTPUT))
    call_id = text(attributes, ("tool_use_id",))
    if call_id is None:
        _called(attributes, span)
        return []
    call = inner(span, "call", "tool", started_ns=span.started_ns, ended_ns=span.ended_ns, status=span.status)
    call.error_type, call.error_message = span.error_type, span.error_message
    call.rank = min(span.rank, Rank.PARTIAL)
    _key(call, call_id)
    _called(attributes, call)
    call.parts = {**span.parts, **call.parts}
    span.parts = {}
    return [call]


def _called(attributes: Attributes, span: Span) -> None:
    span.kind = "tool"
    span.tool = span.name = _tool_name(attributes)
    put(span, "input", payload(attributes, _TOOL_INPUT))
    put(span, "output", payload(attributes, _TOOL_OUTPUT))


def _tool_name(attributes: Attributes) -> str | None:
    """As the transcript calls it: the tool of an MCP server by its server's name, where the details are logged."""
    told = attributes.get("tool_parameters")
    if isinstance(told, str) and "mcp_tool_name" in told and isinstance(told := opened(told), dict):
        server, tool = text_of(told.get("mcp_server_name")), text_of(told.get("mcp_tool_name"))
        if server and tool:
            return cap(f"mcp__{server}__{tool}")
    return text(attributes, ("tool_name",))


def _verdict(attributes: Attributes, span: Span) -> None:
    """What `success`, `error` and `decision` say."""
    if span.status is None:
        return
    success = yes_or_no(attributes.get("success"))
    decision = text(attributes, ("decision", "decision_type"))
    error = attributes.get("error")
    if decision == "reject":
        span.status, span.error_type = "refused", text(attributes, ("source", "decision_source")) or "reject"
    elif success is False or (success is None and isinstance(error, str) and error):
        fail(span, text(attributes, _ERROR_TYPE), error if isinstance(error, str) else None)


def _key(span: Span, own: str | None) -> None:
    if own is not None:
        session = span.session or ""
        span.namespace, span.span_id = f"session:{session}", unique(own, session)


def _small(attributes: Attributes, name: str) -> int | None:
    value = token_count(count(attributes, (name,)).value)
    return value if value is not None and value < 10**6 else None


# --- log events


def event_of(log: OtelLog, event: str | None) -> str | None:
    """The name of the event without its prefix, if it is one of Claude Code's, or of an agent that writes alike."""
    if event is not None and event.startswith(PREFIX):
        return event.removeprefix(PREFIX)
    body = log.body
    if isinstance(body, str) and body.startswith(PREFIX) and len(body) < _LONGEST_NAME:
        return body.removeprefix(PREFIX)
    if event is not None and (log.scope.startswith(_SCOPE) or (event == body and event in _EVENTS)):
        return event if "session.id" in log.attributes else None
    return None


def read_event(name: str, log: OtelLog, span: Span) -> list[Span]:
    """Fill `span`, which stands for the moment of the event. Its run is the trace, else the prompt that it serves."""
    attributes = log.attributes
    flags = set(log.flags)
    span.name = cap(name)
    span.parent_id = None  # the span id of some events is that of another call
    span.run_id = log.trace_id or text(attributes, ("prompt.id",))
    lasted_ns = millis_ns(number(attributes, ("duration_ms",)))
    if lasted_ns is not None and log.at_ns is not None:
        span.started_ns = max(log.at_ns - lasted_ns, 1)
    if name in ("api_request", "api_error"):
        _key(span, text(attributes, _REQUEST))
        _call(attributes, span, flags)
        if name == "api_error":
            fail(span, text(attributes, _ERROR_TYPE) or "api_error", text(attributes, ("error",)))
        else:
            _cost(attributes, span, flags)
    elif name == "tool_result":
        _key(span, text(attributes, ("tool_use_id",)))
        _called(attributes, span)
        _verdict(attributes, span)
    elif name == "tool_decision":
        _decision(attributes, span)
    elif name == "assistant_response" and (request := text(attributes, _REQUEST)) is not None:
        _key(span, request)
        _call(attributes, span, flags)
        put(span, "output", payload(attributes, ("response",)))
        span.rank = Rank.PARTIAL  # the event of the request knows more of the same call
    else:
        _moment(name, attributes, span)
    rest = {key: one for key, one in attributes.items() if key not in TAKEN}
    if rest:
        span.parts["attributes"] = canonical(rest)
    span.flags = ",".join(sorted(flags)) or None
    return [span]


def _cost(attributes: Attributes, span: Span, flags: set[str]) -> None:
    micros = token_count(count(attributes, ("cost_usd_micros",)).value)
    if micros is not None:
        span.cost_nano, span.cost_basis = micros * _MICRO, "reported"
    else:
        stated = attributes.get("cost_usd")
        dollars = number(attributes, ("cost_usd",))
        set_cost(span, flags, stated if dollars is None else dollars)


def _decision(attributes: Attributes, span: Span) -> None:
    """A call that was let through has begun; one that was not is over."""
    _key(span, text(attributes, ("tool_use_id",)))
    _called(attributes, span)
    _verdict(attributes, span)
    if span.status == "ok":
        if text(attributes, ("tool_use_id",)) is None:
            span.kind = span.tool = None  # nothing would ever say that it has ended
        else:
            span.rank, span.ended_ns, span.status = Rank.STARTED, None, None


def _moment(name: str, attributes: Attributes, span: Span) -> None:
    """What is neither a call nor a tool: a prompt, an answer, a refusal, a failure of its own."""
    put(span, "input", payload(attributes, ("prompt",)))
    put(span, "output", payload(attributes, ("response",)))
    if name == "api_refusal":
        span.status = "refused"
    elif name == "internal_error":
        fail(span, text(attributes, ("error_name", *_ERROR_TYPE)), text(attributes, ("error",)))
