"""What happened and what people did about it, on one line of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from runbooks.effects.blast import Blast
from runbooks.incidents.totals import outcome_of
from store.control import AuditRow, SwitchRow
from store.record.span import KINDS, Span
from store.record.window import iso

MOST_ENTRIES = 5_000


@dataclass(frozen=True, slots=True)
class Entry:
    """`kind`: person (they did something), stop, effect, error, run. `text` is ours; the rest may be untrusted."""

    at_ns: int
    kind: str
    what: str  # our words
    who: str | None = None
    detail: str | None = None  # their words: a reason, a note, a resource, an error type
    session: str | None = None
    span_id: str | None = None
    needs_a_hand: bool = False  # the report shows these first

    def as_json(self) -> dict[str, object]:
        return {
            "at": iso(self.at_ns),
            "at_ns": self.at_ns,
            "kind": self.kind,
            "what": self.what,
            "who": self.who,
            "detail": self.detail,
            "session": self.session,
            "span": self.span_id,
        }


def of_audit(rows: Iterable[AuditRow], redact: Callable[[str], str]) -> list[Entry]:
    """What people did, from the chain that cannot be changed unseen."""
    return [
        Entry(
            at_ns=_did_at(row),
            kind="stop" if row.action.startswith(("kill", "arm", "rearm")) else "person",
            what=f"{row.action} {redact(row.subject)}",
            who=redact(row.by),
            detail=redact(said) if (said := _said(row.detail)) else None,
        )
        for row in rows
    ]


def of_switches(rows: Iterable[SwitchRow], audited: frozenset[str], redact: Callable[[str], str]) -> list[Entry]:
    """Stops whose kill id is in no audit row: they were made while control.db could not be written."""
    return [
        Entry(row.at_ns, "stop", f"kill {redact(row.scope)}", redact(row.by), redact(row.reason))
        for row in rows
        if row.kill_id not in audited
    ]


def of_span(span: Span) -> list[Entry]:
    """The start and the outcome of a run, and every error; other spans are in spans.ndjson."""
    entries = []
    outcome = outcome_of(span)
    if span.kind == "run":
        if span.started_ns is not None:
            entries.append(_entry(span, span.started_ns, "run", "run started"))
        if span.ended_ns is not None:
            entries.append(_entry(span, span.ended_ns, "run", f"run ended: {outcome}", span.error_type))
    elif outcome not in {"ok", "unknown", "running"} and span.ended_ns is not None:
        entries.append(
            _entry(
                span,
                span.ended_ns,
                "error",
                f"{span.kind if span.kind in KINDS else 'span'}: {outcome}",
                span.error_type,
            )
        )
    return entries


def of_effects(found: Blast) -> list[Entry]:
    """Every write, with what is known of its outcome."""
    return [
        Entry(
            at_ns=effect.row.at_ns,
            kind="effect",
            what=f"write: {effect.row.status}" + (", duplicate" if effect.duplicate_of else ""),
            who=effect.row.agent,
            detail=" ".join(
                part for part in (system.system, effect.row.operation, effect.row.resource) if part is not None
            ),
            session=effect.row.session,
            span_id=effect.row.span_id,
            needs_a_hand=effect.needs_a_hand,
        )
        for system in found.systems
        for effect in system.effects
        if effect.row.at_ns is not None
    ]


def in_order(entries: list[Entry], most: int = MOST_ENTRIES) -> tuple[list[Entry], int]:
    """By time; past `most`, what people did is kept before writes, writes before errors, errors before runs.

    Returns the entries and how many were left out.
    """
    weight = {"person": 0, "stop": 0, "effect": 1, "error": 2, "run": 3}
    kept = sorted(entries, key=lambda entry: (weight[entry.kind], -entry.at_ns))[:most]
    kept.sort(key=lambda entry: (entry.at_ns, weight[entry.kind], entry.what, entry.span_id or ""))
    return kept, len(entries) - len(kept)


def _entry(span: Span, at_ns: int, kind: str, what: str, detail: str | None = None) -> Entry:
    bad = kind == "error" or what.removeprefix("run ended: ") in {"error", "aborted", "capped", "refused"}
    return Entry(at_ns, kind, what, span.agent, detail or span.tool, span.session, span.span_id, needs_a_hand=bad)


def _did_at(row: AuditRow) -> int:
    """A stop is written first and audited after: its row may tell when it was really asked for."""
    told = row.detail.get("at_ns")
    return told if isinstance(told, int) and not isinstance(told, bool) else row.at_ns


def _said(detail: Mapping[str, object]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in sorted(detail.items()) if key != "at_ns" and value is not None)
