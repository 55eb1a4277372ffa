"""LangSmith runs: batches of `post` and `patch`, or whole runs, one a line, in a list or in one document.

A run arrives in two parts: `post` when it starts, `patch` when it ends, which may name neither its id nor its start.
Both are then in `dotted_order`, `<start>Z<id>` for each run from the root down. Namespace `trace:<trace_id>`. Python
writes ISO times, JavaScript epoch milliseconds. `session_id` is the id of a project, never of a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_value,
    message_of,
    text_of,
    time_ns,
    type_name,
    usd_nano,
    word,
)
from collectors.formats.items import ItemsParser, mostly
from collectors.formats.usage import add_usage, first, within
from store.record.span import NS_PER_S, Rank, Span

_KINDS: dict[str, str | None] = {
    "llm": "llm",
    "embedding": "llm",
    "tool": "tool",
    "retriever": "tool",
    **dict.fromkeys(("chain", "prompt", "parser"), None),
}
_CONVERSATION = ("session_id", "thread_id", "conversation_id")
_STEP = re.compile(r"(\d{8}T\d{6}\d{1,6})Z([^.]{1,200})")
_ERROR_NAME = re.compile(r"\s*([A-Za-z_][\w.]{0,100})\s*[(:]")
_STOPS = {"length": "capped", "max_tokens": "capped", "content_filter": "refused", "refusal": "refused"}
_CANCELLED = frozenset({"CancelledError", "KeyboardInterrupt", "GeneratorExit", "AbortError"})


class LangSmith:
    """The format itself."""

    name = "langsmith"
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
            hits += mostly(rows, lambda row: _is_run(row[0]))
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> LangSmithParser:  # noqa: ARG002 - it holds none
        return LangSmithParser(facts)


def _is_run(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("trace_id"), str)
        and ("run_type" in row or "end_time" in row)
        and ("dotted_order" in row or "session_name" in row or "parent_run_id" in row or "child_run_ids" in row)
    )


def _rows(value: object) -> Iterable[tuple[object, str]]:
    """(row, which part of a run it is: post, patch, or run for both at once)."""
    if isinstance(value, list):
        for one in value:
            yield from _rows(one)
    elif isinstance(value, dict) and "trace_id" not in value and ("post" in value or "patch" in value):
        for part in ("post", "patch"):
            own = value.get(part)
            for one in own if isinstance(own, list) else []:
                yield one, part
    else:
        yield value, "run"


class LangSmithParser(ItemsParser):
    """Reads one batch or run a line, each by itself: the store joins the parts of a run."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent
        super().__init__(LangSmith.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)
        rows = list(_rows(value))
        posts: dict[tuple[str, str], dict[str, Any]] = {}
        sessions: dict[str, str] = {}
        for row, part in rows:
            if not isinstance(row, dict) or (key := _key(row)) is None:
                continue
            metadata = within(row, "extra", "metadata")
            if said := next((text for name in _CONVERSATION if (text := text_of(metadata.get(name)))), None):
                sessions.setdefault(key[0], said)
            if part == "post":
                posts[key] = row

        def read(item: tuple[object, str]) -> None:
            row, part = item
            if not isinstance(row, dict) or (key := _key(row)) is None:
                raise UnreadableError("a run without an id")
            if part == "patch" and key in posts:
                row = {**posts[key], **{name: one for name, one in row.items() if one not in (None, {}, [])}}
                part = "run"
            self._run(row, part, key, sessions.get(key[0]), mended)

        self._each(rows, read)

    def _run(self, row: dict[str, Any], part: str, key: tuple[str, str], session: str | None, mended: set[str]) -> None:
        trace_id, run_id = key
        started, ended = time_ns(row.get("start_time")), time_ns(row.get("end_time"))
        steps = _steps(row)
        if started is None and steps:
            started = _step_ns(steps[-1][0])
        if started is None and ended is None:
            raise UnreadableError("no time that can be read")
        parent = text_of(row.get("parent_run_id")) or (cap(steps[-2][1]) if len(steps) > 1 else None)
        kind, known = self._kind(row, is_root=parent is None and run_id == trace_id)
        if not known:
            return
        is_first = part != "patch"
        project = text_of(row.get("session_name"))
        span = Span(
            namespace=f"trace:{trace_id}",
            span_id=run_id,
            session=session or (trace_id if is_first else None),
            run_id=trace_id,
            parent_id=parent,
            kind=kind,
            name=text_of(row.get("name")),
            format=LangSmith.name,
            agent=self._agent
            or (project if project not in (None, "default") else LangSmith.name if is_first else None),
            agent_version=text_of(within(row, "extra", "metadata").get("revision_id")),
            started_ns=started,
            ended_ns=ended if ended is None or started is None else max(ended, started),
            rank=Rank.STARTED if ended is None else Rank.ENDED,
        )
        if kind == "tool":
            span.tool = span.name
        for name, text in (("input", row.get("inputs")), ("output", row.get("outputs"))):
            if text not in (None, {}, ""):
                span.parts[name] = canonical(text)
        flags = set(mended)
        if ended is not None:
            _end(span, row, flags)
        if kind == "llm":
            _model(span, row)
            _usage(span, row, flags)
        span.flags = ",".join(sorted(flags)) or None
        self._out.spans.append(span)

    def _kind(self, row: dict[str, Any], *, is_root: bool) -> tuple[str | None, bool]:
        """(kind, is it known). A root that is no call itself is the run; a patch may not say what it patches."""
        if row.get("run_type") is None:
            is_call = "ls_model_type" in within(row, "extra", "metadata") or "usage_metadata" in within(row, "outputs")
            return "llm" if is_call else None, True
        run_type = word(row["run_type"])
        if run_type not in _KINDS:
            self._unknown(type_name(run_type))
            return None, False
        kind = _KINDS[run_type]
        return ("run" if kind is None and is_root else kind), True


