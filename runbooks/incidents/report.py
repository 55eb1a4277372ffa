"""report.md: what happened, when, what it cost, what it touched, what was done, what is not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from runbooks.effects.blast import Blast, SystemBlast
from runbooks.incidents.text import code
from runbooks.incidents.timeline import Entry
from runbooks.incidents.totals import Totals
from store.control import Incident
from store.record.span import EFFECT_STATUSES, NANO_PER_USD
from store.record.window import iso
from store.registry.model import Registry

LINES_EACH = 50
T = TypeVar("T")
_LISTED_PEOPLE = 20


@dataclass(frozen=True, slots=True)
class Reported:
    """Everything the report is made from, already redacted."""

    subject: str  # what was asked for: a scope, or incident:ID
    scope: str
    incident: Incident | None
    as_of_ns: int
    made_by: str
    totals: Totals
    why: dict[str, str]  # session -> why it costs what it costs
    blast: Blast
    timeline: list[Entry]
    registry: Registry
    unknowns: list[str]  # Markdown, our words, already neutralised


def report(facts: Reported) -> str:
    """Markdown. All text that is not ours stands in code spans: it can be read, and does nothing."""
    lines = [
        *_head(facts),
        *_happened(facts),
        *_when(facts),
        *_cost(facts.totals),
        *_touched(facts.blast),
        *_done(facts),
        "## What is not known",
        "",
        *[f"- {text}" for text in facts.unknowns or ["Nothing that Andon could name."]],
        "",
        "## About this bundle",
        "",
        "- `andon verify FILE` finds any changed byte. That it was not made anew as a whole is shown by the sha256 of",
        "  its manifest, which was printed at export and stands in the audit chain.",
        "- Secrets and personal data were replaced by tokens when the logs were collected: equal tokens are equal",
        "  values.",
        "",
    ]
    return "\n".join(lines)


def _head(facts: Reported) -> Iterator[str]:
    incident = facts.incident
    yield f"# Andon report: {code(facts.subject)}"
    yield ""
    if incident is not None:
        yield f"- incident {incident.id}, {incident.severity}: {code(incident.title)}"
        closed = "still open" if incident.closed_ns is None else f"closed {iso(incident.closed_ns)}"
        yield f"- opened {iso(incident.opened_ns)} by {code(incident.opened_by)}, {closed}"
        yield f"- scope {code(facts.scope)}"
    window = facts.blast.window
    yield f"- as of {iso(facts.as_of_ns)}" + (
        f", from {iso(window.from_ns)}" if window else ", everything stored before"
    )
    yield f"- made by {code(facts.made_by)}"
    yield ""


def _happened(facts: Reported) -> Iterator[str]:
    totals = facts.totals
    yield "## What happened"
    yield ""
    agents = sorted(totals.values.get("agent", set()))
    for agent in agents[:_LISTED_PEOPLE]:
        entry = facts.registry.agents.get(agent)
        owner = f"owner {code(entry.owner)}, on call {code(entry.on_call)}" if entry else "not in agents.toml"
        yield f"- agent {code(agent)}: {owner}"
    if len(agents) > _LISTED_PEOPLE:
        yield f"- and {len(agents) - _LISTED_PEOPLE} more agents"
    yield f"- {_count(len(totals.sessions), 'session')}, {_count(totals.spans, 'span')}: {_listed(totals.kinds)}"
    yield f"- runs: {_listed(totals.outcomes)}"
    if totals.errors:
        worst = ", ".join(f"{code(name)} {count:,}x" for name, count in totals.errors.most_common(5))
        yield f"- errors: {totals.errors.total():,}, most of all {worst}"
    for session, own in totals.dearest():
        why = facts.why.get(session)
        yield (
            f"- session {code(session)} ({own.outcome}): {_usd(own.cost_nano)}, {_count(own.spans, 'span')}"
            + (f", {code(why)}" if why else "")
        )
    for kind, word in (("user", "user"), ("tenant", "tenant")):
        named = sorted(totals.values.get(kind, set()))
        if named:
            shown = ", ".join(code(name) for name in named[:_LISTED_PEOPLE])
            yield f"- {_count(len(named), word)} concerned: {shown}" + (
                " and more" if len(named) > _LISTED_PEOPLE else ""
            )
    yield ""


def _when(facts: Reported) -> Iterator[str]:
    yield "## When"
    yield ""
    totals = facts.totals
    if totals.first_ns is not None and totals.last_ns is not None:
        yield f"- first {iso(totals.first_ns)}, last {iso(totals.last_ns)}"
    people = [entry for entry in facts.timeline if entry.kind in {"person", "stop"}][-LINES_EACH:]
    rest = [entry for entry in facts.timeline if entry.kind not in {"person", "stop"}]
    shown = people + _telling(rest, [entry.needs_a_hand for entry in rest], LINES_EACH)
    shown.sort(key=lambda entry: entry.at_ns)
    for entry in shown:
        yield _line(entry)
    if len(shown) < len(facts.timeline):
        yield f"- and {len(facts.timeline) - len(shown):,} more in timeline.json"
    yield ""


def _cost(totals: Totals) -> Iterator[str]:
    yield "## What it cost"
    yield ""
    known = "not known" if totals.cost_nano is None else _usd(totals.cost_nano)
    yield f"- {known}" + (
        f", without {_count(totals.unpriced, 'model call')} that no price is known for" if totals.unpriced else ""
    )
    yield f"- tokens: {_listed(totals.tokens)}"
    yield ""


def _touched(found: Blast) -> Iterator[str]:
    yield "## What it touched"
    yield ""
    yield (
        f"- {_count(found.writes, 'write')} to {_count(len(found.systems), 'system')}: {found.unknown:,} unknown, "
        f"{_count(found.duplicates, 'duplicate')}, {found.cannot_undo:,} that cannot be undone; "
        f"{_count(found.reads, 'read')}"
    )
    yield f"- duplicate means: {found.duplicate_rule}"
    for tool in found.unmapped[:LINES_EACH]:
        yield f"- nothing tells what it did, declare it in agents.toml: tool {code(tool.tool)}, {tool.calls:,}x"
    yield ""
    for system in found.systems:
        yield from _system(system)


def _system(system: SystemBlast) -> Iterator[str]:
    yield f"### {code(system.system)}"
    yield ""
    yield f"- owner {code(system.owner)}; undo {system.undo}"
    yield (
        f"- {_count(system.writes, 'write')}: {system.ok:,} confirmed, {system.failed:,} failed, "
        f"{system.unknown:,} unknown, {_count(system.duplicates, 'duplicate')}"
    )
    if system.check:
        yield f"- how to check: {code(system.check)}"
    for effect in _telling(system.effects, [effect.needs_a_hand for effect in system.effects], LINES_EACH):
        row = effect.row
        when = "(no time)" if row.at_ns is None else iso(row.at_ns)
        extra = "".join(
            f", {word} {code(value)}"
            for word, value in (("key", row.idempotency_key), ("id", row.external_id), ("session", row.session))
            if value is not None
        )
        again = f", duplicate of span {code(effect.duplicate_of)}" if effect.duplicate_of else ""
        yield f"- {when} {code(row.operation)} {code(row.resource)}: {_status(row.status)}{extra}{again}"
    if len(system.effects) > LINES_EACH:
        yield f"- and {len(system.effects) - LINES_EACH:,} more in effects.json"
    yield ""


def _telling(items: Sequence[T], needs_a_hand: Sequence[bool], most: int) -> list[T]:
    """At most `most`, in their order: those that need a hand, newest first, then the newest of the rest."""
    ranked = sorted(range(len(items)), key=lambda index: (not needs_a_hand[index], -index))
    return [items[index] for index in sorted(ranked[:most])]


def _done(facts: Reported) -> Iterator[str]:
    yield "## What was done"
    yield ""
    people = [entry for entry in facts.timeline if entry.kind in {"person", "stop"}]
    for entry in people[-2 * LINES_EACH :]:
        yield _line(entry)
    if not people:
        yield "- Nobody did anything that Andon knows of."
    yield ""


def _line(entry: Entry) -> str:
    said = f": {code(entry.detail)}" if entry.detail else ""
    return f"- {iso(entry.at_ns)} {code(entry.what)} by {code(entry.who)}{said}"


def _status(text: str) -> str:
    return text if text in EFFECT_STATUSES else code(text)


def _usd(nano: int | None) -> str:
    return "cost not known" if nano is None else f"{nano / NANO_PER_USD:,.4f} $"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _listed(counts: dict[str, int]) -> str:
    pairs: Iterable[tuple[str, int]] = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in pairs if count) or "none"
