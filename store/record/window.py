"""A half-open stretch of time, [from_ns, to_ns), that always knows its own name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from store.record.span import NS_PER_S

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGE = re.compile(r"([0-9]{1,9})([smhdw])")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_NS = 2**63 - 1


class TimeError(ValueError):
    """The text is no time; the message says what to type instead."""


@dataclass(frozen=True, slots=True)
class Window:
    """[from_ns, to_ns) in UTC ns; `label` is what the screen says (`1 h`, `24 h`, `02:00Z to 03:00Z`)."""

    from_ns: int
    to_ns: int
    label: str

    @property
    def seconds(self) -> float:
        return (self.to_ns - self.from_ns) / NS_PER_S


def parse_age(text: str) -> int:
    """`90s`, `15m`, `1h`, `7d` -> ns. TimeError otherwise."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise TimeError(f"{text!r} is not an age: write 90s, 15m, 1h or 7d")
    return int(match[1]) * _UNIT_S[match[2]] * NS_PER_S


def parse_time(text: str, now_ns: int) -> int:
    """ISO 8601 (UTC where no zone is given) or an age before `now_ns` -> ns. TimeError otherwise."""
    text = text.strip()
    if _AGE.fullmatch(text):
        return _storable(now_ns - parse_age(text), text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise TimeError(f"{text!r} is not a time: write 2026-01-31T02:14:00Z, or an age such as 15m") from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    since = when - _EPOCH
    return _storable(((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000, text)


def _storable(ns: int, text: str) -> int:
    """`ns`, which must fit a 64-bit integer. TimeError otherwise."""
    if not -_LARGEST_NS < ns < _LARGEST_NS:
        raise TimeError(f"{text!r} is out of range: Andon keeps times from the year 1678 to 2262")
    return ns


def parse_window(text: str, as_of_ns: int) -> Window:
    """`15m|1h|24h|7d` up to and with `as_of_ns`, or `FROM..TO`. TimeError where it ends before it starts."""
    start, dots, end = text.partition("..")
    if not dots:
        age = parse_age(text)
        match = _AGE.fullmatch(text.strip())
        assert match is not None
        return Window(_storable(as_of_ns + 1 - age, text), as_of_ns + 1, f"{match[1]} {match[2]}")
    from_ns, to_ns = parse_time(start, as_of_ns), parse_time(end, as_of_ns)
    if to_ns <= from_ns:
        raise TimeError(f"the window {text!r} ends before it starts")
    return Window(from_ns, to_ns, f"{iso(from_ns)} to {iso(to_ns)}")


def iso(ns: int) -> str:
    """ns -> `2026-01-31T02:14:00.123Z`: ISO 8601, UTC, ms. Out of datetime's range: the nearest it can say."""
    ms = max(-62_135_596_800_000, min(ns // 1_000_000, 253_402_300_799_999))
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:03d}Z"
