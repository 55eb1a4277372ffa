"""OpenAI Agents SDK traces: what its exporters send, `trace` and `trace.span` objects, one a line or in lists.

Shapes as `Trace.export()` and `Span.export()` of openai-agents write them, `{"data": […]}` as its backend exporter
posts them. Namespace `trace:<trace_id>`. A trace has no time of its own: it names the session (`group_id`) and the
agent (`workflow_name`) of its spans. Task and turn spans sum up the usage of what they hold, so they carry none here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from collectors.formats.base import SourceFacts
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_value,
    digest,
    message_of,
    text_of,
    time_ns,
    type_name,
    word,
)
from collectors.formats.items import ItemsParser, mostly
from collectors.formats.usage import add_usage, first, within
from store.record.span import Rank, Span

_KINDS: dict[str, str | None] = {
    "agent": "run",
    "generation": "llm",
    "response": "llm",
    "transcription": "llm",
    "speech": "llm",
    "function": "tool",
    **dict.fromkeys(("custom", "guardrail", "handoff", "mcp_tools", "speech_group"), None),
}
_STATUSES = {
    "Max turns exceeded": "capped",
    "Guardrail tripwire triggered": "refused",
    "Tool execution cancelled": "cancelled",
    "Tool execution rejected": "refused",
}
_MAX_TRACES = 48
_LONGEST_ID_BYTES = 80


class State(msgspec.Struct, array_like=True):
    """Of the newest traces of the file: id -> (session, agent)."""

    traces: dict[str, tuple[str | None, str | None]] = {}


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class OpenAIAgents:
    """The format itself."""

    name = "openai-agents"
    namespace = "trace"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            rows = list(_rows(value))
            hits += mostly(rows, _is_item)
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> OpenAIAgentsParser:
        return OpenAIAgentsParser(facts, state)


def _rows(value: object) -> Iterable[object]:
    if isinstance(value, dict) and isinstance(value.get("data"), list) and "object" not in value:
        value = value["data"]
    return value if isinstance(value, list) else [value]


def _is_item(row: object) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return False
    if row.get("object") == "trace":
        return "workflow_name" in row
    return row.get("object") == "trace.span" and "span_data" in row and "trace_id" in row


class OpenAIAgentsParser(ItemsParser):
    """Reads one export in order; a trace stands before its spans."""

    def __init__(self, facts: SourceFacts, state: bytes = b"") -> None:
        self._agent = facts.agent
        super().__init__(OpenAIAgents.name)
        try:
            self._state = _decode_state(state) if state else State()
        except msgspec.MsgspecError:  # written by another version of this program
            self._state = State()

    def state(self) -> bytes:
        return _encode_state(self._state)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)
        rows = list(_rows(value))
        for row in rows:  # a trace names the session of its spans, wherever it stands
            if isinstance(row, dict) and row.get("object") == "trace":
                self._trace(row)

        def read(row: object) -> None:
            if not isinstance(row, dict) or row.get("object") not in ("trace", "trace.span"):
                raise UnreadableError("neither a trace nor a span")
            if row["object"] == "trace.span":
                self._item(row, mended)
            elif text_of(row.get("id")) is None:
                raise UnreadableError("a trace without an id")

        self._each(rows, read)

    def _trace(self, row: dict[str, Any]) -> None:
        trace_id = text_of(row.get("id"))
        if trace_id is None:
            return
        traces = self._state.traces
        traces.pop(_short(trace_id), None)
        session, agent = text_of(row.get("group_id")), text_of(row.get("workflow_name"))
        traces[_short(trace_id)] = (session and _short(session), agent and _short(agent))
        if len(traces) > _MAX_TRACES:
            del traces[next(iter(traces))]

    def _item(self, row: dict[str, Any], mended: set[str]) -> None:
        own = row.get("span_data")
        trace_id, span_id = text_of(row.get("trace_id")), text_of(row.get("id"))
        started, ended = time_ns(row.get("started_at")), time_ns(row.get("ended_at"))
        if not isinstance(own, dict) or trace_id is None or span_id is None:
            raise UnreadableError("a span without its ids or its data")
        kind = word(own.get("type"))
        if kind not in _KINDS:
            self._unknown(type_name(kind))
            return
        if started is None and ended is None:
            raise UnreadableError("no time that can be read")
        session, workflow = self._state.traces.get(_short(trace_id), (None, None))
        span = Span(
            namespace=f"trace:{trace_id}",
            span_id=span_id,
            session=session or trace_id,
            run_id=trace_id,
            parent_id=text_of(row.get("parent_id")),
            kind=_KINDS[kind],
            name=_name(own, kind),
            format=OpenAIAgents.name,
            agent=self._agent or workflow or OpenAIAgents.name,
            started_ns=started,
            ended_ns=ended if ended is None or started is None else max(ended, started),
            rank=Rank.STARTED if ended is None else Rank.ENDED,
            status=None if ended is None else "ok",
        )
        flags = set(mended)
        _add_payload(span, own, kind)
        if kind == "function":
            span.tool = span.name
        elif kind == "guardrail" and own.get("triggered") is True and ended is not None:
            span.status = "refused"
        elif span.kind == "llm":
            span.model = text_of(own.get("model"))
            _usage(span, own.get("usage"), flags)
        if ended is not None:
            _add_error(span, row.get("error"))
        span.flags = ",".join(sorted(flags)) or None
        self._out.spans.append(span)


def _short(text: str) -> str:
    """An id that keeps the state small; a long one is known by its hash."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= _LONGEST_ID_BYTES else digest(data)


