"""Canonical records of OpenTelemetry spans and logs: the same for every carrier, whatever vocabulary they speak.

Key: (`trace:<trace id>`, span id). A span without an id of its own is known by a hash of what it says. Session: what
the span or its resource names, else the trace. Run: the trace. Only what a record itself says counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from collectors.formats.decode import UnreadableError, canonical, cap, digest, text_of
from collectors.formats.otel import claude_code, genai, generic, openinference, openllmetry, vercel
from collectors.formats.otel.draft import fail, inner, number, put, text, yes_or_no
from collectors.formats.otel.span import ERROR, OtelEvent, OtelLog, OtelSpan
from store.record.span import EFFECT_STATUSES, Rank, Span

_ERROR_SEVERITY = 17
SESSION = (
    "gen_ai.conversation.id",
    "session.id",
    "traceloop.association.properties.session_id",
    "langfuse.session.id",
    "ai.telemetry.metadata.sessionId",
    "claude.code.session_id",
    "session_id",
)
_USER = (
    "user.id",
    "enduser.id",
    "gen_ai.user",
    "llm.user",
    "traceloop.association.properties.user_id",
    "langfuse.user.id",
    "ai.telemetry.metadata.userId",
)
_TENANT = (
    "tenant.id",
    "organization.id",
    "traceloop.association.properties.tenant_id",
    "traceloop.association.properties.organization_id",
    "ai.telemetry.metadata.tenantId",
)
_ENVIRONMENT = ("deployment.environment.name", "deployment.environment")
_VERSION = ("service.version", "gen_ai.agent.version", "app.version")
_TAKEN = frozenset({*SESSION, *_USER, *_TENANT, *_ENVIRONMENT, *_VERSION, "error.type"})
_UNNAMED = "unknown_service"  # what an SDK calls a service that was given no name
_EFFECT = "andon.effect."
_EVALUATION = "gen_ai.evaluation.result"
_CONTENT_EVENTS = {"gen_ai.content.prompt": "gen_ai.prompt", "gen_ai.content.completion": "gen_ai.completion"}


class Vocabulary(NamedTuple):
    """`read` fills a span and returns what else its record holds.

    `taken` need not be kept with the payload, nor `counted` with that of a model call: on other spans it is a sum.
    """

    read: Callable[[OtelSpan, Span, set[str]], list[Span]]
    taken: frozenset[str]
    counted: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()


CLAUDE_CODE = Vocabulary(claude_code.read, claude_code.TAKEN | _TAKEN)
VERCEL = Vocabulary(vercel.read, vercel.TAKEN | genai.TAKEN | _TAKEN, vercel.COUNTED | genai.COUNTED)
OPENINFERENCE = Vocabulary(
    openinference.read, openinference.TAKEN | _TAKEN, openinference.COUNTED, openinference.PREFIXES
)
OPENLLMETRY = Vocabulary(
    openllmetry.read, openllmetry.TAKEN | genai.TAKEN | _TAKEN, genai.COUNTED, openllmetry.PREFIXES
)
GENAI = Vocabulary(genai.read, genai.TAKEN | _TAKEN, genai.COUNTED, genai.PREFIXES)
GENERIC = Vocabulary(generic.read, generic.TAKEN | _TAKEN)


def vocabulary_of(otel: OtelSpan) -> Vocabulary:
    """By the attributes that are there; the one that tells most comes first where a span speaks several."""
    attributes = otel.attributes
    if otel.name.startswith("claude_code."):
        return CLAUDE_CODE
    if "ai.operationId" in attributes:
        return VERCEL
    if "openinference.span.kind" in attributes or "llm.model_name" in attributes:
        return OPENINFERENCE
    if "traceloop.span.kind" in attributes or "llm.request.type" in attributes or "mcp.method.name" in attributes:
        return OPENLLMETRY
    return GENAI if genai.is_genai(attributes) else GENERIC


def spans_of(otel: OtelSpan, *, agent: str | None, format_name: str) -> list[Span]:
    """The records of one span: itself, and what it holds (thoughts, scores). `agent` is the configured name, if any.

    UnreadableError where it has no time, or holds JSON that is nested too deeply.
    """
    try:
        return _spans_of(otel, agent, format_name)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None


def spans_of_log(log: OtelLog, *, agent: str | None, format_name: str) -> list[Span]:
    """The records of one log record: an event that is known for what it is, anything else a step of its moment.

    UnreadableError as for a span.
    """
    if log.at_ns is None:
        raise UnreadableError("no time that can be read")
    try:
        return _spans_of_log(log, log.at_ns, agent, format_name)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None


def _spans_of(otel: OtelSpan, agent: str | None, format_name: str) -> list[Span]:
    started_ns, ended_ns, flags = otel.started_ns, otel.ended_ns, set(otel.flags)
    if started_ns is not None and ended_ns is not None and ended_ns < started_ns:
        ended_ns = started_ns
        flags.add("end")
    span = _base(otel, agent, format_name, otel.span_id or _hash_of(otel))
    span.parent_id = otel.parent_id or None
    span.name = cap(otel.name) if otel.name else None
    span.started_ns, span.ended_ns = started_ns, ended_ns
    if ended_ns is None:
        if started_ns is None:
            raise UnreadableError("no time that can be read")
        span.rank = Rank.STARTED
    else:
        span.status = "ok"
        _outcome(otel, span)
    vocabulary = vocabulary_of(otel)
    others = vocabulary.read(otel, span, flags)
    _effect(otel.attributes, span)
    _rest(otel, span, vocabulary)
    scores = _scores(otel, span) if otel.events else []
    if flags:
        span.flags = ",".join(sorted(flags))
    return [span, *others, *scores]


def _spans_of_log(log: OtelLog, at_ns: int, agent: str | None, format_name: str) -> list[Span]:
    event = text_of(log.event_name) or text(log.attributes, ("event.name",))
    span = _base(log, agent, format_name, _hash_of(log))
    span.parent_id = log.span_id or None
    span.started_ns = span.ended_ns = at_ns
    span.status = "ok"
    if log.flags:
        span.flags = ",".join(sorted(log.flags))
    if (name := claude_code.event_of(log, event)) is not None:
        return claude_code.read_event(name, log, span)
    if event == _EVALUATION:
        _score(log.attributes, span)
        return [span]
    span.name = event or "log"
    kind, message = text(log.attributes, ("exception.type", "error.type")), log.attributes.get("exception.message")
    said = None if log.body is None else canonical(log.body)
    if log.severity >= _ERROR_SEVERITY or kind is not None:
        fail(span, kind, message if isinstance(message, str) else said)
    put(span, "output", said)
    put(span, "error", text_or_none(log.attributes.get("exception.stacktrace")))
    rest = {name: one for name, one in log.attributes.items() if name not in _TAKEN}
    if rest:
        span.parts["attributes"] = canonical(rest)
    return [span]


def _base(record: OtelSpan | OtelLog, agent: str | None, format_name: str, span_id: str) -> Span:
    own, resource, trace_id = record.attributes, record.resource, record.trace_id
    service = text(resource, ("service.name",))
    if service is not None and service.startswith(_UNNAMED):
        service = None
    return Span(
        namespace=f"trace:{trace_id}",
        span_id=span_id,
        session=text(own, SESSION) or text(resource, SESSION) or trace_id or None,
        run_id=trace_id or None,
        format=format_name,
        agent=agent or service or text(own, ("gen_ai.agent.name", "agent.name")) or format_name,
        agent_version=text(resource, _VERSION) or text(own, _VERSION),
        environment=text(resource, _ENVIRONMENT) or text(own, _ENVIRONMENT),
        host=text(resource, ("host.name",)),
        user_id=text(own, _USER) or text(resource, _USER),
        tenant_id=text(own, _TENANT) or text(resource, _TENANT),
    )


def _hash_of(record: OtelSpan | OtelLog) -> str:
    """What a record without an id is known by: all that it says of itself."""
    told: list[Any] = [record.trace_id, record.resource, record.scope, record.attributes]
    if isinstance(record, OtelSpan):
        told += [record.parent_id, record.name, record.started_ns, record.ended_ns]
    else:
        told += [record.span_id, record.event_name, record.body, record.at_ns, record.severity]
    return digest(canonical(told).encode("utf-8", "replace"))


def _outcome(otel: OtelSpan, span: Span) -> None:
    """A status that is not set is no failure: most writers set one only where something went wrong."""
    kind = text(otel.attributes, ("error.type",)) if "error.type" in otel.attributes else None
    thrown = None
    for event in otel.events:
        if event.name == "exception":
            thrown = event
    if otel.status != ERROR and kind is None:
        return
    message = otel.status_message
    if thrown is not None:
        kind = kind or text(thrown.attributes, ("exception.type",))
        message = text_or_none(thrown.attributes.get("exception.message")) or message
        put(span, "error", text_or_none(thrown.attributes.get("exception.stacktrace")))
    fail(span, kind, message)


def _effect(attributes: dict[str, Any], span: Span) -> None:
    """What a writer says of an effect, in Andon's own names: no convention has any."""
    status = attributes.get(f"{_EFFECT}status")
    system = text(attributes, (f"{_EFFECT}system",))
    if status is None and system is None:
        return
    span.effect_system = system or "unknown"
    span.effect_operation = text(attributes, (f"{_EFFECT}operation",))
    span.effect_resource = text(attributes, (f"{_EFFECT}resource",))
    span.effect_status = status if isinstance(status, str) and status in EFFECT_STATUSES else "unknown"
    reversible = yes_or_no(attributes.get(f"{_EFFECT}reversible"))
    span.effect_reversible = "unknown" if reversible is None else "yes" if reversible else "no"
    span.effect_idempotency_key = text(attributes, (f"{_EFFECT}idempotency_key",))
    span.effect_external_id = text(attributes, (f"{_EFFECT}external_id",))
    span.effect_basis = "reported"


