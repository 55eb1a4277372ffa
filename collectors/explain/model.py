"""What an explanation says. Every text is redacted, and cut to what a screen can show."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from collectors.enrich.redact import Redactor
from collectors.enrich.rules import RuleRow
from collectors.formats.decode import canonical
from store.record.span import NANO_PER_USD, NS_PER_MS
from store.record.window import iso

SHOWN_CHARS = 400
_LOOK_CHARS = 8_192  # a secret is found in this much of a value; less of it is shown


@dataclass(slots=True)
class FieldRow:
    """One field of one record. `raw` None: nothing is there. `became` None: nothing came of it, `why` says why."""

    field: str
    path: str
    raw: str | None
    became: str | None
    why: str = ""


@dataclass(slots=True)
class SpanRows:
    span: str
    kind: str
    fields: list[FieldRow] = field(default_factory=list)


@dataclass(slots=True)
class RecordRows:
    """One line, or one element of a document. `outcome`: span, rejected, passed_over, nothing."""

    number: int
    offset: int
    outcome: str
    reason: str = ""
    spans: list[SpanRows] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)  # paths that no field came of


@dataclass(slots=True)
class Totals:
    """The whole file. `spans` are distinct ones; `fields`: how many of them have the field."""

    lines: int = 0
    records: int = 0
    spans: int = 0
    sessions: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    rejected_at: dict[str, int] = field(default_factory=dict)  # reason -> number of its first line
    unknown_types: dict[str, int] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    never: list[tuple[str, str]] = field(default_factory=list)  # (mapped field, its path) that was never there
    tokens: dict[str, int] = field(default_factory=dict)
    cost_nano: int | None = None
    cut_short: bool = False  # there was more than is looked at


@dataclass(slots=True)
class Explained:
    """`known_by` is how the format was told, or why it was not."""

    path: str
    size_bytes: int
    format: str | None
    known_by: str
    document: bool
    records: list[RecordRows] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    hints: list[str] = field(default_factory=list)
    sample: list[tuple[str, str]] = field(default_factory=list)  # (path, value) of the first records, where unread


class Shown:
    """Values as they are shown: redacted first, then cut."""

    def __init__(self, rules: tuple[RuleRow, ...] = ()) -> None:
        """`rules`: the user's own, beside those that come with Andon."""
        self.redact: Callable[[str], str] = Redactor(secrets.token_bytes(32), rules).text

    def text(self, text: str) -> str:
        clean = self.redact(text[:_LOOK_CHARS])
        return clean if len(text) <= SHOWN_CHARS and len(clean) <= SHOWN_CHARS else clean[:SHOWN_CHARS] + "…"

    def raw(self, value: Any) -> str:
        """A value of the log: text in quotes, all else as JSON."""
        return self.text(f'"{value}"' if isinstance(value, str) else canonical(value))

    def became(self, name: str, value: Any) -> str:
        """A value of a record, in the unit that people read."""
        if name.endswith("_ns") and isinstance(value, int):
            if name in ("started_ns", "ended_ns"):
                return iso(value)
            return f"{value / NS_PER_MS:,.3f} ms"
        if name == "cost_nano" and isinstance(value, int):
            return f"{value / NANO_PER_USD:.6f} $"
        return self.text(value) if isinstance(value, str) else canonical(value)
