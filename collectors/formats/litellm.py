"""LiteLLM logs: its standard logging payload, one request a line, in a list, or within the proxy's JSON log lines.

Fields as `StandardLoggingPayload` of litellm names them; the rows of its spend log say the same under other names.
A request is one model call (or one MCP tool call); `prompt_tokens` is all of the input, what the cache read and wrote
included. Namespace `global:litellm`: the id is the provider's answer id, or LiteLLM's own call id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

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
    usd_nano,
    word,
)
from collectors.formats.items import ItemsParser, mostly
from collectors.formats.usage import Count, add_usage, first, within
from store.record.span import Rank, Span

NAMESPACE = "global:litellm"
_STOPS = {"length": "capped", "max_tokens": "capped", "content_filter": "refused", "refusal": "refused"}
_USER = ("user_api_key_end_user_id", "user_api_key_user_id")
_TENANT = ("user_api_key_team_id", "user_api_key_org_id")
_CREDENTIAL = ("user_api_key_alias", "user_api_key_hash", "user_api_key")


class LiteLLM:
    """The format itself."""

    name = "litellm"
    namespace = "global"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = own = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            rows = list(_rows(value))
            requests = [row for row in rows if _is_payload(row)]
            own += bool(requests)
            hits += mostly(rows, lambda row: _is_payload(row) or _is_log_line(row))
            own += any(_is_own_line(row) for row in rows)
        return own > 0 and hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> LiteLLMParser:  # noqa: ARG002 - it holds none
        return LiteLLMParser(facts)


def _rows(value: object) -> Iterable[object]:
    """The requests of a line: itself, those of a list, the one a callback or a log line holds."""
    for row in value if isinstance(value, list) else [value]:
        if not isinstance(row, dict):
            yield row
            continue
        inner = row.get("standard_logging_object") or row.get("standard_logging_payload")
        if not isinstance(inner, dict):
            inner = _within_message(row.get("message")) if "level" in row else None
        yield inner if inner is not None and _is_payload(inner) else row


def _within_message(message: object) -> dict[str, Any] | None:
    """A payload that a log line holds as JSON text."""
    if not isinstance(message, str) or not message.startswith("{"):
        return None
    try:
        value = json.loads(message)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_payload(row: object) -> bool:
    return (
        isinstance(row, dict)
        and "call_type" in row
        and "startTime" in row
        and ("id" in row or "request_id" in row)
        and ("response_cost" in row or "spend" in row)
    )


def _is_log_line(row: object) -> bool:
    """A line of the proxy's own log (`JSON_LOGS`): known, and no request."""
    return isinstance(row, dict) and all(isinstance(row.get(name), str) for name in ("message", "level", "timestamp"))


def _is_own_line(row: object) -> bool:
    return isinstance(row, dict) and _is_log_line(row) and word(row.get("component")).startswith("LiteLLM")


