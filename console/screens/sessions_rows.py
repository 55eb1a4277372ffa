"""The list of sessions in words. No Textual here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from console.widgets.figures import age, count, day_clock, duration, usd
from console.widgets.rows import Cell, Column, Row, text_row
from store.telemetry.views import SessionFilter, SessionRow

COLUMNS = (
    Column("  status", 11),
    Column("session", 12),
    Column("agent", 0, since=44),
    Column("started", 17, since=110),
    Column("seen", 5, right=True, since=52),
    Column("took", 7, right=True, since=66),
    Column("runs", 5, right=True, since=110),
    Column("llm", 5, right=True, since=78),
    Column("tool", 5, right=True, since=78),
    Column("err", 4, right=True, since=58),
    Column("tokens", 8, right=True, since=90),
    Column("$", 8, right=True),
)
ORDERS = ("newest", "cost", "duration", "errors")
GLYPHS = {
    "ok": ("✔", ""),
    "error": ("✖", "bad"),
    "aborted": ("✖", "bad"),
    "capped": ("✖", "bad"),
    "refused": ("✖", "bad"),
    "running": ("●", ""),
    "cancelled": ("·", ""),
    "unknown": ("?", "warn"),
}
_FIELDS = {
    "agent": "agent",
    "user": "user",
    "tenant": "tenant",
    "session": "session",
    "status": "status",
    "tool": "tool",
}
FILTER_HELP = "words to look for, or agent: user: tenant: session: status: tool: and a value"


def session_rows(sessions: Sequence[SessionRow], as_of_ns: int, zone: str) -> list[Row]:
    return [_row(session, as_of_ns, zone) for session in sessions]


def _row(row: SessionRow, as_of_ns: int, zone: str) -> Row:
    glyph, tone = GLYPHS.get(row.status, ("?", "warn"))
    tokens = row.tokens_input + row.tokens_cache_read + row.tokens_cache_write + row.tokens_output
    price = usd(row.cost_nano) + ("+?" if row.cost_basis in {"partial", "uncertain"} else "")
    return Row(
        row.session,
        (
            Cell(f"{glyph} {row.status}", tone),
            Cell(row.session),
            Cell(row.agent or row.format or "?"),
            Cell(day_clock(row.started_ns, zone)),
            Cell(age(as_of_ns - row.ended_ns) if row.ended_ns is not None else "-"),
            Cell(duration(row.duration_ns)),
            Cell(count(row.runs)),
            Cell(count(row.llm_calls)),
            Cell(count(row.tool_calls)),
            Cell(count(row.errors), "warn" if row.errors else ""),
            Cell(count(tokens)),
            Cell(price),
        ),
    )


def parse_filter(text: str, base: SessionFilter) -> SessionFilter:
    """`agent:a status:error words` -> a filter; what has no known kind is text to look for, literally."""
    found: dict[str, str] = {}
    words: list[str] = []
    for word in text.split():
        kind, colon, value = word.partition(":")
        if colon and kind in _FIELDS and value:
            found[_FIELDS[kind]] = value
        else:
            words.append(word)
    empty = dataclasses.replace(base, agent=None, user=None, tenant=None, session=None, status=None, tool=None)
    return dataclasses.replace(empty, text=" ".join(words) or None, **found)  # type: ignore[arg-type]  # all text


def empty_rows(filter_text: str) -> list[Row]:
    if filter_text:
        return [
            text_row(""),
            text_row("  No session matches ", Cell(filter_text, "strong"), ". Press / for another filter."),
        ]
    return [text_row(""), text_row("  No session yet. Give the store logs:  andon collect PATH")]
