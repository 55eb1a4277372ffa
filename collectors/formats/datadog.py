"""Datadog spans: APM traces as the agent is sent them, and LLM Observability span events.

APM: lists of traces, each a list of spans, with text in `meta` and numbers, tokens too, as floats in `metrics`; a root
has parent_id 0. LLM Observability: `{"event_type": "span", "spans": […]}`, lists of those, or span events themselves.
Namespace `trace:<key>`: the trace id, and for a trace numbered 0 (whose span ids are small numbers that repeat from
file to file) a hash of what tells its root apart: its start, its service and resource, and the process that ran it.
Both of its dialects count all input as `input_tokens`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from collectors.formats.base import SourceFacts
from collectors.formats.decode import (
    LATEST_NS,
    UnreadableError,
    canonical,
    decode_value,
    digest,
    message_of,
    text_of,
    time_ns,
    word,
)
from collectors.formats.items import ItemsParser, mostly
from collectors.formats.usage import add_usage, first, within
from store.record.span import NS_PER_S, Span

_KINDS: dict[str, str | None] = {
    "llm": "llm",
    "embedding": "llm",
    "tool": "tool",
    "retrieval": "tool",
    "agent": "run",
    **dict.fromkeys(("workflow", "task", "step", "session", "experiment"), None),
}
_BY_RESOURCE = {"CrewAI Tool": "tool", "CrewAI Agent": "agent", "client_tool_call": "tool", "server_tool_call": "tool"}
_SHADOW = "_dd.llmobs."
_ROOT = frozenset({"", "0", "undefined"})
_TRACE_FIELDS = ("trace_id", "span_id", "parent_id", "start", "duration")


class Trace(NamedTuple):
    """What the spans of one list have in common."""

    key: str  # for those numbered 0
    calls: frozenset[int]  # the client's sides of tool calls


class Datadog:
    """The format itself."""

    name = "datadog"
    namespace = "trace"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            traces = list(_traces(value))
            rows = [row for trace in traces for row in trace]
            hits += mostly(rows, lambda row: _is_apm(row) or _is_event(row))
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> DatadogParser:  # noqa: ARG002 - it holds none
        return DatadogParser(facts)


def _traces(value: object) -> Iterable[list[object]]:
    """The traces of a line: lists of spans, however deep they lie; the spans of an event by themselves."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, list):
            yield one
        elif isinstance(one, dict) and isinstance(one.get("spans"), list) and "span_id" not in one:
            yield one["spans"]
        elif isinstance(value, list):
            yield value  # one trace, not within a list of traces
            return
        else:
            yield [one]


def _is_apm(row: object) -> bool:
    return (
        isinstance(row, dict)
        and all(isinstance(row.get(name), int) for name in _TRACE_FIELDS)
        and "resource" in row
        and "service" in row
    )


def _is_event(row: object) -> bool:
    return (
        isinstance(row, dict)
        and all(name in row for name in ("span_id", "trace_id", "start_ns", "duration", "meta"))
        and isinstance(row["meta"], dict)
    )