class LiteLLMParser(ItemsParser):
    """Reads one request a line, each by itself."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent or LiteLLM.name
        super().__init__(LiteLLM.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)

        def read(row: object) -> None:
            if isinstance(row, dict) and _is_payload(row):
                self._request(row, mended)
            elif not _is_log_line(row):
                raise UnreadableError("not a request of LiteLLM")

        self._each(_rows(value), read)

    def _request(self, row: dict[str, Any], mended: set[str]) -> None:
        started, ended = time_ns(row.get("startTime")), time_ns(row.get("endTime"))
        if started is None and ended is None:
            raise UnreadableError("no time that can be read")
        metadata = _object(row.get("metadata"))
        given_id = text_of(row.get("id")) or text_of(row.get("request_id")) or text_of(row.get("litellm_call_id"))
        trace_id = text_of(row.get("trace_id"))
        session = text_of(row.get("session_id")) or trace_id
        call = within(metadata, "mcp_tool_call_metadata")
        flags = set(mended)
        span = Span(
            namespace=NAMESPACE,
            span_id=given_id or digest(canonical(row).encode("utf-8", "replace")),
            session=session or given_id,
            run_id=trace_id or session,
            kind="tool" if call else "llm",
            name=text_of(row.get("call_type")),
            format=LiteLLM.name,
            agent=self._agent,
            user_id=_any(row, "end_user", "user") or _any(metadata, *_USER),
            tenant_id=_any(metadata, *_TENANT) or _any(row, "team_id", "organization_id"),
            credential_id=_any(metadata, *_CREDENTIAL) or _any(row, "api_key"),
            started_ns=started,
            ended_ns=ended if ended is None or started is None else max(ended, started),
            rank=Rank.STARTED if ended is None else Rank.ENDED,
            flags=None,
        )
        _add_outcome(span, row, metadata)
        if call:
            _add_tool(span, call)
        else:
            _add_call(span, row, metadata, flags)
        _add_cost(span, row, flags)
        span.flags = ",".join(sorted(flags)) or None
        self._out.spans.append(span)


def _object(value: object) -> dict[str, Any]:
    """An object, which the spend log may hold as JSON text."""
    if isinstance(value, str):
        return _within_message(value) or {}
    return value if isinstance(value, dict) else {}


def _any(row: dict[str, Any], *names: str) -> str | None:
    return next((text for name in names if (text := text_of(row.get(name)))), None)


def _add_outcome(span: Span, row: dict[str, Any], metadata: dict[str, Any]) -> None:
    if span.ended_ns is None:
        return
    said = word(row.get("status")) or word(metadata.get("status")) or "success"
    failure = within(row, "error_information") or within(metadata, "error_information")
    if said == "failure":
        span.status = "error"
        span.error_type = _any(failure, "error_class", "error_code") or "error"
        message = failure.get("error_message") or row.get("error_str")
        if isinstance(message, str) and message:
            span.error_message = message_of(message)
        if within(row, "status_fields").get("guardrail_status") == "guardrail_intervened":
            span.status = "refused"
        return
    choices = _object(row.get("response")).get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    span.status = _STOPS.get(word(choice.get("finish_reason")), "ok") if said == "success" else "unknown"


def _add_tool(span: Span, call: dict[str, Any]) -> None:
    """An MCP call through the gateway, named as agents name it, so that the server can be told as its system."""
    server, name = text_of(call.get("mcp_server_name")), text_of(call.get("name"))
    span.tool = span.name = cap(f"mcp__{server}__{name}") if server and name else name
    if call.get("arguments") is not None:
        span.parts["input"] = canonical(call["arguments"])
    if call.get("result") is not None:
        span.parts["output"] = canonical(call["result"])


def _add_call(span: Span, row: dict[str, Any], metadata: dict[str, Any], flags: set[str]) -> None:
    response = _object(row.get("response"))
    span.model = text_of(row.get("model"))
    span.model_served = text_of(response.get("model"))
    span.provider = text_of(row.get("custom_llm_provider"))
    for name, value in (("input", row.get("messages")), ("output", row.get("response"))):
        if value not in (None, "", {}, []):
            span.parts[name] = canonical(value)
    first_token = time_ns(row.get("completionStartTime"))
    if (
        span.started_ns is not None
        and first_token is not None
        and span.started_ns <= first_token < (span.ended_ns or 0)
    ):
        span.ttft_ns = first_token - span.started_ns  # a call that does not stream repeats its end here
    usage = within(metadata, "usage_object") or within(response, "usage")
    inner = within(usage, "prompt_tokens_details") or within(usage, "input_tokens_details")
    outer = within(usage, "completion_tokens_details") or within(usage, "output_tokens_details")
    by_life = within(inner, "cache_creation_token_details")
    short, long = first(by_life, "ephemeral_5m_input_tokens"), first(by_life, "ephemeral_1h_input_tokens")
    if short.value is None and long.value is None:
        short = _either(first(usage, "cache_creation_input_tokens"), first(inner, "cache_creation_tokens"))
    add_usage(
        span,
        flags,
        given=first(row, "prompt_tokens"),
        output=first(row, "completion_tokens"),
        read=_either(first(usage, "cache_read_input_tokens"), first(inner, "cached_tokens")),
        write=short,
        write_1h=long,
        reasoning=first(outer, "reasoning_tokens"),
        total=first(row, "total_tokens"),
    )


def _either(one: Count, other: Count) -> Count:
    return other if one.value is None else one


def _add_cost(span: Span, row: dict[str, Any], flags: set[str]) -> None:
    """LiteLLM's own price. It writes 0 for a model without one as for a failure; only a hit of its cache was free."""
    cost = first(row, "response_cost", "spend")
    nano = usd_nano(cost.value)
    if nano is None:
        if cost.value is not None:
            flags.add("cost")
    elif nano > 0 or row.get("cache_hit") is True or word(row.get("cache_hit")).lower() == "true":
        span.cost_nano, span.cost_basis = nano, "reported"
