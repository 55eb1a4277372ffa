"""How figures are written."""

from __future__ import annotations

import pytest

from console.widgets import figures
from store.record.span import NANO_PER_USD, NS_PER_MS, NS_PER_S


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0ms"), (4, "4ms"), (99, "99ms"), (300, "0.3s"), (1_800, "1.8s"), (9_949, "9.9s"), (9_960, "10s"),
        (41_000, "41s"), (59_400, "59s"), (59_600, "1m00s"), (72_000, "1m12s"), (664_000, "11m04s"),
        (7_500_000, "2h05m"), (273_600_000, "3d04h"),
    ],
)  # fmt: skip
def test_durations(ms: int, text: str) -> None:
    assert figures.duration(ms * NS_PER_MS) == text


def test_durations_at_the_edges() -> None:
    assert figures.duration(None) == "-"
    assert figures.duration(500) == "<1ms"
    assert figures.duration(-3 * NS_PER_S) == "-3.0s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (240, "4m"), (7_300, "2h"), (1_100_000, "12d"), (-5, "+5s")]
)
def test_ages(seconds: int, text: str) -> None:
    assert figures.age(seconds * NS_PER_S) == text


@pytest.mark.parametrize(
    ("dollars", "places", "text"),
    [
        (0, 2, "0.00"), (0.31, 2, "0.31"), (0.31, 3, "0.310"), (0.0001, 2, "<0.01"), (18.2, 2, "18.20"),
        (208.1, 2, "208.10"), (1_204, 2, "1204"), (12_345, 2, "12.3k"), (4_500_000, 2, "4.5M"), (-2.5, 2, "-2.50"),
    ],
)  # fmt: skip
def test_money(dollars: float, places: int, text: str) -> None:
    assert figures.usd(round(dollars * NANO_PER_USD), places) == text


def test_unknown_is_never_nothing() -> None:
    assert figures.usd(None) == figures.count(None) == figures.percent(None) == figures.clock(None) == "-"
    assert figures.age(None) == figures.day_clock(None) == figures.percent_figure(None) == "-"


def test_a_rate_is_never_rounded_up_to_all() -> None:
    assert figures.percent(0.9996) == "99.9%"
    assert figures.percent(1.0) == "100%"
    assert figures.percent(0.941) == "94.1%"
    assert figures.percent_figure(0.0) == "0.0"
    assert figures.percent(0.29, 0) == "29%"


def test_counts() -> None:
    assert [figures.count(number) for number in (0, 1_204, 99_999, 123_456, 4_500_000)] == [
        "0", "1,204", "99,999", "123k", "4.5M",
    ]  # fmt: skip
    assert figures.plural(1, "write") == "1 write"
    assert figures.plural(14, "write") == "14 writes"


def test_clocks_say_their_zone() -> None:
    at_ns = 1_769_824_447_204 * NS_PER_MS
    assert figures.clock(at_ns) == "01:54:07Z"
    assert figures.clock(at_ns, millis=True) == "01:54:07.204Z"
    assert figures.clock(at_ns, "Europe/Berlin") == "02:54:07+01"
    assert figures.clock(at_ns, "Asia/Kolkata") == "07:24:07+0530"
    assert figures.day_clock(at_ns) == "2026-01-31 01:54Z"
    assert figures.clock(-(10**30)).endswith("Z")
