"""The fields of Andon NDJSON as a record: what fits is kept, what does not is dropped and named in `flags`.

Whatever comes to these fields (a line of Andon NDJSON, your own JSON by its mapping) becomes a span here alone.
"""

from __future__ import annotations

import contextlib
import types
import typing
from typing import Any

import msgspec

from collectors.formats.andon_line import AndonLine
from collectors.formats.decode import (
    LATEST_NS,
    MAX_INT,
    MAX_MESSAGE_CHARS,
    MAX_TEXT_CHARS,
    UnreadableError,
    canonical,
    cap,
    digest,
    message_of,
    time_ns,
    usd_nano,
)
from store.record.span import NS_PER_MS, Rank, Span

_TEXT_IDS = {"session_id", "run_id", "span_id", "parent_id", "user_id", "tenant_id", "credential_id", "retry_of"}


def fit_line(decoded: dict[str, Any], extra: dict[str, Any], flags: set[str]) -> AndonLine:
    """What of an object fits; unknown fields go into `extra`, refused ones by name into `flags`.

    UnreadableError where it names no session or no kind.
    """
    values = _fit(AndonLine, decoded, extra, flags, "")
    if "session_id" not in values:
        raise UnreadableError("session_id is missing or is no text")
    if "kind" not in values:
        raise UnreadableError("kind is missing or is no text")
    return AndonLine(**values)


def _fit(
    struct: type[msgspec.Struct], row: dict[str, Any], extra: dict[str, Any], flags: set[str], prefix: str
) -> dict[str, Any]:
    """What of `row` the struct takes; unknown fields into `extra`, refused ones by name into `flags`."""
    known = FIELDS[struct]
    values: dict[str, Any] = {}
    for key, value in row.items():
        if key not in known:
            extra[key] = value
            continue
        kind, nested = known[key]
        if value is None:
            continue
        if nested is not None and isinstance(value, dict):
            rest: dict[str, Any] = {}
            values[key] = nested(**_fit(nested, value, rest, flags, f"{key}."))
            if rest:
                extra[key] = rest
            continue
        try:
            values[key] = msgspec.convert(value, kind)
        except msgspec.ValidationError:
            flags.add(prefix + key)
            if key in _TEXT_IDS and isinstance(value, int) and not isinstance(value, bool):
                values[key] = cap(str(value))
            elif isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
                with contextlib.suppress(msgspec.ValidationError):  # a word of a fixed list is never this long
                    values[key] = msgspec.convert(cap(value), kind)
    return values


def _field_types(struct: type[msgspec.Struct]) -> dict[str, tuple[Any, type[msgspec.Struct] | None]]:
    hints = typing.get_type_hints(struct, include_extras=True)
    table: dict[str, tuple[Any, type[msgspec.Struct] | None]] = {}
    for name, hint in hints.items():
        inner = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        nested = next((one for one in inner if isinstance(one, type) and issubclass(one, msgspec.Struct)), None)
        table[name] = (hint, nested)
        if nested is not None:
            FIELDS[nested] = _field_types(nested)
    return table


FIELDS: dict[type[msgspec.Struct], dict[str, tuple[Any, type[msgspec.Struct] | None]]] = {}
FIELDS[AndonLine] = _field_types(AndonLine)
"""Struct -> field -> (its type, the struct where it is a group of fields)."""


def to_span(
    row: AndonLine, data: bytes, *, format_name: str, agent: str, extra: dict[str, Any], flags: set[str]
) -> Span:
    """The record. `data` is what its id is made of where it names none; `agent` is for a line that names none.

    UnreadableError where it has no time, or is a start without an id.
    """
    started_ns, ended_ns = _times(row, flags)
    if ended_ns is None and not row.span_id:
        raise UnreadableError("a start needs a span_id")
    span = Span(
        namespace=f"session:{row.session_id}",
        span_id=row.span_id or digest(data),
        session=row.session_id,
        run_id=row.run_id or None,
        parent_id=row.parent_id or None,
        kind=row.kind,
        format=format_name,
        agent=row.agent or agent,
        agent_version=row.agent_version or None,
        environment=row.environment or None,
        host=row.host or None,
        user_id=row.user_id or None,
        tenant_id=row.tenant_id or None,
        credential_id=row.credential_id or None,
        prompt_hash=row.prompt_hash or None,
        prompt_version=row.prompt_version or None,
        tools_hash=row.tools_hash or None,
        retry_of=row.retry_of or None,
        started_ns=started_ns,
        ended_ns=ended_ns,
        rank=Rank.STARTED if ended_ns is None else Rank.ENDED,
        error_type=row.error_type or None,
        model=row.model or None,
        model_served=row.model_served or None,
        provider=row.provider or None,
        ttft_ns=_ns(row.ttft_ms),
        attempt=row.attempt,
        context_tokens=row.context_tokens,
        context_limit=row.context_limit,
    )
    if ended_ns is not None:
        # A line that names no outcome says nothing of success; one that names an error says enough.
        span.status = row.status or ("error" if row.error_type or row.error_message else "unknown")
    parts = _parts(row)
    if row.error_message:
        span.error_message = message_of(row.error_message)
        if len(row.error_message) > MAX_MESSAGE_CHARS:
            parts["error_message"] = row.error_message
    if extra:
        parts["extra"] = canonical(extra)
    span.parts = parts
    _add_groups(span, row, flags)
    if flags:
        span.flags = ",".join(sorted(flags))
    return span


