"""The join of span versions is a semilattice: any order, any repetition, the same row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from store.record.merge import Part, join, join_parts, row_of, same_parts
from store.record.span import Span
from tests.unit.strategies import versions

parts = st.dictionaries(
    st.sampled_from(["input", "output", "output:1"]),
    st.builds(Part, st.integers(0, 3), st.integers(-1, 3), st.binary(min_size=1, max_size=2)),
    max_size=3,
)


@given(versions, versions)
def test_the_join_is_commutative(one: Span, other: Span) -> None:
    assert join(row_of(one), row_of(other)) == join(row_of(other), row_of(one))


@given(versions, versions, versions)
def test_the_join_is_associative(one: Span, two: Span, three: Span) -> None:
    a, b, c = row_of(one), row_of(two), row_of(three)
    assert join(join(a, b), c) == join(a, join(b, c))


@given(versions, versions)
def test_a_repeated_version_changes_nothing(one: Span, other: Span) -> None:
    both = join(row_of(one), row_of(other))
    assert join(both, row_of(one)) == both
    assert join(both, both) == both


@given(parts, parts, parts)
def test_parts_unite_in_any_order(one: dict[str, Part], two: dict[str, Part], three: dict[str, Part]) -> None:
    assert same_parts(join_parts(join_parts(one, two), three), join_parts(one, join_parts(three, two)))


def test_the_end_gives_the_measures_and_the_start_keeps_its_time() -> None:
    start = Span(namespace="n", span_id="s", kind="tool", tool="send", started_ns=5, rank=0)
    end = Span(namespace="n", span_id="s", ended_ns=9, status="error", rank=3)
    row = dict(zip(Span.__struct_fields__, join(row_of(end), row_of(start)), strict=False))
    assert (row["tool"], row["started_ns"], row["ended_ns"], row["status"]) == ("send", 5, 9, "error")


def test_what_an_effect_was_comes_from_the_version_that_knew_it_and_how_it_ended_from_the_end() -> None:
    start = Span(namespace="n", span_id="s", kind="tool", tool="Bash", started_ns=5, rank=0)
    start.effect_system, start.effect_operation, start.effect_resource = "git", "push", "origin main"
    start.effect_basis, start.effect_status = "argument", "sent"
    end = Span(namespace="n", span_id="s", kind="tool", tool="Bash", ended_ns=9, status="ok", rank=3)
    end.effect_system, end.effect_operation, end.effect_basis = "shell", "bash", "unknown"
    end.effect_status = "confirmed"
    row = dict(zip(Span.__struct_fields__, join(row_of(end), row_of(start)), strict=False))
    assert (row["effect_system"], row["effect_operation"], row["effect_resource"]) == ("git", "push", "origin main")
    assert (row["effect_basis"], row["effect_status"]) == ("argument", "confirmed")


def test_a_call_that_its_arguments_tell_to_be_a_read_is_no_effect_whatever_its_end_thinks() -> None:
    start = Span(namespace="n", span_id="s", kind="tool", tool="Bash", started_ns=5, rank=0, effect_basis="argument")
    end = Span(namespace="n", span_id="s", kind="tool", tool="Bash", ended_ns=9, status="ok", rank=3)
    end.effect_system, end.effect_operation, end.effect_basis = "shell", "bash", "unknown"
    row = dict(zip(Span.__struct_fields__, join(row_of(start), row_of(end)), strict=False))
    assert (row["effect_system"], row["effect_operation"], row["effect_basis"]) == (None, None, "argument")


def test_a_late_answer_wins_over_one_given_up() -> None:
    given_up = Span(namespace="n", span_id="s", ended_ns=100, status="unknown", rank=1)
    answer = Span(namespace="n", span_id="s", ended_ns=50, status="ok", rank=3)
    assert join(row_of(given_up), row_of(answer)) == row_of(answer)
