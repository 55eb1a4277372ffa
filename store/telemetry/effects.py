"""What spans did outside: effects that records report, calls of tools that are declared to write, and what the
arguments or the name of any other call tell. A declaration of now goes before what was told when it was collected.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from store.record.scope import Scope
from store.record.tools import ToolMap, effect_status_of
from store.record.window import Window
from store.telemetry.outcome import FRESH_NS
from store.telemetry.totals import OPEN
from store.telemetry.views import EffectRow, ScopeActivity, ToolUse

_COLUMN = {"agent": "agent", "tenant": "tenant_id", "user": "user_id", "session": "session", "tool": "tool"}
_EFFECT = (
    "at_ns, agent, session, namespace, span_id, tool, effect_system, effect_operation, effect_resource, effect_status, "
    "effect_reversible, effect_idempotency_key, effect_external_id, effect_basis, status, ended_ns, parent_id"
)


REPORTED = "reported"
_TOLD = ("argument", "name", "unknown")  # by the call itself, not by its record or by agents.toml


def scope_condition(scope: Scope) -> tuple[str, list[str]]:
    """SQL that holds for the spans of a scope, and its values."""
    if not scope.parts:
        return "1", []
    return " AND ".join(f"{_COLUMN[kind]} = ?" for kind, _ in scope.parts), [value for _, value in scope.parts]


def _where(scope: Scope, as_of_ns: int, window: Window | None) -> tuple[str, list[Any]]:
    """Spans of the scope that had begun by `as_of_ns`; with a window, those that count inside it."""
    condition, values = scope_condition(scope)
    if window is None:
        return f"{condition} AND coalesce(started_ns, at_ns) <= ?", [*values, as_of_ns]
    in_window = f"{condition} AND at_ns >= ? AND at_ns < ? AND coalesce(started_ns, at_ns) <= ?"
    return in_window, [*values, window.from_ns, window.to_ns, as_of_ns]


def read_effects(
    connection: sqlite3.Connection, scope: Scope, as_of_ns: int, tools: ToolMap, window: Window | None
) -> tuple[EffectRow, ...]:
    """Effects in the order they happened. A declared write without a reported effect counts, basis `declared`."""
    where, values = _where(scope, as_of_ns, window)
    rows = connection.execute(
        f"SELECT {_EFFECT} FROM span WHERE {where} AND (effect_system IS NOT NULL OR kind = 'tool') "
        "ORDER BY at_ns, span_id",
        values,
    ).fetchall()
    # a call whose own side_effect span reports what was written is that write, not a second one
    reported_by_child = {(row[3], row[16]) for row in rows if row[13] == REPORTED and row[16] is not None}
    found = []
    for row in rows:
        if row[13] != REPORTED and (row[3], row[4]) in reported_by_child:
            continue
        effect = _effect(row, tools, as_of_ns)
        if effect is not None:
            found.append(effect)
    return tuple(found)


def read_tool_uses(
    connection: sqlite3.Connection, scope: Scope, as_of_ns: int, window: Window | None
) -> tuple[ToolUse, ...]:
    """Every tool called in the scope, by agent and by what its calls did, most called first."""
    where, values = _where(scope, as_of_ns, window)
    rows = connection.execute(
        "SELECT agent, tool, count(*), count(*) FILTER (WHERE status = 'error'), "
        f"count(*) FILTER (WHERE {OPEN}), CASE WHEN coalesce(effect_basis, '') NOT IN ('argument', 'name') "
        "THEN 'unknown' WHEN effect_system IS NULL THEN 'read' ELSE 'write' END AS did FROM span "
        f"WHERE {where} AND kind = 'tool' AND tool IS NOT NULL GROUP BY agent, tool, did ORDER BY 3 DESC, tool, did",
        values,
    ).fetchall()
    return tuple(ToolUse(*row) for row in rows)


def read_activity(connection: sqlite3.Connection, scope: Scope, as_of_ns: int, tools: ToolMap) -> ScopeActivity:
    """What is in flight in the scope: what a stop would hit."""
    condition, values = scope_condition(scope)
    open_rows = connection.execute(
        f"SELECT {_EFFECT}, run_id FROM span WHERE {OPEN} AND started_ns BETWEEN ? AND ? AND {condition} "
        "ORDER BY started_ns LIMIT 10000",
        [as_of_ns - FRESH_NS, as_of_ns, *values],
    ).fetchall()
    columns = [name.strip() for name in _EFFECT.split(",")]
    session_at, agent_at, tool_at = columns.index("session"), columns.index("agent"), columns.index("tool")
    writes = [_effect(row[:-1], tools, as_of_ns) for row in open_rows if row[tool_at] is not None or row[6] is not None]
    if scope.get("tool") is None:
        last = connection.execute(f"SELECT max(last_ns) FROM session WHERE {condition}", values)
    else:
        last = connection.execute(f"SELECT max(at_ns) FROM span WHERE {condition}", values)
    return ScopeActivity(
        running_runs=len({(row[session_at], row[-1]) for row in open_rows}),
        sessions=len({row[session_at] for row in open_rows}),
        open_writes=tuple(effect for effect in writes if effect is not None),
        agents=tuple(sorted({row[agent_at] for row in open_rows if row[agent_at]})),
        last_seen_ns=last.fetchall()[0][0],
    )


def _effect(row: tuple[Any, ...], tools: ToolMap, as_of_ns: int) -> EffectRow | None:
    """The effect of one span row, or None where it has none or its tool is a read."""
    (at, agent, session, namespace, span_id, tool, system, operation, resource, status) = row[:10]
    (reversible, key, external_id, basis, span_status, ended) = row[10:16]
    if (system is None or basis in _TOLD) and (facts := tools.of(agent, tool)) is not None:
        if not facts.writes:
            return None
        told = basis in _TOLD
        operation, reversible = (None, None) if told else (operation, reversible)
        system, operation, basis = facts.system, operation or tool, "declared"
        reversible = reversible or facts.reversible
    if system is None:
        return None
    if ended is not None and ended > as_of_ns:
        at, status, external_id = as_of_ns, "sent", None  # what came of it was not known yet
    elif status is None:
        status = "sent" if ended is None else effect_status_of(span_status)
    return EffectRow(
        at_ns=at,
        agent=agent,
        session=session,
        namespace=namespace,
        span_id=span_id,
        tool=tool,
        system=system,
        operation=operation,
        resource=resource,
        status=status,
        reversible=reversible or "unknown",
        idempotency_key=key,
        external_id=external_id,
        basis=basis,
    )