def _name(own: dict[str, Any], kind: str) -> str:
    """What the span calls itself; a turn has its number, a handoff its two sides."""
    data = within(own, "data")
    if kind == "custom" and data.get("sdk_span_type") == "turn" and isinstance(data.get("turn"), int):
        return cap(f"turn {data['turn']}")
    if kind == "handoff":
        return cap(f"handoff {text_of(own.get('from_agent')) or '?'} to {text_of(own.get('to_agent')) or '?'}")
    if kind == "mcp_tools":
        return cap(f"mcp_tools {text_of(own.get('server')) or '?'}")
    return text_of(own.get("name")) or kind


def _add_payload(span: Span, own: dict[str, Any], kind: str) -> None:
    if kind in ("speech", "transcription"):
        parts = {"input": own.get("input"), "output": own.get("output")}
        texts = {name: one for name, one in parts.items() if isinstance(one, str)}  # the other is audio
        span.parts.update(texts)
        return
    for name, value in (("input", own.get("input")), ("output", own.get("output"))):
        if value is not None:
            span.parts[name] = canonical(value)
    if own.get("mcp_data") is not None:
        span.parts["details"] = canonical(own["mcp_data"])
    elif kind == "custom" and own.get("data") is not None:
        span.parts["details"] = canonical(own["data"])
    elif kind == "mcp_tools" and own.get("result") is not None:
        span.parts["output"] = canonical(own["result"])


def _usage(span: Span, usage: object, flags: set[str]) -> None:
    """OpenAI's dialect. The exporter to OpenAI's own backend moves what it does not know into `details`."""
    details, inner = within(usage, "details"), within(usage, "input_tokens_details")
    inner = inner or within(details, "input_tokens_details")
    outer = within(usage, "output_tokens_details") or within(details, "output_tokens_details")
    total = first(usage, "total_tokens")
    add_usage(
        span,
        flags,
        given=first(usage, "input_tokens", "prompt_tokens"),
        output=first(usage, "output_tokens", "completion_tokens"),
        read=first(inner, "cached_tokens"),
        write=first(inner, "cache_write_tokens"),
        reasoning=first(outer, "reasoning_tokens"),
        total=total if total.value is not None else first(details, "total_tokens"),
    )


def _add_error(span: Span, error: object) -> None:
    """`{message, data}`; a few messages of the SDK say that a limit or a guardrail ended the step."""
    if not isinstance(error, dict):
        if error is None:
            return
        error = {"message": canonical(error)}
    said = error.get("message")
    message = said if isinstance(said, str) else ""
    span.status = _STATUSES.get(message, "error")
    data = error.get("data")
    detail = data.get("error") if isinstance(data, dict) else None
    span.error_type = text_of(message) or "error"
    span.error_message = message_of(detail if isinstance(detail, str) and detail else message)
    if data is not None:
        span.parts["error"] = canonical(error)
