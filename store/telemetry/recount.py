"""Prove the totals: every stored total against the sum over the stored rows."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from store.telemetry.totals import EXTREMES, NS_PER_MINUTE, SUM_SQL

_KEYS: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (("session", "coalesce(session, '')"), ("run_id", "coalesce(run_id, '')")),
    "session": (("session", "coalesce(session, '')"),),
    "minute": (("minute_ns", f"ended_ns - ended_ns % {NS_PER_MINUTE}"), ("agent", "coalesce(agent, '')")),
}


@dataclass(frozen=True, slots=True)
class Recount:
    """Rows of totals compared, and those that differ: `table key` for the first 20 of them."""

    compared: int
    differing: int
    examples: tuple[str, ...]

    @property
    def exact(self) -> bool:
        return self.differing == 0


def recount(connection: sqlite3.Connection) -> Recount:
    """Compute every total anew from the rows and compare; reads the whole store, changes nothing."""
    compared = differing = 0
    examples: list[str] = []
    for table, keys in _KEYS.items():
        totals = {**SUM_SQL, **({} if table == "minute" else EXTREMES)}
        names = ", ".join([*(name for name, _ in keys), *totals])
        computed = ", ".join([*(expression for _, expression in keys), *totals.values()])
        where = "WHERE ended_ns IS NOT NULL" if table == "minute" else ""
        groups = ", ".join(expression for _, expression in keys)
        stored_sql = f"SELECT {names} FROM {table}"
        counted_sql = f"SELECT {computed} FROM span {where} GROUP BY {groups}"
        compared += connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
        odd = {
            row[: len(keys)]
            for one, other in ((stored_sql, counted_sql), (counted_sql, stored_sql))
            for row in connection.execute(f"SELECT * FROM ({one}) EXCEPT SELECT * FROM ({other})").fetchall()
        }
        differing += len(odd)
        examples += [f"{table} {' '.join(str(part) for part in key)}" for key in sorted(odd, key=str)]
    return Recount(compared, differing, tuple(examples[:20]))