class DatadogParser(ItemsParser):
    """Reads one request of the tracer a line, each by itself."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent
        super().__init__(Datadog.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)

        def read(item: tuple[object, Trace]) -> None:
            row, trace = item
            if isinstance(row, dict) and _is_apm(row):
                self._apm(row, trace, mended)
            elif isinstance(row, dict) and _is_event(row):
                self._event(row, mended)
            else:
                raise UnreadableError("not a span")

        items: list[tuple[object, Trace]] = []
        for rows in _traces(value):
            trace = _trace_of([row for row in rows if isinstance(row, dict) and _is_apm(row)])
            items += [(row, trace) for row in rows]
        self._each(items, read)

    def _span(
        self, key: str, span_id: object, parent_id: object, started_ns: int | None, duration_ns: object, **fields: Any
    ) -> Span:
        if started_ns is None:
            raise UnreadableError("no time that can be read")
        length = int(duration_ns) if isinstance(duration_ns, int | float) and 0 <= duration_ns < LATEST_NS else 0
        parent = str(parent_id)
        span = Span(
            namespace=f"trace:{key}",
            span_id=_id(key, span_id),
            run_id=key,
            parent_id=None if parent in _ROOT or parent_id is None else _id(key, parent_id),
            format=Datadog.name,
            started_ns=started_ns,
            ended_ns=min(started_ns + length, LATEST_NS - 1),
            **fields,
        )
        self._out.spans.append(span)
        return span

    # --- APM

    def _apm(self, row: dict[str, Any], trace: Trace, mended: set[str]) -> None:
        meta, metrics = within(row, "meta"), within(row, "metrics")
        key = str(row["trace_id"])[:40] if row["trace_id"] else trace.key
        failed = row.get("error") not in (0, None, False)
        resource = text_of(row.get("resource"))
        stated = meta.get(f"{_SHADOW}span_kind") or _BY_RESOURCE.get(resource or "")
        if resource == "server_tool_call" and row["parent_id"] in trace.calls:
            stated = None  # the server's side of a call whose client's side is in the same trace
        kind = _KINDS.get(word(stated))
        if str(row.get("parent_id")) in _ROOT and kind is None:
            kind = "run"
        name = text_of(row.get("name"))
        span = self._span(
            key,
            row.get("span_id"),
            row.get("parent_id"),
            time_ns(row.get("start")),
            row.get("duration"),
            session=text_of(meta.get("session_id")) or text_of(meta.get(f"{_SHADOW}session_id")) or key,
            kind=kind,
            name=resource if name == "mcp.request" else name,
            agent=self._agent or text_of(row.get("service")) or Datadog.name,
            environment=text_of(meta.get("env")),
            agent_version=text_of(meta.get("version")),
            user_id=text_of(meta.get("user.id")),
            status="error" if failed else "ok",
        )
        if failed:
            _add_error(span, meta.get("error.type"), meta.get("error.message"), meta.get("error.stack"))
        flags = set(mended)
        if kind == "tool":
            span.tool = span.name = _apm_tool(name, resource)
        elif kind == "llm":
            span.model = text_of(meta.get(f"{_SHADOW}model_name"))
            span.provider = text_of(meta.get(f"{_SHADOW}model_provider"))
            _add_tokens(span, flags, {name.removeprefix(_SHADOW): one for name, one in metrics.items()})
        span.flags = ",".join(sorted(flags)) or None

    # --- LLM Observability

    def _event(self, row: dict[str, Any], mended: set[str]) -> None:
        meta = within(row, "meta")
        tags = _tags(row.get("tags"))
        stated = within(meta, "span").get("kind") or meta.get("span.kind") or meta.get("kind")
        kind = _KINDS.get(word(stated))
        parent = row.get("parent_id")
        if kind is None and (parent is None or str(parent) in _ROOT):
            kind = "run"
        key = _event_trace(row.get("trace_id"))
        flags = set(mended)
        failed = row.get("status") == "error"
        span = self._span(
            key,
            row.get("span_id"),
            parent,
            time_ns(row.get("start_ns")),
            row.get("duration"),
            session=text_of(row.get("session_id")) or tags.get("session_id") or key,
            kind=kind,
            name=text_of(row.get("name")),
            agent=self._agent or tags.get("ml_app") or text_of(row.get("service")) or Datadog.name,
            environment=tags.get("env") or None,
            agent_version=tags.get("version") or None,
            user_id=tags.get("user_id"),
            status="error" if failed else "ok",
        )
        if failed:
            error = within(meta, "error")
            _add_error(
                span,
                error.get("type") or meta.get("error.type") or tags.get("error_type"),
                error.get("message") or meta.get("error.message"),
                error.get("stack") or meta.get("error.stack"),
            )
        for part in ("input", "output"):
            held = meta.get(part)
            if isinstance(held, dict) and len(held) == 1:
                held = next(iter(held.values()))
            if held not in (None, {}, ""):
                span.parts[part] = canonical(held)
        if kind == "tool":
            span.tool = span.name
        elif kind == "llm":
            span.model, span.provider = text_of(meta.get("model_name")), text_of(meta.get("model_provider"))
            metrics = within(row, "metrics")
            _add_tokens(span, flags, metrics)
            wait_s = metrics.get("time_to_first_token")
            if isinstance(wait_s, int | float) and 0 <= wait_s * NS_PER_S <= LATEST_NS:
                span.ttft_ns = int(wait_s * NS_PER_S)
        span.flags = ",".join(sorted(flags)) or None


def _event_trace(trace_id: object) -> str:
    if isinstance(trace_id, int) and trace_id:
        return str(trace_id)[:40]
    if (text := text_of(trace_id)) is None:
        raise UnreadableError("a span without a trace id")
    return text


def _id(key: str, span_id: object) -> str:
    """Small ids repeat over the traces of a session, so they carry their trace's key."""
    text = text_of(span_id) or str(span_id)[:40]
    return text if len(text) > 9 else f"{key}:{text}"


def _trace_of(rows: list[dict[str, Any]]) -> Trace:
    if not rows:
        return Trace("", frozenset())
    root = min(rows, key=lambda one: (one["parent_id"] != 0, one["start"], one["span_id"]))
    meta = within(root, "meta")
    told = [root["start"], root["service"], root["resource"], meta.get("_dd.p.tid"), meta.get("runtime-id")]
    calls = frozenset(one["span_id"] for one in rows if one["resource"] == "client_tool_call")
    return Trace(digest(canonical(told).encode("utf-8", "replace")), calls)


def _apm_tool(name: str | None, resource: str | None) -> str | None:
    """`claude_agent_sdk.tool.Bash` is Bash; an MCP call does not say which tool it calls."""
    if name == "mcp.request":
        return resource
    if name and resource and name.startswith(f"{resource}."):
        return name[len(resource) + 1 :]
    return name


def _add_tokens(span: Span, flags: set[str], metrics: dict[str, Any]) -> None:
    short, long = first(metrics, "ephemeral_5m_input_tokens"), first(metrics, "ephemeral_1h_input_tokens")
    if short.value is None and long.value is None:
        short = first(metrics, "cache_write_input_tokens")
    add_usage(
        span,
        flags,
        given=first(metrics, "input_tokens", "openai.response.usage.prompt_tokens"),
        output=first(metrics, "output_tokens", "openai.response.usage.completion_tokens"),
        read=first(metrics, "cache_read_input_tokens"),
        write=short,
        write_1h=long,
        reasoning=first(metrics, "reasoning_output_tokens"),
        total=first(metrics, "total_tokens", "openai.response.usage.total_tokens"),
    )


def _add_error(span: Span, kind: object, message: object, stack: object) -> None:
    span.error_type = text_of(kind) or "error"
    if isinstance(message, str) and message:
        span.error_message = message_of(message)
    if isinstance(stack, str) and stack:
        span.parts["error"] = stack


def _tags(tags: object) -> dict[str, str]:
    """`["env:prod", …]` -> by name; the first of a name counts."""
    found: dict[str, str] = {}
    for one in tags if isinstance(tags, list) else []:
        if isinstance(one, str):
            name, _, value = one.partition(":")
            if (text := text_of(value)) is not None:
                found.setdefault(name, text)
    return found
