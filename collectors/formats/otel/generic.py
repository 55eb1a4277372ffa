"""A span of no vocabulary that is known: a request to a server, a query, a log record.

A root is the run: one request handled. What lies within it is a step without a kind, whatever it called: to guess a
tool from `http.method` would invent tool calls.
"""

from __future__ import annotations

from collectors.formats.otel.draft import is_root, payload, put
from collectors.formats.otel.span import OtelSpan
from store.record.span import Span

_INPUT = ("input.value", "input")
_OUTPUT = ("output.value", "output")
TAKEN = frozenset({*_INPUT, *_OUTPUT})


def read(otel: OtelSpan, span: Span, flags: set[str]) -> list[Span]:  # noqa: ARG001 - the shape of a vocabulary
    """Fill `span` from the attributes; returns what else the record holds: nothing."""
    if is_root(otel):
        span.kind = "run"
    put(span, "input", payload(otel.attributes, _INPUT))
    put(span, "output", payload(otel.attributes, _OUTPUT))
    return []
