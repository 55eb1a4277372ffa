"""The board: fleet and agents over a window, exactly from rows and minutes, and the sessions that cost most."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from store.folder import StoreFolder
from store.liveness import collector_heartbeat
from store.record.span import NS_PER_S
from store.record.window import Window
from store.telemetry.outcome import FAILED, FRESH_NS, percentile
from store.telemetry.sessions import one_session, run_latency_ns, status_of
from store.telemetry.totals import EXTREMES, IS_RUN, NS_PER_MINUTE, SUM_SQL, SUMS
from store.telemetry.views import AgentRow, Board, CostLeader, Coverage, Figures
from store.telemetry.why import why_of

_MONEY = ("llm_calls", "tool_calls", "errors", "cost_nano", "reported", "computed", "unpriced", "uncertain")
_TOTALS = (*SUMS, *EXTREMES)
_HOUR_NS = 3600 * NS_PER_S
LEADERS = 5


def read_board(
    connection: sqlite3.Connection, folder: StoreFolder, window: Window, as_of_ns: int, today_from_ns: int
) -> Board:
    """Everything the board shows. `window` ends at `as_of_ns`; `today_from_ns` is midnight in the console's zone."""
    figures = _Figures(window, as_of_ns)
    figures.read_runs(connection)
    money = _money(connection, window.from_ns, window.to_ns)
    last_seen = {
        row[0] or "": row[1]
        for row in connection.execute(
            "SELECT agent, max(min(last_ns, ?)) FROM session WHERE coalesce(started_ns, last_ns) <= ? GROUP BY agent",
            (as_of_ns, as_of_ns),
        ).fetchall()
    }
    agents = tuple(
        AgentRow(agent, figures.of(agent, money), last_seen.get(agent))
        for agent in sorted({*last_seen, *figures.agents(), *money})
    )
    today = _money(connection, today_from_ns, as_of_ns + 1)
    return Board(
        as_of_ns=as_of_ns,
        window=window,
        fleet=figures.of(None, money),
        agents=agents,
        leaders=_leaders(connection, window, as_of_ns),
        coverage=read_coverage(connection, folder),
        today_nano=_sum_cost(today.values()),
    )


def read_coverage(connection: sqlite3.Connection, folder: StoreFolder) -> Coverage:
    """What the figures of this store rest on."""
    one = connection.execute(
        "SELECT (SELECT at_ns FROM span WHERE future = 0 AND at_ns IS NOT NULL ORDER BY at_ns DESC LIMIT 1), "
        "(SELECT count(*) FROM span WHERE future = 1), (SELECT count(*) FROM reject), "
        "(SELECT count(*) FROM gap), (SELECT coalesce(sum(lost_bytes), 0) FROM gap), "
        "(SELECT count(*) FROM source) + (SELECT count(*) FROM feed), "
        "(SELECT value FROM fact WHERE name = 'lag_ns')"
    ).fetchone()
    heartbeat = collector_heartbeat(folder)
    return Coverage(
        newest_ns=one[0],
        future=one[1],
        rejects=one[2],
        gaps=one[3],
        gap_bytes=one[4],
        sources=one[5],
        collector_alive=heartbeat.alive,
        collector_seen_ns=heartbeat.seen_ns,
        lag_ns=one[6],
    )


