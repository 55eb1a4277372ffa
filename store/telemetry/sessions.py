"""Sessions as the lists show them: stored totals, or, turned back to a moment inside a session, its rows up to then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from store.record.span import COLUMNS, IDENTITY, KEY
from store.telemetry.outcome import run_status
from store.telemetry.totals import EXTREMES, SUM_SQL, SUMS
from store.telemetry.views import SessionFilter, SessionRow

_TOTALS = (*SUMS, *EXTREMES)
_SPANS_OF_SESSION = "SELECT 1 FROM span WHERE span.session = session.session"
_ORDERS = {
    "newest": "last_ns DESC, session",
    "cost": "cost_nano DESC, session",
    "duration": "ended_ns - started_ns DESC, session",
    "errors": "errors DESC, session",
}
_ALWAYS = frozenset({*KEY, *IDENTITY, "started_ns"})


def spans_as_of(as_of_ns: int) -> str:
    """A FROM clause: the spans as they were known to be at `as_of_ns`. What had not ended has no measures yet."""
    columns = ", ".join(
        name if name in _ALWAYS else f"CASE WHEN ended_ns IS NULL OR ended_ns <= {as_of_ns:d} THEN {name} END AS {name}"
        for name in COLUMNS
    )
    return (
        f"(SELECT {columns}, future, "
        f"CASE WHEN ended_ns <= {as_of_ns:d} THEN at_ns ELSE coalesce(started_ns, ended_ns) END AS at_ns "
        f"FROM span WHERE coalesce(started_ns, ended_ns, 0) <= {as_of_ns:d})"
    )


def list_sessions(connection: sqlite3.Connection, wanted: SessionFilter, as_of_ns: int) -> tuple[SessionRow, ...]:
    """Sessions that had started by `as_of_ns`, at most `wanted.limit` of them, in `wanted.order`."""
    conditions, values = _conditions(wanted)
    order = _ORDERS.get(wanted.order, _ORDERS["newest"])
    rows = connection.execute(
        f"SELECT session, {', '.join(_TOTALS)} FROM session "
        f"WHERE coalesce(started_ns, last_ns, 0) <= ? {conditions} ORDER BY {order}",
        [as_of_ns, *values],
    )
    found: list[SessionRow] = []
    try:
        for row in rows:
            session = session_row(connection, row[0], dict(zip(_TOTALS, row[1:], strict=True)), as_of_ns)
            if wanted.status is None or session.status == wanted.status:
                found.append(session)
            if len(found) >= wanted.limit:
                break
    finally:
        rows.close()
    return tuple(found)


def one_session(connection: sqlite3.Connection, session: str, as_of_ns: int) -> SessionRow | None:
    """The session by its id, or None where nothing of it had started by then."""
    row = connection.execute(
        f"SELECT {', '.join(_TOTALS)} FROM session WHERE session = ? AND coalesce(started_ns, last_ns, 0) <= ?",
        (session, as_of_ns),
    ).fetchone()
    return session_row(connection, session, dict(zip(_TOTALS, row, strict=True)), as_of_ns) if row else None


def session_row(connection: sqlite3.Connection, session: str, totals: dict[str, Any], as_of_ns: int) -> SessionRow:
    """Totals and runs of one session as of a moment."""
    turned_back = totals["last_ns"] is not None and totals["last_ns"] > as_of_ns
    if turned_back:
        totals = _recomputed(connection, session, as_of_ns) or totals
    runs = list(_runs(connection, session, as_of_ns, recompute=turned_back))
    newest = max(runs, key=lambda run: (run["last_ns"] or 0, run["started_ns"] or 0), default=totals)
    priced = totals["reported"] + totals["computed"] + totals["uncertain"]
    return SessionRow(
        session=session,
        agent=totals["agent"],
        format=totals["format"],
        user_id=totals["user_id"],
        tenant_id=totals["tenant_id"],
        started_ns=totals["started_ns"],
        ended_ns=totals["last_ns"],
        status=status_of(newest, as_of_ns),
        runs=len(runs),
        llm_calls=totals["llm_calls"],
        tool_calls=totals["tool_calls"],
        errors=totals["errors"],
        open_spans=totals["open_spans"],
        tokens_input=totals["tokens_input"],
        tokens_cache_read=totals["tokens_cache_read"],
        tokens_cache_write=totals["tokens_cache_write"],
        tokens_output=totals["tokens_output"],
        tokens_reasoning=totals["tokens_reasoning"],
        cost_nano=totals["cost_nano"] if priced else None,
        cost_basis=_basis(totals, priced),
        human_wait_ns=totals["human_wait_ns"],
        run_ns=_run_ns(runs),
    )


def status_of(totals: dict[str, Any], as_of_ns: int) -> str:
    """The status of a run from its totals."""
    return run_status(
        open_spans=totals["open_spans"],
        roots=totals["roots"],
        open_roots=totals["open_roots"],
        root_outcome=totals["root_outcome"],
        llm_outcome=totals["llm_outcome"],
        any_outcome=totals["any_outcome"],
        last_ns=totals["last_ns"],
        as_of_ns=as_of_ns,
    )


def run_latency_ns(started_ns: int | None, ended_ns: int | None, human_wait_ns: int) -> int | None:
    """How long a run took without the time it waited for a human; None where an end is unknown."""
    if started_ns is None or ended_ns is None:
        return None
    return max(0, ended_ns - started_ns - human_wait_ns)


def _runs(connection: sqlite3.Connection, session: str, as_of_ns: int, *, recompute: bool) -> Iterator[dict[str, Any]]:
    if recompute:
        where = "session = ?" if session else "coalesce(session, '') = ?"
        sums = ", ".join(SUM_SQL.values())
        rows = connection.execute(
            f"SELECT {sums}, {', '.join(EXTREMES.values())}, coalesce(run_id, '') AS run "
            f"FROM {spans_as_of(as_of_ns)} WHERE {where} GROUP BY run",
            (session,),
        ).fetchall()
    else:
        rows = connection.execute(
            f"SELECT {', '.join(_TOTALS)}, run_id FROM run WHERE session = ?", (session,)
        ).fetchall()
    named = any(row[-1] for row in rows)
    for row in rows:
        totals = dict(zip(_TOTALS, row, strict=False))
        if row[-1] or totals["roots"] or not named or not session:  # see IS_RUN
            yield totals


def _recomputed(connection: sqlite3.Connection, session: str, as_of_ns: int) -> dict[str, Any] | None:
    where = "session = ?" if session else "coalesce(session, '') = ?"
    row = connection.execute(
        f"SELECT {', '.join((*SUM_SQL.values(), *EXTREMES.values()))} FROM {spans_as_of(as_of_ns)} WHERE {where}",
        (session,),
    ).fetchone()
    return dict(zip(_TOTALS, row, strict=True)) if row and row[0] else None


def _run_ns(runs: list[dict[str, Any]]) -> int | None:
    spans = [run_latency_ns(run["started_ns"], run["ended_ns"] or run["last_ns"], run["human_wait_ns"]) for run in runs]
    known = [span for span in spans if span is not None]
    return sum(known) if known else None


def _basis(totals: dict[str, Any], priced: int) -> str | None:
    if totals["uncertain"]:
        return "uncertain"
    if totals["unpriced"]:
        return "partial" if priced else "unpriced"
    if totals["computed"]:
        return "computed"
    return "reported" if totals["reported"] else None


def _conditions(wanted: SessionFilter) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for column, value in (
        ("agent", wanted.agent),
        ("user_id", wanted.user),
        ("tenant_id", wanted.tenant),
        ("session", wanted.session),
    ):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if wanted.since_ns is not None:
        conditions.append("last_ns >= ?")
        values.append(wanted.since_ns)
    if wanted.until_ns is not None:
        conditions.append("started_ns < ?")
        values.append(wanted.until_ns)
    for column, value in (("tool", wanted.tool), ("error_type", wanted.error_type)):
        if value is not None:
            conditions.append(f"EXISTS ({_SPANS_OF_SESSION} AND span.{column} = ?)")
            values.append(value)
    if wanted.text is not None:
        conditions.append(
            f"(instr(lower(session.session), lower(?)) OR EXISTS ({_SPANS_OF_SESSION} "
            "AND instr(lower(coalesce(name, '') || ' ' || coalesce(tool, '') || ' ' || coalesce(model, '') || ' ' || "
            "coalesce(error_type, '') || ' ' || coalesce(error_message, '')), lower(?))))"
        )
        values += [wanted.text, wanted.text]
    return "".join(f" AND {condition}" for condition in conditions), values
