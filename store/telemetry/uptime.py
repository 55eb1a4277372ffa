"""The infrastructure half of uptime, from health probes. The other half is the success rate of the runs: an agent whose
host answers while its output is wrong is down all the same, so the two are never made into one figure.

A probe speaks for the time until the next one, but for no longer than `step_ns`; before the first one, and where
nobody probed, nothing is known. availability = time spoken for by good probes / time spoken for.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from store.record.span import NS_PER_S
from store.record.window import Window

_LOOK_BACK_NS = 90 * 86_400 * NS_PER_S  # how long before the window a last failure is looked for


@dataclass(frozen=True, slots=True)
class Uptime:
    """One agent's infrastructure over a window. `availability` None: it was not probed there."""

    agent: str
    availability: float | None  # 0 to 1
    coverage: float  # the part of the window, up to `as_of`, that probes speak for
    probes: int
    failures: int
    last_at_ns: int | None = None
    last_ok: bool | None = None
    last_status: str | None = None  # of the newest probe, good or bad
    last_failure_ns: int | None = None
    last_failure: str | None = None  # the HTTP status, or a word: timeout, refused, tls, redirect


def read_uptime(connection: sqlite3.Connection, window: Window, as_of_ns: int, step_ns: int) -> tuple[Uptime, ...]:
    """Every agent that was ever probed by `as_of_ns`, by name. `step_ns`: how long a probe speaks for at most."""
    end_ns = min(window.to_ns, as_of_ns + 1)
    rows = connection.execute(
        """WITH every AS (
             SELECT agent, at_ns, ok, lead(at_ns, 1, ?) OVER (PARTITION BY agent ORDER BY at_ns) AS next_ns
             FROM probe WHERE at_ns >= ? AND at_ns < ?),
           spoken AS (
             SELECT agent, ok, at_ns >= ? AS inside,
               max(0, min(next_ns, at_ns + ?, ?) - max(at_ns, ?)) AS ns FROM every)
           SELECT agent, sum(inside), sum(inside AND NOT ok), sum(ns), sum(ns * ok) FROM spoken GROUP BY agent""",
        # a probe just before the window speaks for its beginning
        (end_ns, window.from_ns - step_ns, end_ns, window.from_ns, step_ns, end_ns, window.from_ns),
    ).fetchall()
    figures = {agent: tuple(rest) for agent, *rest in rows}
    length_ns = max(1, end_ns - window.from_ns)
    found = []
    for agent in _agents(connection):
        last = _newest(connection, agent, end_ns)
        if last is None:
            continue
        failure = _newest(connection, agent, end_ns, failed_from_ns=window.from_ns - _LOOK_BACK_NS)
        probes, failures, spoken_ns, good_ns = figures.get(agent, (0, 0, 0, 0))
        found.append(
            Uptime(
                agent=agent,
                availability=good_ns / spoken_ns if spoken_ns else None,
                coverage=min(1.0, spoken_ns / length_ns),
                probes=probes,
                failures=failures,
                last_at_ns=last[0],
                last_ok=bool(last[1]),
                last_status=last[2],
                last_failure_ns=None if failure is None else failure[0],
                last_failure=None if failure is None else failure[2],
            )
        )
    return tuple(found)


def _agents(connection: sqlite3.Connection) -> list[str]:
    """By name; one step of the index an agent, however many probes there are."""
    rows = connection.execute(
        """WITH RECURSIVE own (agent) AS (
             SELECT min(agent) FROM probe
             UNION ALL
             SELECT (SELECT min(agent) FROM probe WHERE agent > own.agent) FROM own WHERE own.agent IS NOT NULL)
           SELECT agent FROM own WHERE agent IS NOT NULL"""
    ).fetchall()
    return [agent for (agent,) in rows]


def _newest(
    connection: sqlite3.Connection, agent: str, before_ns: int, failed_from_ns: int | None = None
) -> tuple[int, int, str] | None:
    """(at_ns, ok, status) of the newest probe before a moment; `failed_from_ns`: of the newest failure since then."""
    only_failed = "" if failed_from_ns is None else "AND ok = 0 "
    row = connection.execute(
        f"SELECT at_ns, ok, status FROM probe WHERE agent = ? AND at_ns < ? AND at_ns >= ? {only_failed}"
        "ORDER BY at_ns DESC LIMIT 1",
        (agent, before_ns, failed_from_ns or 0),
    ).fetchone()
    return None if row is None else (int(row[0]), int(row[1]), str(row[2]))