def _times(row: AndonLine, flags: set[str]) -> tuple[int | None, int | None]:
    """(started, ended); ended is None for a start. A time that is none is flagged; no time at all is unreadable."""
    times: dict[str, int | None] = {}
    for name in ("time", "started_at", "ended_at"):
        value = getattr(row, name)
        times[name] = None if value is None else time_ns(value)
        if value is not None and times[name] is None:
            flags.add(name)
    started, duration = times["started_at"], _ns(row.duration_ms)
    ended = times["ended_at"] if times["ended_at"] is not None else times["time"]
    if ended is None and started is not None and duration is not None:
        ended = started + duration
    elif ended is not None and started is None and duration is not None:
        started = max(0, ended - duration)
    if started is None and ended is None:
        raise UnreadableError("no time that can be read")
    if ended is None and (flags & {"time", "ended_at", "duration_ms"}):
        ended = started  # it says that it ended, only not legibly when
    if started is not None and ended is not None and started > ended:
        flags.add("started_at")
        started = None
    if ended is not None and ended >= LATEST_NS:
        flags.add("duration_ms")
        ended = started
    return started, ended


def _ns(ms: float | None) -> int | None:
    return None if ms is None else round(ms * NS_PER_MS)


def _parts(row: AndonLine) -> dict[str, str]:
    found: dict[str, Any] = {"input": row.input, "output": row.output}
    if row.tool is not None:
        # A tool's arguments are its input. Where a line has both, both are kept.
        for name, value in (("input", row.tool.args), ("output", row.tool.result)):
            if value is not None:
                found[name if found[name] is None else f"{name}:tool"] = value
        if row.tool.call_id:
            found["call_id"] = row.tool.call_id
    return {name: canonical(value) for name, value in found.items() if value is not None}


def _add_groups(span: Span, row: AndonLine, flags: set[str]) -> None:
    if row.tool is not None:
        span.tool = span.name = row.tool.name or None
    if (tokens := row.tokens) is not None:
        span.tokens_input = tokens.input
        span.tokens_cache_read = tokens.cache_read
        span.tokens_cache_write_5m = tokens.cache_write_5m
        span.tokens_cache_write_1h = tokens.cache_write_1h
        span.tokens_output = tokens.output
        span.tokens_reasoning = tokens.reasoning
    if row.cost_usd is not None:
        span.cost_nano, span.cost_basis = usd_nano(row.cost_usd), "reported"
    if row.wait is not None:
        span.human_wait_ns, span.queue_wait_ns = _ns(row.wait.human_ms), _ns(row.wait.queue_ms)
    if (effect := row.effect) is not None:
        span.effect_system = effect.system or "unknown"
        span.effect_operation = effect.operation or None
        span.effect_resource = effect.resource or None
        span.effect_status = effect.status or "unknown"
        reversible = effect.reversible
        span.effect_reversible = ("no", "yes")[reversible] if isinstance(reversible, bool) else reversible or "unknown"
        span.effect_idempotency_key = effect.idempotency_key or None
        span.effect_external_id = effect.external_id or None
        span.effect_basis = "reported"
        if not effect.system:
            flags.add("effect.system")
    if row.score is not None:
        span.score_name, span.score_label = (row.score.name or None), (row.score.label or None)
        span.score_value = row.score.value
    if row.guard is not None:
        span.guard_instance = row.guard.instance or None
        span.guard_action = row.guard.action if row.guard.action is None or row.guard.action <= MAX_INT else None
