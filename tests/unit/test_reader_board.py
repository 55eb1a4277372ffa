"""The board's figures against the same figures worked out from the spans by hand."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.span import NS_PER_S, Span
from store.record.window import Window, parse_window
from store.telemetry.outcome import FRESH_NS, percentile
from store.telemetry.reader import Reader
from store.telemetry.views import Board, SessionFilter
from store.telemetry.writer import Writer

NOW_NS = 1_700_000_000_000_000_000
HOUR_NS = 3600 * NS_PER_S


def board(folder: StoreFolder, spans: list[Span], as_of_ns: int = NOW_NS, window: str = "1h") -> Board:
    with Writer(folder) as writer:
        writer.write(Batch(spans=spans), NOW_NS)
    with Reader(folder) as reader:
        return reader.board(parse_window(window, as_of_ns), as_of_ns, as_of_ns - 24 * HOUR_NS)


def run(number: int, **values: Any) -> Span:
    given: dict[str, Any] = {"namespace": "n", "span_id": f"r{number}", "session": f"s{number}", "kind": "run"}
    given |= {"agent": "a", "started_ns": NOW_NS - 100 * NS_PER_S, "ended_ns": NOW_NS - 90 * NS_PER_S, "status": "ok"}
    return Span(**given | values)


def started(number: int, at_ns: int) -> Span:
    return run(number, started_ns=at_ns, ended_ns=None, status=None, rank=0)


def test_runs_in_flight_and_runs_whose_end_never_came(folder: StoreFolder) -> None:
    stale_ns = NOW_NS - FRESH_NS - NS_PER_S
    spans = [run(1), started(2, NOW_NS - NS_PER_S), started(3, NOW_NS - NS_PER_S), started(4, stale_ns)]
    fleet = board(folder, spans).fleet
    assert (fleet.runs, fleet.ok, fleet.running, fleet.outside, fleet.coverage) == (2, 1, 2, 1, 0.5)


def test_turned_back_a_run_that_ended_later_is_running(folder: StoreFolder) -> None:
    fleet = board(folder, [run(1)], as_of_ns=NOW_NS - 95 * NS_PER_S).fleet
    assert (fleet.runs, fleet.running, fleet.p50_ns) == (0, 1, None)


def test_latency_leaves_out_what_a_human_was_waited_for(folder: StoreFolder) -> None:
    assert board(folder, [run(1, human_wait_ns=4 * NS_PER_S)]).fleet.p50_ns == 6 * NS_PER_S


def test_a_success_rate_counts_only_what_succeeded_or_failed(folder: StoreFolder) -> None:
    statuses = ["ok", "ok", "ok", "error", "aborted", "capped", "refused", "cancelled", "unknown"]
    fleet = board(folder, [run(number, status=status) for number, status in enumerate(statuses)]).fleet
    assert (fleet.runs, fleet.ok, fleet.failed, fleet.outside) == (9, 3, 4, 2)
    assert fleet.success_rate == 3 / 7


def test_nothing_priced_is_unknown_and_not_free(folder: StoreFolder) -> None:
    fleet = board(folder, [run(1, kind="llm", tokens_output=5, cost_basis="unpriced")]).fleet
    assert (fleet.cost_nano, fleet.burn_nano_per_hour, fleet.unpriced) == (None, None, 1)


def test_spans_that_name_no_run_are_one_only_where_their_session_has_no_other(folder: StoreFolder) -> None:
    loose = Span(
        namespace="n", span_id="t", session="s1", kind="tool", agent="a", started_ns=NOW_NS - 9, ended_ns=NOW_NS - 1
    )
    alone = Span(namespace="n", span_id="u", session="s2", kind="tool", agent="a", ended_ns=NOW_NS - 1, status="ok")
    named = run(1, session="s1", ended_ns=NOW_NS - 5)
    with Writer(folder) as writer:
        writer.write(Batch(spans=[loose, alone, named]), NOW_NS)
    with Reader(folder) as reader:
        assert reader.board(parse_window("1h", NOW_NS), NOW_NS, NOW_NS).fleet.runs == 2
        assert {row.session: row.runs for row in reader.sessions(SessionFilter(), NOW_NS)} == {"s1": 1, "s2": 1}
        assert {row.session: row.runs for row in reader.sessions(SessionFilter(), NOW_NS - 2)} == {"s1": 1}


def test_a_log_without_a_clock_tells_its_outcome_and_is_in_no_window(folder: StoreFolder) -> None:
    timeless = Span(
        namespace="n",
        span_id="r",
        session="s1",
        run_id="r",
        kind="run",
        agent="a",
        status="error",
        cost_nano=5,
        cost_basis="reported",
    )
    with Writer(folder) as writer:
        writer.write(Batch(spans=[timeless]), NOW_NS)
    with Reader(folder) as reader:
        (session,) = reader.sessions(SessionFilter(), NOW_NS)
        assert (session.status, session.open_spans, session.cost_nano) == ("error", 0, 5)
        board = reader.board(parse_window("1h", NOW_NS), NOW_NS, NOW_NS)
        assert (board.fleet.runs, board.fleet.running, board.fleet.cost_nano) == (0, 0, None)
        trace = reader.trace("s1", NOW_NS)
        assert trace is not None
        assert [span.status for span in trace.spans] == ["error"]
        assert reader.recount().exact


def test_an_event_far_ahead_of_its_reading_is_not_the_newest(folder: StoreFolder) -> None:
    ahead = run(2, started_ns=NOW_NS + HOUR_NS, ended_ns=NOW_NS + 2 * HOUR_NS)
    cover = board(folder, [run(1), ahead]).coverage
    assert (cover.newest_ns, cover.future) == (NOW_NS - 90 * NS_PER_S, 1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 2 * HOUR_NS), st.integers(1, HOUR_NS))
def test_cost_over_any_window_is_the_sum_over_rows(seed: int, start_ns: int, length_ns: int) -> None:
    rng = random.Random(seed)
    spans = [
        run(
            number,
            kind="llm",
            ended_ns=NOW_NS - rng.randrange(2 * HOUR_NS),
            started_ns=None,
            cost_nano=rng.randrange(10**9),
            cost_basis="reported",
        )
        for number in range(40)
    ]
    window = Window(NOW_NS - 2 * HOUR_NS + start_ns, NOW_NS - 2 * HOUR_NS + start_ns + length_ns, "any")
    with TemporaryDirectory() as home:
        folder = StoreFolder(Path(home)).prepare()
        with Writer(folder) as writer:
            writer.write(Batch(spans=spans), NOW_NS)
        with Reader(folder) as reader:
            found = reader.board(window, NOW_NS, NOW_NS).fleet.cost_nano
    costs = [s.cost_nano or 0 for s in spans if window.from_ns <= (s.ended_ns or 0) < window.to_ns]
    assert found == (sum(costs) if costs else None)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[int], q: float) -> None:
    found = percentile(sorted(values), q)
    assert found is not None
    assert sum(value <= found for value in values) >= q * len(values) - 1e-9
    assert all(sum(other <= value for other in values) < q * len(values) for value in values if value < found)
