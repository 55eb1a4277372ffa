"""What a format is: it recognises a file by content and turns its lines into spans.

A parser is a pure function of (its state, the lines): it reads no clock and no file, and its state travels with
the source's offset, so that a restart in mid-file gives what one reading would have given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from store.record.span import Span


class Line(NamedTuple):
    """One complete line without its line end; `offset` is where it starts in the file, in bytes."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, and why in a few words; it is kept as a reject."""

    line: Line
    reason: str


@dataclass(slots=True)
class Parsed:
    """What lines came to. Every line is in a span, in `bad`, in `unknown_types`, or known to mean nothing."""

    spans: list[Span] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    unknown_types: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a parser may know of its file. `agent` is the configured name, else the format's own."""

    source_id: str
    path: str
    agent: str | None = None


class Parser(Protocol):
    def parse(self, lines: list[Line]) -> Parsed:
        """Read the next lines in order. Never raises for any bytes."""

    def state(self) -> bytes:
        """Everything the next `parse` needs, at most a few KB. b"" after lines were read: each stands for itself."""


class Format(Protocol):
    """One dialect. `whole`: a file of it may also be one JSON value, over many lines, that is written anew as it grows.

    Such a document reaches the parser as one Line at offset 0, each version of it with the state b"".
    """

    name: str
    namespace: str  # session, trace or global: where its span ids are unique
    whole: bool

    def recognises(self, head: list[bytes]) -> bool:
        """True if these first complete lines (up to 20, blank ones left out), or this whole document, are of it."""

    def parser(self, facts: SourceFacts, state: bytes = b"") -> Parser:
        """A parser that goes on from `state` (b"" is the start of a file)."""
