"""A session's spans as a tree, as they were known at a moment."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import replace

from store.record.span import Rank
from store.telemetry.outcome import open_status
from store.telemetry.payload import load_parts, part_names, read_part
from store.telemetry.sessions import one_session
from store.telemetry.views import SpanRow, Trace
from store.telemetry.why import why_of

_SPAN = (
    "namespace, span_id, parent_id, run_id, kind, name, model, tool, started_ns, ended_ns, status, error_type, "
    "error_message, tokens_input, tokens_cache_read, tokens_cache_write_5m, tokens_cache_write_1h, tokens_output, "
    "tokens_reasoning, cost_nano, cost_basis, effect_system, effect_status, flags, rank, parts"
)


def read_trace(connection: sqlite3.Connection, session: str, as_of_ns: int, limit: int) -> Trace | None:
    """The session's first `limit` spans by start; None where nothing of it had started by then."""
    head = one_session(connection, session, as_of_ns)
    if head is None:
        return None
    rows = connection.execute(
        f"SELECT {_SPAN} FROM span WHERE session = ? AND coalesce(started_ns, ended_ns, 0) <= ? "
        "ORDER BY coalesce(started_ns, ended_ns, 0), span_id LIMIT ?",
        (session, as_of_ns, limit),
    ).fetchall()
    total, prompt_hash = connection.execute(
        "SELECT count(*), max(prompt_hash) FROM span WHERE session = ? AND coalesce(started_ns, ended_ns, 0) <= ?",
        (session, as_of_ns),
    ).fetchone()
    spans = [_span_row(row, head.ended_ns, as_of_ns) for row in rows]
    why, _ = why_of(connection, session, as_of_ns)
    return Trace(session=head, spans=as_tree(spans), why=why, prompt_hash=prompt_hash, total_spans=total)


def read_parts(connection: sqlite3.Connection, namespace: str, span_id: str) -> dict[str, str]:
    """The redacted payload of one span, by part name; a part whose block was pruned says so."""
    row = connection.execute(
        "SELECT parts, rank, ended_ns, block FROM span WHERE namespace = ? AND span_id = ?", (namespace, span_id)
    ).fetchone()
    if row is None:
        return {}
    texts = {name: read_part(connection, part) for name, part in load_parts(*row).items()}
    return {name: "(pruned)" if text is None else text for name, text in texts.items()}


def as_tree(spans: list[SpanRow]) -> tuple[SpanRow, ...]:
    """Depth first, children in the order given. A missing parent, itself as parent, or a cycle makes a root."""
    by_id = {span.span_id: span for span in spans}
    children: dict[str | None, list[SpanRow]] = defaultdict(list)
    for span in spans:
        parent = span.parent_id if span.parent_id in by_id and span.parent_id != span.span_id else None
        children[parent].append(span)
    ordered: list[SpanRow] = []
    seen: set[tuple[str, str]] = set()

    def walk(start: SpanRow) -> None:
        stack = [(start, 0)]
        while stack:
            span, depth = stack.pop()
            key = (span.namespace, span.span_id)
            if key in seen:
                continue
            seen.add(key)
            own = children.get(span.span_id, [])
            ordered.append(replace(span, depth=depth, children=len(own)))
            stack.extend((child, depth + 1) for child in reversed(own))

    for root in children[None]:
        walk(root)
    for span in spans:  # what only a cycle reaches
        walk(span)
    return tuple(ordered)


def _span_row(row: tuple[object, ...], last_ns: int | None, as_of_ns: int) -> SpanRow:
    values = dict(zip((name.strip() for name in _SPAN.split(",")), row, strict=True))
    names = part_names(values.pop("parts"))  # type: ignore[arg-type]
    rank: int = values.pop("rank")  # type: ignore[assignment]
    write_5m, write_1h = values.pop("tokens_cache_write_5m"), values.pop("tokens_cache_write_1h")
    write = None if write_5m is None and write_1h is None else (write_5m or 0) + (write_1h or 0)  # type: ignore[operator]
    ended: int | None = values["ended_ns"]  # type: ignore[assignment]
    if ended is not None and ended > as_of_ns:
        for name in ("ended_ns", "status", "error_type", "error_message", "cost_nano", "cost_basis", "effect_status"):
            values[name] = None
        for name in ("tokens_input", "tokens_cache_read", "tokens_output", "tokens_reasoning"):
            values[name] = None
        write = None
        values["status"] = "running"
    elif ended is None and rank < Rank.ENDED:
        values["status"] = open_status(last_ns, as_of_ns)
    else:
        values["status"] = values["status"] or "unknown"
    values["kind"] = values["kind"] or "step"  # a chain, a task, a log record: in the tree, and counted as nothing else
    return SpanRow(**values, tokens_cache_write=write, part_names=names)  # type: ignore[arg-type]
