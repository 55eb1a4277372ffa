"""What a tool call did outside: as agents.toml declares it, else as its arguments or its name tell.

A pure function of a span and the tool map. Versions of one span are judged apart: the start knows the arguments, the
end knows the outcome. `store.record.merge` keeps what the best-founded version says of what was done.
"""

from __future__ import annotations

import re

import msgspec

from collectors.enrich.effects import Found, Verdict, judge
from store.record.span import Rank, Span
from store.record.tools import ToolFacts, ToolMap, effect_status_of

_MAX_CHARS = 1024
_SEARCHED_CHARS = 65_536
_LONGEST_RESULT = 65_536
_KEY = re.compile(r"idempotency[_-]?key\\?[\"']?\s*[:=]\s*\\?[\"']?([^\"'\s,;}\\]{1,200})", re.IGNORECASE)
_ID_KEYS = (
    *("id", "charge_id", "payment_id", "payment_intent", "refund_id", "transaction_id", "message_id", "messageId"),
    *("order_id", "issue_id", "external_id", "event_id", "ticket_id", "invoice_id", "job_id", "number", "key"),
    *("html_url", "url", "ts"),
)
_WRAPPERS = ("data", "result", "response", "output", "structuredContent")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def classify(span: Span, tool_map: ToolMap) -> None:
    """Say of a tool call what it did. An effect that the record reports stands as it is.

    A declared tool is what it is declared to be. Of any other, `effect_basis` says what told: `argument`, `name`, or
    `unknown` where nothing did, which counts as a write. A basis without a system is a read. A call in flight counts
    as `sent`: from outside nobody can tell whether it has arrived; its outcome then says confirmed, failed or unknown.
    """
    if span.kind != "tool" or span.effect_basis is not None or span.effect_system is not None:
        return
    facts = tool_map.of(span.agent, span.tool)
    if facts is not None:
        if facts.writes:
            _declare(span, facts)
        else:
            span.effect_basis = "declared"
    elif span.tool is None:  # an outcome whose call the log does not have
        span.effect_system, span.effect_basis = "unknown", "unknown"
        span.effect_status = _status(span)
    else:
        _apply(span, judge(span.tool, span.parts.get("input")))


def _declare(span: Span, facts: ToolFacts) -> None:
    """The declaration says which system and whether it can be undone; the arguments may still say what it was about."""
    seen = judge(span.tool or "", span.parts.get("input"))
    resource = seen.effects[0].resource if seen.effects else None
    _set(span, Found(facts.system, span.tool or "", resource, facts.reversible, basis="declared"))


def _apply(span: Span, verdict: Verdict) -> None:
    if not verdict.effects:
        span.effect_basis = verdict.basis
        return
    _set(span, verdict.effects[0])
    if len(verdict.effects) > 1:
        span.parts["effects"] = _encode([_shown(found) for found in verdict.effects]).decode()


def _shown(found: Found) -> dict[str, str | None]:
    return {
        "system": found.system,
        "operation": found.operation,
        "resource": found.resource,
        "reversible": found.reversible,
        "basis": found.basis,
    }


def _set(span: Span, found: Found) -> None:
    span.effect_system = found.system[:_MAX_CHARS]
    span.effect_operation = found.operation[:_MAX_CHARS]
    span.effect_resource = found.resource[:_MAX_CHARS] if found.resource else None
    span.effect_reversible = found.reversible
    span.effect_basis = found.basis
    span.effect_status = _status(span)
    if span.effect_idempotency_key is None:
        span.effect_idempotency_key = idempotency_key(span.parts.get("input"))
    if span.effect_external_id is None:
        span.effect_external_id = external_id(span.parts.get("output"))


def _status(span: Span) -> str:
    return "sent" if span.rank == Rank.STARTED else effect_status_of(span.status)


def idempotency_key(arguments: str | None) -> str | None:
    """The key that a call was made with: a field, a header, or an option of a command."""
    if arguments is None or ("dempotency" not in arguments and "DEMPOTENCY" not in arguments):
        return None
    match = _KEY.search(arguments, 0, _SEARCHED_CHARS)
    return match[1] if match else None


def external_id(result: str | None) -> str | None:
    """What the other side calls the thing, where the result is a JSON object that says so."""
    if not result or len(result) > _LONGEST_RESULT or not result.lstrip().startswith("{"):
        return None
    try:
        tree = _decode(result)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    for found in (tree, *(tree.get(name) for name in _WRAPPERS)):
        if isinstance(found, dict):
            for key in _ID_KEYS:
                value = found.get(key)
                if (isinstance(value, str) and 0 < len(value) <= 200) or (
                    isinstance(value, int) and not isinstance(value, bool)
                ):
                    return str(value)
    return None
