"""Langfuse exports: a trace with its observations, or either of them alone, one a line, in a list or in an API answer.

Shapes: `{"trace": …, "observations": […]}` (the export of a trace), a trace object with `observations` in it (the
API), `{"data": […]}`, lists, and bare observations or traces. Namespace `trace:<traceId>`. The trace is the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    decode_value,
    digest,
    message_of,
    text_of,
    time_ns,
    type_name,
    word,
)
from collectors.formats.items import ItemsParser, mostly
from collectors.formats.langfuse.usage import add_cost, add_usage, wrappers_in
from store.record.span import NS_PER_S, Rank, Span

_KINDS: dict[str, str | None] = {
    "GENERATION": "llm",
    "EMBEDDING": "llm",
    "TOOL": "tool",
    "RETRIEVER": "tool",
    **dict.fromkeys(("SPAN", "EVENT", "AGENT", "CHAIN", "EVALUATOR", "GUARDRAIL"), None),
}
_DEEPEST = 4


class Langfuse:
    """The format itself."""

    name = "langfuse"
    namespace = "trace"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            rows = list(_unwrapped(value))
            hits += mostly(rows, lambda row: _is_trace(row) or _is_observation(row) or _is_export(row))
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> LangfuseParser:  # noqa: ARG002
        return LangfuseParser(facts)


def _unwrapped(value: object) -> Iterable[object]:
    """The rows of a line: itself, those of a list, those of an API answer."""
    if isinstance(value, dict) and isinstance(value.get("data"), list) and "id" not in value:
        value = value["data"]
    return value if isinstance(value, list) else [value]


def _is_export(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("observations"), list) and _is_trace(row.get("trace"))


def _is_trace(row: object) -> bool:
    own = ("htmlPath", "projectId", "bookmarked", "totalCost", "latency")
    return (
        isinstance(row, dict)
        and "id" in row
        and "timestamp" in row
        and "sessionId" in row
        and "traceId" not in row
        and any(name in row for name in own)
    )


def _is_observation(row: object) -> bool:
    return (
        isinstance(row, dict)
        and all(name in row for name in ("id", "traceId", "startTime"))
        and word(row.get("type")) in _KINDS
        and ("parentObservationId" in row or "level" in row)
    )


class LangfuseParser(ItemsParser):
    """Reads one export a line, each by itself."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent or Langfuse.name
        super().__init__(Langfuse.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)
        loose: dict[str, list[dict[str, Any]]] = {}

        def read(row: object) -> None:
            if not isinstance(row, dict):
                raise UnreadableError("not an object")
            if isinstance(trace := row.get("trace"), dict) and isinstance(row.get("observations"), list):
                self._export(trace, row["observations"], mended)
            elif "traceId" in row:
                loose.setdefault(word(row["traceId"]), []).append(row)
            elif "timestamp" in row:
                inner = row.get("observations")
                self._export(row, inner if isinstance(inner, list) else [], mended)
            else:
                raise UnreadableError("neither a trace nor an observation")

        try:
            self._each(_unwrapped(value), read)
        finally:
            for observations in loose.values():
                self._observations({}, observations, mended)

    def _export(self, trace: dict[str, Any], observations: list[object], mended: set[str]) -> None:
        """A trace whose observations are objects; the list of traces of the API names them by id only."""
        rows = [one for one in observations if isinstance(one, dict)]
        trace_id = text_of(trace.get("id"))
        if trace_id is None:
            raise UnreadableError("a trace without an id")
        self._run(trace, trace_id, rows, mended)
        self._observations(trace, rows, mended)

    def _span(self, span_id: str, trace_id: str, trace: dict[str, Any], row: dict[str, Any], **fields: Any) -> Span:
        def either(name: str) -> str | None:
            return text_of(row.get(name)) or text_of(trace.get(name))

        span = Span(
            namespace=f"trace:{trace_id}",
            span_id=span_id,
            session=either("sessionId") or trace_id,
            run_id=trace_id,
            format=Langfuse.name,
            agent=self._agent,
            agent_version=either("release"),
            user_id=either("userId"),
            environment=either("environment"),
            **fields,
        )
        for part in ("input", "output"):
            if (text := _plain(row.get(part))) is not None:
                span.parts[part] = text
        self._out.spans.append(span)
        return span

    def _run(self, trace: dict[str, Any], trace_id: str, observations: list[dict[str, Any]], mended: set[str]) -> None:
        """The trace itself: it ends with the last of its observations, and as its roots did."""
        started = time_ns(trace.get("timestamp"))
        roots = [one for one in observations if one.get("parentObservationId") is None]
        starts = [at for one in observations if (at := time_ns(one.get("startTime"))) is not None]
        ends = [at for one in observations if (at := _end(one)) is not None]
        latency = trace.get("latency")
        if started is not None and not observations and isinstance(latency, int | float) and 0 < latency < 10**7:
            ends = [started + int(latency * NS_PER_S)]
        is_open = not ends or any(_end(one) is None for one in roots)
        started = min([*starts, *([] if started is None else [started])], default=None)
        failed = next((one for one in roots if one.get("level") == "ERROR"), None)
        status = "error" if failed is not None else "ok" if observations else "unknown"
        span = self._span(
            f"trace:{trace_id}",
            trace_id,
            trace,
            trace,
            kind="run",
            name=text_of(trace.get("name")),
            started_ns=started,
            ended_ns=None if is_open else max(*ends, started or 0),
            rank=Rank.STARTED if is_open else Rank.ENDED,
            status=None if is_open else status,
            flags=",".join(sorted(mended)) or None,
        )
        if failed is not None:
            _add_error(span, failed)

    def _observations(self, trace: dict[str, Any], rows: list[dict[str, Any]], mended: set[str]) -> None:
        wrappers = wrappers_in(rows)
        for row in rows:
            kind = word(row.get("type"))
            if kind not in _KINDS:
                self._unknown(type_name(kind))
                continue
            started, trace_id = time_ns(row.get("startTime")), text_of(row.get("traceId")) or text_of(trace.get("id"))
            if started is None or trace_id is None:
                self._unknown(f"{kind}-without-{'time' if trace_id else 'trace'}")
                continue
            self._observation(trace, row, kind, trace_id, started, word(row.get("id")) in wrappers, mended)

    def _observation(
        self,
        trace: dict[str, Any],
        row: dict[str, Any],
        kind: str,
        trace_id: str,
        started_ns: int,
        is_wrapper: bool,
        mended: set[str],
    ) -> None:
        ended = _end(row)
        name, own_kind = text_of(row.get("name")), _KINDS[kind]
        if is_wrapper or _is_outer_call(name):
            own_kind, is_wrapper = None, True
        parent = text_of(row.get("parentObservationId"))
        span = self._span(
            text_of(row.get("id")) or digest(canonical(row).encode("utf-8", "replace")),
            trace_id,
            trace,
            row,
            kind=own_kind,
            name=name,
            parent_id=parent or (f"trace:{trace_id}" if trace else None),
            started_ns=started_ns,
            ended_ns=None if ended is None else max(ended, started_ns),
            rank=Rank.STARTED if ended is None else Rank.ENDED,
            status=None if ended is None else "error" if row.get("level") == "ERROR" else "ok",
            model=text_of(row.get("providedModelName")) or text_of(row.get("model")),
            prompt_version=_prompt(row),
        )
        if row.get("level") == "ERROR":
            _add_error(span, row)
        flags = set(mended)
        if own_kind == "tool":
            span.name = span.tool = _tool(row, name)
        if own_kind == "llm":
            first_token = time_ns(row.get("completionStartTime"))
            if first_token is not None and first_token >= started_ns:
                span.ttft_ns = first_token - started_ns
        if own_kind == "llm" or (trace and not is_wrapper):  # without its trace, what it wraps may be elsewhere
            add_usage(span, row, flags)
            add_cost(span, row, flags)
        span.flags = ",".join(sorted(flags)) or None


