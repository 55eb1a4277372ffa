"""What became of a run, from its totals: one function, so that every screen says the same.

A run with a `run` span has that span's outcome. Without one it has the outcome of its newest model call, else of
its newest span. Something open makes it `running` while its session is fresh, and `unknown` once it is not.
"""

from __future__ import annotations

from store.record.span import NS_PER_S

FRESH_NS = 30 * 60 * NS_PER_S
FAILED = frozenset({"error", "aborted", "capped", "refused"})


def open_status(last_ns: int | None, as_of_ns: int) -> str:
    """The status of what has started and not ended."""
    return "running" if last_ns is not None and as_of_ns - last_ns <= FRESH_NS else "unknown"


def run_status(
    *,
    open_spans: int,
    roots: int,
    open_roots: int,
    root_outcome: str | None,
    llm_outcome: str | None,
    any_outcome: str | None,
    last_ns: int | None,
    as_of_ns: int,
) -> str:
    """One of the span statuses, or `running`. Outcomes are `<ended_ns, 20 digits> <status>`."""
    if roots:
        if open_roots:
            return open_status(last_ns, as_of_ns)
        return _status(root_outcome)
    if open_spans:
        return open_status(last_ns, as_of_ns)
    return _status(llm_outcome or any_outcome)


def _status(outcome: str | None) -> str:
    return outcome.rpartition(" ")[2] if outcome else "unknown"


def percentile(ordered: list[int], q: float) -> int | None:
    """The nearest-rank percentile: the smallest value that at least q of all values do not exceed.

    `ordered` ascending; 0 < q <= 1. The same as numpy's `inverted_cdf`.
    """
    if not ordered:
        return None
    rank = -(-len(ordered) * round(q * 1_000_000) // 1_000_000)
    return ordered[max(1, rank) - 1]
