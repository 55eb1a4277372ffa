"""Times and windows as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.record.window import TimeError, Window, iso, parse_age, parse_time, parse_window

NOW_NS = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_an_age(text: str, seconds: int) -> None:
    assert parse_age(text) == seconds * 10**9
    assert parse_time(text, NOW_NS) == NOW_NS - seconds * 10**9


@pytest.mark.parametrize("text", ["", "h", "1", "-1h", "1 h", "1.5h", "1H", "１h", "99999999999h"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(TimeError):
        parse_age(text)


@given(st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_is_read_to_the_microsecond(when: datetime) -> None:
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    assert (
        parse_time(when.isoformat(), NOW_NS)
        == ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000
    )


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_clear_error(text: str) -> None:
    try:
        parse_window(text, NOW_NS)
        parse_time(text, NOW_NS)
    except TimeError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


def test_a_window_ends_with_its_moment() -> None:
    window = parse_window("1h", NOW_NS)
    assert window == Window(NOW_NS + 1 - 3600 * 10**9, NOW_NS + 1, "1 h")


@given(st.integers(-(2**63), 2**63))
def test_every_stored_time_can_be_said(ns: int) -> None:
    assert iso(ns).endswith("Z")