def _end(row: dict[str, Any]) -> int | None:
    """An event has no end of its own: it is a moment."""
    return time_ns(row.get("startTime")) if row.get("type") == "EVENT" else time_ns(row.get("endTime"))


def _is_outer_call(name: str | None) -> bool:
    """The Vercel AI SDK wraps `ai.generateText.doGenerate` in `ai.generateText`, and both carry the usage."""
    return name in ("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject", "ai.embed")


def _add_error(span: Span, row: dict[str, Any]) -> None:
    span.error_type = "error"
    if isinstance(said := row.get("statusMessage"), str) and said:
        span.error_message = message_of(said)


def _prompt(row: dict[str, Any]) -> str | None:
    name, version = text_of(row.get("promptName")), row.get("promptVersion")
    if name is None:
        return None
    return f"{name}:{version}" if isinstance(version, int | str) and not isinstance(version, bool) else name


def _tool(row: dict[str, Any], name: str | None) -> str | None:
    """A tool's own name; OpenTelemetry senders name the span `execute_tool <name>`."""
    metadata = row.get("metadata")
    for _ in range(_DEEPEST):
        if not isinstance(metadata, str):
            break
        try:
            metadata, _ = decode_value(metadata.encode("utf-8", "replace"))
        except UnreadableError:
            break
    attributes = metadata.get("attributes") if isinstance(metadata, dict) else None
    said = attributes.get("gen_ai.tool.name") if isinstance(attributes, dict) else None
    return text_of(said) or (name.removeprefix("execute_tool ") if name else None)


def _plain(value: object) -> str | None:
    """Payload as text. JSON within JSON text within JSON text is undone down to the innermost text."""
    if value is None or value == "":
        return None
    for _ in range(_DEEPEST):
        if not isinstance(value, str) or not value.startswith('"'):
            break
        try:
            value = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            break
    return canonical(value)
