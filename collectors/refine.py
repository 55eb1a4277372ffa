"""From lines to records that may be written: parse, classify, price, redact. No line and no record stops the rest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from collectors.enrich import Enricher
from collectors.formats.base import BadLine, Format, Line, Parsed, Parser, SourceFacts
from store.record.batch import Finding
from store.record.span import Span


@dataclass(slots=True)
class Refused:
    """A record that could not be redacted or priced, so it must not be written. `key_hash` is of its key."""

    key_hash: str
    reason: str


@dataclass(slots=True)
class Refined:
    """Records that may be written, and those that may not; what was found in those that may."""

    spans: list[Span]
    refused: list[Refused] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def parse_lines(
    form: Format, facts: SourceFacts, parser: Parser, state: bytes, lines: list[Line]
) -> tuple[Parsed, Parser, str | None]:
    """What the lines came to, the parser that goes on, and what to say where it failed.

    `state` is the parser's before these lines: where it fails, they are read again from there, each by itself, and a
    line that it cannot bear becomes a reject.
    """
    try:
        return parser.parse(lines), parser, None
    except Exception as error:  # noqa: BLE001 - one line that a parser cannot bear must not stop all others
        said = f"the parser failed ({type(error).__name__}); its line is rejected"
    whole = Parsed()
    for line in lines:
        one = form.parser(facts, state)
        try:
            parsed = one.parse([line])
            state = one.state()
        except Exception as error:  # noqa: BLE001 - as above
            whole.bad.append(BadLine(line, f"the parser failed: {type(error).__name__}"))
            continue
        whole.spans += parsed.spans
        whole.bad += parsed.bad
        for name, count in parsed.unknown_types.items():
            whole.unknown_types[name] = whole.unknown_types.get(name, 0) + count
    return whole, form.parser(facts, state), said


def refine(enricher: Enricher, spans: list[Span]) -> Refined:
    """Enrich a batch in place; where it fails, each record by itself."""
    try:
        findings = enricher.spans(spans)
    except Exception:  # noqa: BLE001 - one record must not stop the line, nor go unredacted
        return _refine_singly(enricher, spans)
    return Refined(spans, findings=findings)


def _refine_singly(enricher: Enricher, spans: list[Span]) -> Refined:
    refined = Refined([])
    for span in spans:
        try:
            refined.findings += enricher.spans([span])
        except Exception as error:  # noqa: BLE001 - as above
            key = f"{span.namespace}\0{span.span_id}".encode("utf-8", "replace")
            reason = f"could not be redacted or priced ({type(error).__name__}), so it was not written"
            refined.refused.append(Refused(hashlib.blake2b(key, digest_size=16).hexdigest(), reason))
        else:
            refined.spans.append(span)
    return refined