def _rest(otel: OtelSpan, span: Span, vocabulary: Vocabulary) -> None:
    """What has no place of its own stays with the payload: attributes, events, where the content lies in events."""
    taken, prefixes = vocabulary.taken, vocabulary.prefixes
    rest = {name: one for name, one in otel.attributes.items() if name not in taken}
    if span.kind == "llm" and rest:
        rest = {name: one for name, one in rest.items() if name not in vocabulary.counted}
    if prefixes and rest:
        rest = {name: one for name, one in rest.items() if not name.startswith(prefixes)}
    if rest:
        span.parts["attributes"] = canonical(rest)
    if not otel.events:
        return
    others = []
    for event in otel.events:
        content = _CONTENT_EVENTS.get(event.name)
        if content is not None and (said := event.attributes.get(content)) is not None:
            span.parts.setdefault("input" if content == "gen_ai.prompt" else "output", canonical(said))
        elif event.name not in ("exception", _EVALUATION):
            others.append({"name": event.name, "time": event.at_ns, "attributes": event.attributes})
    if others:
        span.parts["events"] = canonical(others)


def _scores(otel: OtelSpan, span: Span) -> list[Span]:
    return [_scored(event, span, at) for at, event in enumerate(otel.events) if event.name == _EVALUATION]


def _scored(event: OtelEvent, span: Span, at: int) -> Span:
    at_ns = event.at_ns or span.ended_ns or span.started_ns
    row = inner(span, f"evaluation:{at}", None, started_ns=at_ns, ended_ns=at_ns, status="ok")
    row.rank = Rank.ENDED
    _score(event.attributes, row)
    return row


def _score(attributes: dict[str, Any], span: Span) -> None:
    """`gen_ai.evaluation.*`."""
    span.name = span.score_name = text(attributes, ("gen_ai.evaluation.name",)) or "evaluation"
    value = number(attributes, ("gen_ai.evaluation.score.value",))
    span.score_value = float(value) if value is not None and abs(value) < float("inf") else None
    span.score_label = text(attributes, ("gen_ai.evaluation.score.label",))
    put(span, "output", text_or_none(attributes.get("gen_ai.evaluation.explanation")))


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
