"""switches.json from one list of kills: the half that flagd clients evaluate and the half that guards read.

flagd: https://flagd.dev/reference/flag-definitions/ ; targeting is JsonLogic over the caller's context, with the
keys agent, session, user, tenant and tool.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from andon_guard import switches as guard_view

from runbooks.switches.model import Kill
from store.record.scope import Scope

_FLAGD_SCHEMA = "https://flagd.dev/schema/v0/flags.json"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RUN_FLAG = "agent-run"
TOOL_FLAG = "agent-tool"
_LISTED = ("agent", "session", "tenant", "user")


def encode(kills: Sequence[Kill], rev: int) -> bytes:
    """The whole file; the same kills and rev give the same bytes."""
    document = {
        "$schema": _FLAGD_SCHEMA,
        "metadata": {"flagSetId": "andon"},
        "flags": {
            RUN_FLAG: _flag([kill for kill in kills if kill.verb == "halt" and not _tool(kill)], _LISTED, rev),
            TOOL_FLAG: _flag(kills, (*_LISTED, "tool"), rev),
        },
        "andon": {"schema": guard_view.SCHEMA, "rev": rev, "switches": [_entry(kill) for kill in kills]},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def encode_marker(kill: Kill) -> bytes:
    """kills/<kill_id>.json: one kill, while switches.json cannot be locked."""
    return (json.dumps({"schema": guard_view.SCHEMA, "switch": _entry(kill)}) + "\n").encode()


def kills_of(rules: Iterable[guard_view.Rule]) -> tuple[Kill, ...]:
    """Each kill once, oldest first; what stands in the file goes before the same id in a marker."""
    found: dict[str, Kill] = {}
    for rule in rules:
        kill = Kill(rule.kill_id, rule.scope, rule.verb, rule.by, ns_of(rule.at) or 0, rule.reason, rule.shown)
        found.setdefault(rule.kill_id, kill)
    return tuple(sorted(found.values(), key=lambda kill: (kill.at_ns, kill.kill_id)))


def ns_of(text: object) -> int | None:
    """ns since 1970 of an ISO 8601 time with a zone; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, TypeError, OverflowError):  # TypeError: a time without a zone
        return None


def _entry(kill: Kill) -> dict[str, str]:
    entry = {
        "scope": kill.scope,
        "verb": kill.verb,
        "kill_id": kill.kill_id,
        "by": kill.by,
        "at": guard_view.iso(kill.at_ns),
        "reason": kill.reason,
    }
    return entry if kill.shown is None else {**entry, "shown": kill.shown}


def _flag(kills: Iterable[Kill], listed: tuple[str, ...], rev: int) -> dict[str, object]:
    """Denies where any kill matches: one list a kind for plain scopes, one condition each for joined ones."""
    values: dict[str, list[str]] = {kind: [] for kind in listed}
    joined: list[object] = []
    for kill in kills:
        parts = Scope.parse(kill.scope).parts
        if len(parts) == 1:
            kind, value = parts[0]
            if value not in values[kind]:
                values[kind].append(value)
        else:  # no part at all is everything; JsonLogic has no literal that is a rule, so 1 == 1
            condition: object = {"and": [_equals(kind, value) for kind, value in parts]} if parts else {"==": [1, 1]}
            if condition not in joined:
                joined.append(condition)
    conditions = [{"in": [{"var": kind}, values[kind]]} for kind in listed]
    return {
        "state": "ENABLED",
        "variants": {"allow": True, "deny": False},
        "defaultVariant": "allow",
        "targeting": {"if": [{"or": [*conditions, *joined]}, "deny", "allow"]},
        "metadata": {"rev": rev},
    }


def _equals(kind: str, value: str) -> dict[str, object]:
    return {"==": [{"var": kind}, value]}


def _tool(kill: Kill) -> bool:
    return Scope.parse(kill.scope).get("tool") is not None
