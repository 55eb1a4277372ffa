"""The infrastructure half of uptime: what probes speak for, and no more."""

from __future__ import annotations

import random
from typing import Any

import pytest

from store.folder import StoreFolder
from store.record.batch import Batch, Probe
from store.record.span import NS_PER_S
from store.record.window import Window
from store.telemetry.reader import Reader
from store.telemetry.uptime import Uptime
from store.telemetry.writer import Writer

near: Any = pytest.approx
T0 = 1_790_000_000 * NS_PER_S
STEP = 60 * NS_PER_S


def at(seconds: float, *, ok: bool = True, agent: str = "bot", status: str = "200") -> Probe:
    return Probe(agent=agent, at_ns=T0 + round(seconds * NS_PER_S), ok=ok, status=status if ok else "timeout")


def uptime(folder: StoreFolder, start_s: float, end_s: float, as_of_s: float | None = None) -> tuple[Uptime, ...]:
    start, end = (T0 + round(one * NS_PER_S) for one in (start_s, end_s))
    as_of = end - 1 if as_of_s is None else T0 + round(as_of_s * NS_PER_S)
    with Reader(folder) as reader:
        return reader.uptime(Window(start, end, "test"), as_of, STEP)


def store(folder: StoreFolder, *probes: Probe) -> None:
    with Writer(folder) as writer:
        writer.write(Batch(probes=list(probes)), T0)


def test_a_probe_speaks_until_the_next_one(folder: StoreFolder) -> None:
    store(folder, *(at(30 * n, ok=n not in (3, 4)) for n in range(10)))
    (one,) = uptime(folder, 0, 300)
    assert (one.availability, one.coverage) == (near(0.8), near(1.0))
    assert (one.probes, one.failures) == (10, 2)
    assert (one.last_ok, one.last_status, one.last_at_ns) == (True, "200", T0 + 270 * NS_PER_S)
    assert (one.last_failure_ns, one.last_failure) == (T0 + 120 * NS_PER_S, "timeout")


def test_time_that_nobody_probed_is_unknown_not_up(folder: StoreFolder) -> None:
    store(folder, at(0), at(30), at(1000, ok=False), at(1030))
    (one,) = uptime(folder, 0, 1060)
    assert one.coverage == near((30 + 60 + 30 + 30) / 1060)
    assert one.availability == near(120 / 150)


def test_the_probe_before_the_window_speaks_for_its_beginning(folder: StoreFolder) -> None:
    store(folder, at(-20, ok=False), at(10))
    (one,) = uptime(folder, 0, 20)
    assert (one.availability, one.coverage, one.probes, one.failures) == (near(0.5), 1.0, 1, 0)
    assert one.last_failure_ns == T0 - 20 * NS_PER_S


def test_a_window_without_probes_knows_nothing_but_the_last_state(folder: StoreFolder) -> None:
    store(folder, at(0, ok=False))
    (one,) = uptime(folder, 5000, 6000)
    assert (one.availability, one.coverage, one.probes, one.last_ok, one.last_status) == (
        None,
        0.0,
        0,
        False,
        "timeout",
    )
    assert uptime(folder, -100, -50) == ()


def test_the_moment_that_is_looked_at_counts(folder: StoreFolder) -> None:
    store(folder, at(0), at(30, ok=False))
    (before,) = uptime(folder, 0, 60, as_of_s=29)
    (after,) = uptime(folder, 0, 60)
    assert (before.availability, before.coverage, before.last_failure) == (1.0, near(1.0), None)
    assert (after.availability, after.last_failure) == (near(0.5), "timeout")


def test_agents_are_apart_and_in_order(folder: StoreFolder) -> None:
    store(folder, at(0, agent="b"), at(0, agent="a", ok=False), at(1, agent="c"), at(30, agent="a", ok=False))
    found = uptime(folder, 0, 60)
    assert [(one.agent, one.availability) for one in found] == [("a", 0.0), ("b", 1.0), ("c", 1.0)]


def test_against_a_count_of_every_second(folder: StoreFolder) -> None:
    """The same by walking through the window second by second."""
    draw = random.Random(5)
    moments = sorted(draw.sample(range(-100, 2_000), 60))
    probes = [at(second, ok=draw.random() < 0.7) for second in moments]
    store(folder, *probes)
    known = good = 0
    for second in range(100, 1_500):
        last = next((one for one in reversed(probes) if one.at_ns <= T0 + second * NS_PER_S), None)
        if last is not None and T0 + second * NS_PER_S < last.at_ns + STEP:
            known += 1
            good += last.ok
    (one,) = uptime(folder, 100, 1_500)
    assert one.coverage == near(known / 1_400)
    assert one.availability == near(good / known)
