"""Why a session costs what it costs, in a few words, from its own spans.

Loops first, then growing context, then retries, else its size.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

LOOP_CALLS = 6  # more than five calls of one tool in a row (CHECKLIST 105)
ROUNDS = 3  # A -> B -> A -> B -> A -> B: three rounds of two tools (CHECKLIST 106)
GROWTH = 2.0
LOOP_SHARE = 5  # a loop is the reason where it is at least a fifth of the calls
_SPANS = 5000


def why_of(connection: sqlite3.Connection, session: str, as_of_ns: int) -> tuple[str, str | None]:
    """(the reason in words, the tool it names). The tool's name is untrusted text."""
    rows = connection.execute(
        "SELECT kind, tool, context_tokens, attempt, retry_of, model FROM span "
        "WHERE session = ? AND kind IN ('llm', 'tool') AND coalesce(started_ns, ended_ns) <= ? "
        "ORDER BY coalesce(started_ns, ended_ns) DESC LIMIT ?",
        (session, as_of_ns, _SPANS),
    ).fetchall()[::-1]
    tools = [row[1] or "?" for row in rows if row[0] == "tool"]
    contexts = [row[2] for row in rows if row[0] == "llm" and row[2]]
    retries = sum(1 for row in rows if row[4] is not None or (row[3] or 1) > 1)
    loop = longest_loop(tools)
    if loop is not None and loop.calls * LOOP_SHARE >= len(tools):
        return f"loop: {loop.words}", loop.tool
    if len(contexts) > 4 and contexts[-1] >= contexts[0] * GROWTH:
        step = (contexts[-1] - contexts[0]) // (len(contexts) - 1)
        return f"context {_k(contexts[0])} → {_k(contexts[-1])}, +{_k(step)} a step", None
    if retries * 5 > len(rows):
        return f"{retries} retries in {len(rows)} calls", None
    models = Counter(row[5] for row in rows if row[5])
    model = f", mostly {models.most_common(1)[0][0]}" if models else ""
    return f"{_n(len(rows) - len(tools), 'model call')}, {_n(len(tools), 'tool call')}{model}", None


class Loop(NamedTuple):
    calls: int
    words: str
    tool: str


def longest_loop(tools: Sequence[str]) -> Loop | None:
    """The longest run of one tool, or of two in turn. None where there is none of at least LOOP_CALLS calls."""
    best: Loop | None = None
    for tool, calls in groupby(tools):
        count = sum(1 for _ in calls)
        if count >= LOOP_CALLS and (best is None or count > best.calls):
            best = Loop(count, f"{tool} {count}x in a row", tool)
    start = 0
    for index in range(2, len(tools) + 1):
        if index < len(tools) and tools[index] == tools[index - 2]:
            continue
        length = index - start
        if length >= 2 * ROUNDS and tools[start] != tools[start + 1] and (best is None or length > best.calls):
            best = Loop(length, f"{tools[start]} ⇄ {tools[start + 1]}, {length // 2} rounds", tools[start])
        start = index - 1
    return best


def _n(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _k(tokens: int) -> str:
    return f"{tokens / 1000:.0f}k" if tokens >= 10_000 else f"{tokens / 1000:.1f}k" if tokens >= 1000 else str(tokens)
