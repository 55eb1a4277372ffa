"""What one stored span adds to each total. Nothing else may add to a total.

Sums are added and taken away as rows change. Extremes (the earliest start, the newest outcome) cannot be taken away:
where a row that held one gives it up, the extreme is computed anew from the rows. `recount` proves both.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import msgspec

from store.record.merge import Row
from store.record.span import COLUMNS, Rank

NS_PER_MINUTE = 60_000_000_000

# A row without an end is in flight, unless its log says that it is over and only not when (no clock in it at all).
OPEN = f"ended_ns IS NULL AND coalesce(rank, 0) < {Rank.ENDED:d}"
_OUTCOME = "printf('%020d %s', coalesce(ended_ns, 0), coalesce(status, 'unknown'))"

# Of the table `run`: spans whose log names no run are one where their session has no other. Where it has, they belong
# to those, only nobody can tell to which.
IS_RUN = (
    "(run_id <> '' OR roots > 0 OR session = '' OR NOT EXISTS "
    "(SELECT 1 FROM run AS other WHERE other.session = run.session AND other.run_id <> ''))"
)

SUMS = (
    "spans",
    "open_spans",
    "roots",
    "open_roots",
    "llm_calls",
    "tool_calls",
    "errors",
    "tokens_input",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_output",
    "tokens_reasoning",
    "cost_nano",
    "reported",
    "computed",
    "unpriced",
    "uncertain",
    "human_wait_ns",
    "future",
)

# name -> how the sum is found over a set of rows, in SQL; Python's twin is `contribution`, and `recount` compares them
SUM_SQL: dict[str, str] = {
    "spans": "count(*)",
    "open_spans": f"count(*) FILTER (WHERE {OPEN})",
    "roots": "count(*) FILTER (WHERE kind = 'run')",
    "open_roots": f"count(*) FILTER (WHERE kind = 'run' AND {OPEN})",
    "llm_calls": "count(*) FILTER (WHERE kind = 'llm')",
    "tool_calls": "count(*) FILTER (WHERE kind = 'tool')",
    "errors": "count(*) FILTER (WHERE kind IN ('llm', 'tool', 'side_effect') AND status = 'error')",
    "tokens_input": "coalesce(sum(tokens_input), 0)",
    "tokens_cache_read": "coalesce(sum(tokens_cache_read), 0)",
    "tokens_cache_write": "coalesce(sum(coalesce(tokens_cache_write_5m, 0) + coalesce(tokens_cache_write_1h, 0)), 0)",
    "tokens_output": "coalesce(sum(tokens_output), 0)",
    "tokens_reasoning": "coalesce(sum(tokens_reasoning), 0)",
    "cost_nano": "coalesce(sum(cost_nano), 0)",
    "reported": "count(*) FILTER (WHERE cost_basis = 'reported')",
    "computed": "count(*) FILTER (WHERE cost_basis = 'computed')",
    "unpriced": "count(*) FILTER (WHERE cost_basis = 'unpriced')",
    "uncertain": "count(*) FILTER (WHERE cost_basis IN ('partial', 'uncertain'))",
    "human_wait_ns": "coalesce(sum(human_wait_ns), 0)",
    "future": "coalesce(sum(future), 0)",
}

# name -> how the extreme is found over a set of rows, in SQL; Python's twin is in `extremes_of`
EXTREMES: dict[str, str] = {
    "started_ns": "min(started_ns)",
    "ended_ns": "max(ended_ns)",
    "last_ns": "max(at_ns)",
    "root_outcome": f"max(CASE WHEN kind = 'run' THEN {_OUTCOME} END) FILTER (WHERE NOT ({OPEN}))",
    "llm_outcome": f"max(CASE WHEN kind = 'llm' THEN {_OUTCOME} END) FILTER (WHERE NOT ({OPEN}))",
    "any_outcome": f"max({_OUTCOME}) FILTER (WHERE NOT ({OPEN}))",
    "agent": "max(agent)",
    "format": "max(format)",
    "user_id": "max(user_id)",
    "tenant_id": "max(tenant_id)",
    "environment": "max(environment)",
    "agent_version": "max(agent_version)",
}
_SMALLEST = frozenset({"started_ns"})
_COUNTED = ("llm", "tool", "side_effect")

_at = {name: COLUMNS.index(name) for name in COLUMNS}
_SESSION, _RUN, _KIND, _AGENT = _at["session"], _at["run_id"], _at["kind"], _at["agent"]
_STARTED, _ENDED, _STATUS, _RANK = _at["started_ns"], _at["ended_ns"], _at["status"], _at["rank"]
_INPUT, _READ, _WRITE_5M, _WRITE_1H = (
    _at["tokens_input"],
    _at["tokens_cache_read"],
    _at["tokens_cache_write_5m"],
    _at["tokens_cache_write_1h"],
)
_OUTPUT, _REASONING, _COST, _BASIS = (
    _at["tokens_output"],
    _at["tokens_reasoning"],
    _at["cost_nano"],
    _at["cost_basis"],
)
_HUMAN = _at["human_wait_ns"]
_TEXT_EXTREMES = tuple(
    _at[name] for name in ("agent", "format", "user_id", "tenant_id", "environment", "agent_version")
)


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """What a row adds, and where: `run` and `session` always, `minute` once it has ended."""

    session: str
    run_id: str
    minute: tuple[int, str] | None
    sums: tuple[int, ...]
    extremes: tuple[Any, ...]


def at_ns(row: Row) -> int | None:
    """The moment a span counts at: its end, else its start."""
    ended: int | None = row[_ENDED]
    started: int | None = row[_STARTED]
    return started if ended is None else ended


def is_open_row(row: Row) -> bool:
    """Python's twin of OPEN."""
    return row[_ENDED] is None and row[_RANK] < Rank.ENDED


