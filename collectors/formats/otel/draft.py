"""What every vocabulary needs to read a bag of attributes: the first of some names, numbers that came as text, payload.

Attribute names differ by vocabulary and version, so a fact is looked up under several names, the newest first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from collectors.formats.decode import (
    MAX_VALUE_BYTES,
    canonical,
    cap,
    digest,
    message_of,
    text_of,
    usd_nano,
)
from collectors.formats.otel.span import OtelSpan
from collectors.formats.usage import NONE, Count
from store.record.span import NS_PER_MS, NS_PER_S, Rank, Span

Attributes = Mapping[str, Any]
HASH_BYTES = 8
_MAX_WAIT_NS = 10**7 * NS_PER_S
_SYSTEM_FIRST = ('[{"role":"system"', '[{"role": "system"')
_first = json.JSONDecoder()
_decode = msgspec.json.Decoder().decode

# Why a model stopped, by the words of all providers; what is not here ended as it should.
_STATUS_OF_FINISH = {
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"), "capped"
    ),
    **dict.fromkeys(("max_iterations", "max_turns", "time_budget"), "capped"),
    **dict.fromkeys(("content_filter", "content-filter", "safety", "refusal", "guardrail", "blocklist"), "refused"),
    **dict.fromkeys(("prohibited_content", "guardrail_intervened", "spii", "recitation"), "refused"),
    **dict.fromkeys(("error", "malformed_function_call"), "error"),
}
_CANCELLED = frozenset({"CancelledError", "asyncio.CancelledError", "asyncio.exceptions.CancelledError", "cancelled"})


def text(attributes: Attributes, names: Iterable[str]) -> str | None:
    """The first of these that holds a text, or a whole number written as one."""
    for name in names:
        if (value := attributes.get(name)) is not None:
            if value.__class__ is str:
                if value:
                    return cap(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                return str(value)[:40]
    return None


def payload(attributes: Attributes, names: Iterable[str]) -> str | None:
    """The first of these that holds anything, as payload text."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return canonical(value)
    return None


def count(attributes: Attributes, names: Iterable[str]) -> Count:
    """The first of these counts that is there; digits in a text are a number."""
    for name in names:
        if (value := attributes.get(name)) is not None:
            return Count(
                name, int(value) if isinstance(value, str) and len(value) < 12 and value.isdecimal() else value
            )
    return NONE


def number(attributes: Attributes, names: Iterable[str]) -> float | None:
    """The first of these as a number, also where it came as text."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and len(value) < 40:
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    return None


def yes_or_no(value: object) -> bool | None:
    """A truth value, also as text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def seconds_ns(value: float | None) -> int | None:
    """A wait in s -> ns; None where it is none, or out of all reason."""
    return int(value * NS_PER_S) if value is not None and 0 <= value * NS_PER_S <= _MAX_WAIT_NS else None


def millis_ns(value: float | None) -> int | None:
    """A wait in ms -> ns; None where it is none, or out of all reason."""
    return int(value * NS_PER_MS) if value is not None and 0 <= value * NS_PER_MS <= _MAX_WAIT_NS else None


def hash_of(value: object) -> str | None:
    """A short hash by which a prompt or a set of tools is known again."""
    if value is None or value in ("", [], {}):
        return None
    return digest(canonical(value).encode("utf-8", "replace"), HASH_BYTES)


def system_hash(messages: object) -> str | None:
    """The hash of the first of these messages (JSON in a text), if that is the system's; the others are not read."""
    if not isinstance(messages, str) or not messages.startswith(_SYSTEM_FIRST):
        return None
    try:
        message, _ = _first.raw_decode(messages, 1)
    except (ValueError, RecursionError):
        return None
    return hash_of(message.get("content", message.get("parts"))) if isinstance(message, dict) else None


def unflattened(attributes: Attributes, prefix: str) -> str | None:
    """The list that lies flattened under `prefix` (`prefix0.message.role`), as JSON; its objects stay flat inside."""
    rows: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if name.startswith(prefix):
            index, _, rest = name[len(prefix) :].partition(".")
            if index.isdecimal() and len(index) < 7:
                rows.setdefault(int(index), {})[rest.removeprefix("message.")] = value
    return canonical([rows[index] for index in sorted(rows)]) if rows else None


def opened(value: object) -> Any:
    """JSON in a text as what it says; anything else is itself."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= MAX_VALUE_BYTES:
        try:
            return _decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return value
    return value


def set_cost(span: Span, flags: set[str], *parts: object) -> None:
    """The reported cost of a call, in dollars, as the sum of its parts; None of them known: none."""
    known = [part for part in parts if part is not None]
    if not known:
        return
    nanos = [usd_nano(part) for part in known]
    if any(one is None for one in nanos):
        flags.add("cost")
        return
    span.cost_nano = sum(one for one in nanos if one is not None)
    span.cost_basis = "reported"


def finish(span: Span, reasons: object) -> None:
    """Why the model stopped, of one answer or of several, in the status, unless that says already that it failed."""
    if span.status != "ok":
        return
    found = opened(reasons)
    for reason in found if isinstance(found, list) else [found]:
        if isinstance(reason, str) and (status := _STATUS_OF_FINISH.get(reason.lower())) is not None:
            span.status = status
            if span.error_type is None:
                span.error_type = text_of(reason)
            return


def fail(span: Span, kind: str | None, message: str | None) -> None:
    """The span failed, or was called off."""
    span.error_type = kind or span.error_type or "error"
    if message:
        span.error_message = message_of(message)
    span.status = "cancelled" if span.error_type in _CANCELLED else "error"


def called(span: Span, name: str | None) -> None:
    """The span is a call of this tool."""
    span.kind = "tool"
    if name is not None:
        span.tool = span.name = name
    else:
        span.tool = span.name


def put(span: Span, part: str, value: str | None) -> None:
    """A payload part, where there is one."""
    if value:
        span.parts[part] = value


def inner(span: Span, suffix: str, kind: str | None, **fields: Any) -> Span:
    """A span that the record holds within this one: a thought, a score."""
    return Span(
        namespace=span.namespace,
        span_id=f"{span.span_id}:{suffix}",
        session=span.session,
        run_id=span.run_id,
        parent_id=span.span_id,
        kind=kind,
        format=span.format,
        agent=span.agent,
        agent_version=span.agent_version,
        environment=span.environment,
        user_id=span.user_id,
        tenant_id=span.tenant_id,
        rank=Rank(span.rank),
        **fields,
    )


def is_root(otel: OtelSpan) -> bool:
    """True where the record names no parent; a parent that could not be read is one."""
    return not otel.parent_id and "parent_id" not in otel.flags
