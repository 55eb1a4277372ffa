"""What redaction replaced and what looks like an injection, as findings: what, where, which way, to which system.

Direction and way are those of the place where the text stood: what a model or a run is given was entered by its user,
what a tool is given left to that tool, what a tool answers entered by it (a tool that looks things up: by retrieval),
and what a model or a run answers left as output.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from collectors.enrich.effects.mcp import parts_of
from collectors.enrich.injection import Injections
from collectors.enrich.redact import Change
from collectors.enrich.validators import TOKEN
from store.record.batch import Finding
from store.record.span import Span

INJECTION = "prompt_injection"
_REPEATS = frozenset({"namespace", "parent_id", "retry_of"})  # ids of other records, which have a finding of their own
_LOOKS_UP = re.compile(
    r"(?i)retriev|search|\brag\b|_rag|vector|embed|knowledge|recall|memory|fetch|brows|\bweb|_web|crawl|scrape|look_?up|wiki"
)


def findings_of(spans: Sequence[Span], changes: Iterable[Change], injections: Injections) -> list[Finding]:
    """One finding for each span, part, class and token of a batch that is redacted already."""
    found: dict[tuple[str, str, str, str, str], Finding] = {}
    counts: Counter[tuple[int, str, str]] = Counter()
    of: dict[int, Span] = {}
    for span, part, before, after in changes:
        if part not in _REPEATS:
            of[id(span)] = span
            for token, count in new_tokens(before, after).items():
                counts[id(span), part, token] += count
    for (number, part, token), count in counts.items():
        _add(found, _finding(of[number], part, class_of(token), token, count, "replaced"))
    for span, part, count in injections.in_results(spans):
        _add(found, _finding(span, part, INJECTION, "", count, "flagged"))
    return list(found.values())


def findings_in(before: str, after: str, *, place: str, part: str, at_ns: int, agent: str | None) -> list[Finding]:
    """The findings of a text that is no span's: a rejected line, a file's name. `place` says which."""
    return [
        Finding(
            class_=class_of(token),
            namespace="",
            span_id=place,
            part=part,
            token=token,
            count=count,
            direction="entered",
            via="user",
            handled="replaced",
            agent=agent,
            at_ns=at_ns,
        )
        for token, count in new_tokens(before, after).items()
    ]


def new_tokens(before: str, after: str) -> Counter[str]:
    """The tokens that redaction put in, and how often."""
    return Counter(TOKEN.findall(after)) - Counter(TOKEN.findall(before))


def class_of(token: str) -> str:
    return token[1:].partition(":")[0]


def _add(found: dict[tuple[str, str, str, str, str], Finding], one: Finding) -> None:
    """Versions of one span say the same thing twice: it counts once."""
    key = (one.namespace, one.span_id, one.part, one.class_, one.token)
    known = found.get(key)
    if known is None or one.count >= known.count:
        found[key] = one


def _finding(span: Span, part: str, class_: str, token: str, count: int, handled: str) -> Finding:
    direction, via = _way(span, part)
    return Finding(
        class_=class_,
        namespace=span.namespace,
        span_id=span.span_id,
        part=part,
        token=token,
        count=count,
        direction=direction,
        via=via,
        handled=handled,
        system=_system(span, direction, via),
        session=span.session,
        agent=span.agent,
        at_ns=span.started_ns if span.ended_ns is None else span.ended_ns,
    )


def _way(span: Span, part: str) -> tuple[str, str]:
    """(direction, via) of a place of the span."""
    acts = span.kind in ("tool", "side_effect")
    if part.startswith("effect_") or (acts and part.startswith("input")):
        return "left", "tool"
    if part.startswith("output") or part in ("error_message", "error_type"):
        if not acts:
            return "left", "output"
        return "entered", "retrieval" if _LOOKS_UP.search(span.tool or span.name or "") else "tool"
    return "entered", "user"


def _system(span: Span, direction: str, via: str) -> str | None:
    """Where it went or came from: the system of the tool; for what a model was given, the model's provider."""
    if via in ("tool", "retrieval"):
        mcp = parts_of(span.tool or "")
        return span.effect_system or (mcp[0] if mcp is not None else span.tool or span.name)
    return span.provider if direction == "entered" and span.kind == "llm" else None