class _Figures:
    """Runs that ended in the window, and those open at its end, by agent and for the fleet (None)."""

    def __init__(self, window: Window, as_of_ns: int) -> None:
        self._window = window
        self._as_of_ns = as_of_ns
        self._statuses: dict[str | None, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._latencies: dict[str | None, list[int]] = defaultdict(list)

    def read_runs(self, connection: sqlite3.Connection) -> None:
        """Count the runs that ended in the window, those in flight at its end, and those whose end never came."""
        window, as_of_ns = self._window, self._as_of_ns
        for run in _runs(connection, "ended_ns >= ? AND ended_ns < ?", window.from_ns, window.to_ns):
            status = status_of(run, as_of_ns)
            if status == "running":
                continue  # counted below
            self._count(run, status)
            if not run["open_spans"] or status != "unknown":
                self._time(run)
        fresh_from_ns = as_of_ns - FRESH_NS
        for run in _runs(connection, "open_spans > 0 AND started_ns <= ?", as_of_ns):
            if run["ended_ns"] is not None and run["ended_ns"] > as_of_ns:
                continue  # among those of the next query
            if run["last_ns"] >= fresh_from_ns:
                if status_of(run, as_of_ns) == "running":
                    self._count(run, "running")
            elif run["ended_ns"] is None and window.from_ns <= run["last_ns"] < window.to_ns:
                self._count(run, "unknown")  # nothing of it ever ended
        for run in _runs(connection, "ended_ns > ? AND started_ns <= ?", as_of_ns, as_of_ns):
            self._count(run, "running")

    def _count(self, run: dict[str, Any], status: str) -> None:
        for key in (run["agent"] or "", None):
            self._statuses[key][status] += 1

    def _time(self, run: dict[str, Any]) -> None:
        latency = run_latency_ns(run["started_ns"], run["ended_ns"], run["human_wait_ns"])
        if latency is not None:
            for key in (run["agent"] or "", None):
                self._latencies[key].append(latency)

    def agents(self) -> set[str]:
        return {agent for agent in self._statuses if agent is not None}

    def of(self, agent: str | None, money: dict[str, dict[str, int]]) -> Figures:
        statuses = self._statuses.get(agent, {})
        latencies = sorted(self._latencies.get(agent, ()))
        own = [money[agent]] if agent in money else list(money.values()) if agent is None else []
        cost = _sum_cost(own)
        ended = sum(count for status, count in statuses.items() if status != "running")
        ok = statuses.get("ok", 0)
        failed = sum(count for status, count in statuses.items() if status in FAILED)
        figures = Figures(
            runs=ended,
            ok=ok,
            failed=failed,
            outside=ended - ok - failed,
            running=statuses.get("running", 0),
            p50_ns=percentile(latencies, 0.50),
            p95_ns=percentile(latencies, 0.95),
            p99_ns=percentile(latencies, 0.99),
            errors=sum(one["errors"] for one in own),
            cost_nano=cost,
            unpriced=sum(one["unpriced"] for one in own),
            llm_calls=sum(one["llm_calls"] for one in own),
            tool_calls=sum(one["tool_calls"] for one in own),
        )
        if cost is None:
            return figures
        return replace(figures, burn_nano_per_hour=cost * _HOUR_NS // (self._window.to_ns - self._window.from_ns))


def _runs(connection: sqlite3.Connection, where: str, *values: int) -> Iterator[dict[str, Any]]:
    for row in connection.execute(
        f"SELECT {', '.join(_TOTALS)} FROM run WHERE {where} AND {IS_RUN}", values
    ).fetchall():
        yield dict(zip(_TOTALS, row, strict=True))


def _money(connection: sqlite3.Connection, from_ns: int, to_ns: int) -> dict[str, dict[str, int]]:
    """Sums of spans that ended in [from_ns, to_ns) by agent: whole minutes from the rollup, the edges from rows."""
    first, last = -(-from_ns // NS_PER_MINUTE) * NS_PER_MINUTE, to_ns // NS_PER_MINUTE * NS_PER_MINUTE
    totals: dict[str, dict[str, int]] = {}
    stored = ", ".join(f"sum({name})" for name in _MONEY)
    counted = ", ".join(SUM_SQL[name] for name in _MONEY)
    edges = [(from_ns, to_ns)] if first >= last else [(from_ns, first), (last, to_ns)]
    rows = []
    if first < last:
        rows += connection.execute(
            f"SELECT agent, {stored} FROM minute WHERE minute_ns >= ? AND minute_ns < ? GROUP BY agent", (first, last)
        ).fetchall()
    for start, end in edges:
        rows += connection.execute(
            f"SELECT coalesce(agent, ''), {counted} FROM span "
            "WHERE at_ns >= ? AND at_ns < ? AND ended_ns IS NOT NULL GROUP BY 1",
            (start, end),
        ).fetchall()
    for row in rows:
        own = totals.setdefault(row[0], dict.fromkeys(_MONEY, 0))
        for name, value in zip(_MONEY, row[1:], strict=True):
            own[name] += value
    return totals


def _sum_cost(totals: Iterable[dict[str, int]]) -> int | None:
    """The cost in nano-dollars; None where nothing at all was priced."""
    rows = list(totals)
    if not any(row["reported"] + row["computed"] + row["uncertain"] for row in rows):
        return None
    return sum(row["cost_nano"] for row in rows)


def _leaders(connection: sqlite3.Connection, window: Window, as_of_ns: int) -> tuple[CostLeader, ...]:
    rows = connection.execute(
        "SELECT session, sum(cost_nano) AS cost FROM span WHERE at_ns >= ? AND at_ns < ? AND cost_nano > 0 "
        "AND session IS NOT NULL GROUP BY session ORDER BY cost DESC, session LIMIT ?",
        (window.from_ns, window.to_ns, LEADERS),
    ).fetchall()
    leaders = []
    for session, cost in rows:
        row = one_session(connection, session, as_of_ns)
        if row is not None:
            why, tool = why_of(connection, session, as_of_ns)
            leaders.append(CostLeader(row, cost, why, tool))
    return tuple(leaders)