def _steps(row: dict[str, Any]) -> list[tuple[str, str]]:
    order = row.get("dotted_order")
    if not isinstance(order, str) or len(order) > 100_000:
        return []
    return [(match[1], match[2]) for match in _STEP.finditer(order)]


def _step_ns(step: str) -> int | None:
    """`20241013T070537170001` -> ns; the digits after the sixth are a fraction of a second."""
    try:
        at = datetime.strptime(step[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return time_ns(int(at.timestamp()) * NS_PER_S + int(step[15:].ljust(9, "0")))


def _key(row: dict[str, Any]) -> tuple[str, str] | None:
    """(trace id, run id): of a patch whose id stood in the URL, the last step of its path."""
    steps = _steps(row)
    run_id = text_of(row.get("id")) or (cap(steps[-1][1]) if steps else None)
    trace_id = text_of(row.get("trace_id")) or (cap(steps[0][1]) if steps else None)
    return None if run_id is None or trace_id is None else (trace_id, run_id)


def _end(span: Span, row: dict[str, Any], flags: set[str]) -> None:
    said = row.get("error")
    choices = within(row, "outputs").get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    span.status = _STOPS.get(word(choice.get("finish_reason")), "ok")
    if said is not None and said != "":
        text = said if isinstance(said, str) else canonical(said)
        name = match[1] if (match := _ERROR_NAME.match(text)) else "error"
        span.status = "cancelled" if name.rpartition(".")[2] in _CANCELLED else "error"
        span.error_type, span.error_message = name, message_of(text)
    elif row.get("status") == "error":
        span.status, span.error_type = "error", "error"
    first_token = time_ns(row.get("first_token_time"))
    if first_token is not None and span.started_ns is not None and first_token >= span.started_ns:
        span.ttft_ns = first_token - span.started_ns
    if span.kind == "llm" and row.get("total_cost") is not None:
        span.cost_nano = usd_nano(_number(row["total_cost"])) or None
        if span.cost_nano is not None:
            span.cost_basis = "reported"
        elif _number(row["total_cost"]) != 0:
            flags.add("total_cost")


def _number(value: object) -> object:
    """The API writes decimals as text."""
    try:
        return float(value) if isinstance(value, str) and len(value) < 64 else value
    except ValueError:
        return value


def _model(span: Span, row: dict[str, Any]) -> None:
    metadata, outputs = within(row, "extra", "metadata"), within(row, "outputs")
    asked = (metadata.get("ls_model_name"), within(row, "extra", "invocation_params").get("model"))
    span.model = next((text for one in (*asked, within(row, "inputs").get("model")) if (text := text_of(one))), None)
    span.model_served = text_of(outputs.get("model"))
    span.provider = text_of(metadata.get("ls_provider"))


def _usage(span: Span, row: dict[str, Any], flags: set[str]) -> None:
    """LangChain's `usage_metadata` (`input_tokens` is all of the input), else the counts of the run itself."""
    outputs = within(row, "outputs")
    message = within(row, "outputs", "message") or _generation(outputs)
    found = (
        outputs.get("usage_metadata"),
        message.get("usage_metadata"),
        within(row, "extra", "metadata").get("usage_metadata"),
        outputs.get("usage"),
        within(outputs, "llm_output").get("token_usage"),
        row,
    )
    for usage in found:
        if not isinstance(usage, dict):
            continue
        given, output = (
            first(usage, "input_tokens", "prompt_tokens"),
            first(usage, "output_tokens", "completion_tokens"),
        )
        if given.value is None and output.value is None:
            continue
        inner = next(
            (
                one
                for name in ("input_token_details", "prompt_token_details", "prompt_tokens_details")
                if (one := within(usage, name))
            ),
            {},
        )
        outer = next(
            (
                one
                for name in ("output_token_details", "completion_token_details", "completion_tokens_details")
                if (one := within(usage, name))
            ),
            {},
        )
        add_usage(
            span,
            flags,
            given=given,
            output=output,
            read=first(inner, "cache_read", "cached_tokens"),
            write=first(inner, "ephemeral_5m_input_tokens", "cache_creation"),
            write_1h=first(inner, "ephemeral_1h_input_tokens"),
            reasoning=first(outer, "reasoning", "reasoning_tokens"),
            total=first(usage, "total_tokens"),
        )
        return


def _generation(outputs: dict[str, Any]) -> dict[str, Any]:
    """The message of LangChain's `generations[0][0].message.kwargs`."""
    at = within(outputs, "generations")
    if not at:
        lists = outputs.get("generations")
        inner = lists[0] if isinstance(lists, list) and lists else None
        at = inner[0] if isinstance(inner, list) and inner and isinstance(inner[0], dict) else {}
    message = within(at, "message")
    return within(message, "kwargs") or message