def contribution(row: Row, future: int) -> Contribution:
    """The whole of what a stored row adds to the totals; a pure function of the row."""
    kind, ended, basis = row[_KIND], row[_ENDED], row[_BASIS]
    is_open = is_open_row(row)
    is_root = kind == "run"
    counted = kind in _COUNTED
    sums = (
        1,
        1 if is_open else 0,
        1 if is_root else 0,
        1 if is_root and is_open else 0,
        1 if kind == "llm" else 0,
        1 if kind == "tool" else 0,
        1 if counted and row[_STATUS] == "error" else 0,
        row[_INPUT] or 0,
        row[_READ] or 0,
        (row[_WRITE_5M] or 0) + (row[_WRITE_1H] or 0),
        row[_OUTPUT] or 0,
        row[_REASONING] or 0,
        row[_COST] or 0,
        1 if basis == "reported" else 0,
        1 if basis == "computed" else 0,
        1 if basis == "unpriced" else 0,
        1 if basis in {"partial", "uncertain"} else 0,
        row[_HUMAN] or 0,
        future,
    )
    outcome = None if is_open else f"{ended or 0:020d} {row[_STATUS] or 'unknown'}"
    extremes = (
        row[_STARTED],
        ended,
        row[_STARTED] if ended is None else ended,
        outcome if is_root else None,
        outcome if kind == "llm" else None,
        outcome,
        *(row[index] for index in _TEXT_EXTREMES),
    )
    minute = None if ended is None else (ended - ended % NS_PER_MINUTE, row[_AGENT] or "")
    return Contribution(row[_SESSION] or "", row[_RUN] or "", minute, sums, extremes)


class Deltas:
    """Sums and extremes that a batch adds to one table, by key."""

    __slots__ = ("dirty", "extremes", "sums")

    def __init__(self) -> None:
        self.sums: dict[Any, list[int]] = {}
        self.extremes: dict[Any, list[Any]] = {}
        self.dirty: set[Any] = set()  # keys whose extremes must be computed anew from the rows

    def add(self, key: Any, sums: Sequence[int]) -> None:
        own = self.sums.get(key)
        self.sums[key] = list(sums) if own is None else list(map(operator.add, own, sums))

    def take(self, key: Any, sums: Sequence[int]) -> None:
        self.sums[key] = list(map(operator.sub, self.sums.get(key, _NOTHING), sums))

    def raise_extremes(self, key: Any, extremes: Sequence[Any]) -> None:
        own = self.extremes.get(key)
        if own is None:
            self.extremes[key] = list(extremes)
            return
        index = 0
        for value in extremes:
            if value is not None:
                current = own[index]
                if value != current and (
                    current is None or (value < current if index in _SMALLEST_AT else value > current)
                ):
                    own[index] = value
            index += 1  # noqa: SIM113 - every record of every batch comes by here, and enumerate costs more

    def by_session(self) -> Deltas:
        """The deltas of runs, whose keys are (session, run id), as those of their sessions."""
        sessions = Deltas()
        for (session, _), sums in self.sums.items():
            sessions.add((session,), sums)
        for (session, _), extremes in self.extremes.items():
            sessions.raise_extremes((session,), extremes)
        sessions.dirty = {(session,) for session, _ in self.dirty}
        return sessions


_NAMES = tuple(EXTREMES)
_NOTHING = (0,) * len(SUMS)
_SMALLEST_AT = frozenset(index for index, name in enumerate(_NAMES) if name in _SMALLEST)


def gave_up_an_extreme(before: Contribution, after: Contribution) -> bool:
    """True where the old row may have held an extreme that the new one does not reach."""
    return any(
        value is not None and (new is None or (value < new if index in _SMALLEST_AT else value > new))
        for index, (value, new) in enumerate(zip(before.extremes, after.extremes, strict=True))
    )


def upsert_extreme(name: str) -> str:
    """SQL that joins an incoming extreme into a stored one."""
    return (
        f"{name} = CASE WHEN {name} IS NULL THEN excluded.{name} WHEN excluded.{name} IS NULL THEN {name} "
        f"ELSE {'min' if name in _SMALLEST else 'max'}({name}, excluded.{name}) END"
    )
