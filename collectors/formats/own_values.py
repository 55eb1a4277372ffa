"""What a value of your own JSON becomes in a field of Andon NDJSON: times, durations, counts, money, text.

A value that cannot be what its field holds comes back as Unfit with the reason; the line is kept without it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from collectors.formats.decode import EARLIEST_NS, LATEST_NS, canonical, iso_ns, time_ns
from store.record.span import NS_PER_S

NS_PER_UNIT = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
PER_USD = {"usd": 1, "cents": 100, "micro_usd": 1_000_000}
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?")
_SAMPLE_DAY = datetime(2031, 10, 26, 13, 45, 7, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a value was not taken. It quotes nothing of the log."""

    why: str


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How times are written: `form` is "" (told apart by themselves), iso, s, ms, us, ns, or a strptime pattern.

    `zone` is that of times which name none.
    """

    form: str = ""
    zone: tzinfo = UTC

    def problem(self) -> str | None:
        """Why no time can be read by it, or None."""
        if self.form in ("", "iso", *NS_PER_UNIT):
            return None
        if "%" not in self.form:
            return "write iso, s, ms, us, ns, or a pattern such as %Y-%m-%d %H:%M:%S"
        try:
            again = datetime.strptime(_SAMPLE_DAY.strftime(self.form), self.form)  # noqa: DTZ007 - only to try it
        except ValueError as error:
            return f"it is no pattern of strptime: {error}"
        if (again.year, again.month, again.day) != (_SAMPLE_DAY.year, _SAMPLE_DAY.month, _SAMPLE_DAY.day):
            return "it does not give the whole date: year, month and day"
        return None

    def ns(self, value: object) -> int | Unfit:
        """The value as ns since 1970, UTC."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return Unfit(f"a time cannot be {type_word(value)}")
        if self.form in NS_PER_UNIT:
            return _counted_ns(value, self.form)
        if self.form == "" and not isinstance(value, str):
            ns = time_ns(value)
            return Unfit("no unit makes a time after 1973 of this number") if ns is None else ns
        if not isinstance(value, str):
            return Unfit(f"{type_word(value)} where time_format = {self.form!r} wants text")
        if self.form in ("", "iso"):
            return self._iso_ns(value)
        try:
            moment = datetime.strptime(value, self.form)  # noqa: DTZ007 - the zone is given below
        except ValueError:
            return Unfit(f"not written as time_format = {self.form!r}")
        return _in_reason(_since_1970_ns(moment if moment.tzinfo else moment.replace(tzinfo=self.zone)))

    def _iso_ns(self, text: str) -> int | Unfit:
        if self.form == "" and (number := _number(text)) is not None:
            ns = time_ns(int(number) if number == int(number) else float(number))
            return Unfit("no unit makes a time after 1973 of this number") if ns is None else ns
        ns = iso_ns(text)
        if ns is None:
            return Unfit("not ISO 8601, or not between 1973 and 2200")
        if self.zone is not UTC:
            local = datetime.fromisoformat(text)
            if local.tzinfo is None:
                ns -= int((self.zone.utcoffset(local) or local - local).total_seconds()) * NS_PER_S
        return _in_reason(ns)


def duration_ms(value: object, unit: str) -> float | Unfit:
    """A number, or digits, of this unit -> milliseconds."""
    number = _number(value)
    if number is None:
        return Unfit(f"a duration cannot be {type_word(value)}")
    if number < 0:
        return Unfit("a duration cannot be negative")
    return float(number * NS_PER_UNIT[unit] / NS_PER_UNIT["ms"])


def dollars(value: object, unit: str) -> float | Unfit:
    """A number, or digits, of this unit -> US dollars."""
    number = _number(value)
    if number is None:
        return Unfit(f"an amount of money cannot be {type_word(value)}")
    return Unfit("a cost cannot be negative") if number < 0 else float(number / PER_USD[unit])


def whole_number(value: object) -> int | Unfit:
    """A count, also where it is written as 715.0 or "715"."""
    number = _number(value)
    if number is None:
        return Unfit(f"a count cannot be {type_word(value)}")
    if number != int(number) or number < 0:
        return Unfit("a count is whole and not negative")
    return int(number)


def real_number(value: object) -> float | Unfit:
    number = _number(value)
    return Unfit(f"a number cannot be {type_word(value)}") if number is None else float(number)


def plain_text(value: object) -> str | Unfit:
    """Text is itself; a number or true is written out; an object or a list is no text."""
    if isinstance(value, str):
        return value
    return Unfit(f"{type_word(value)} where text is wanted") if isinstance(value, dict | list) else canonical(value)


def type_word(value: Any) -> str:
    """What kind of JSON value it is, in words."""
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", int: "a number", float: "a number", dict: "an object", list: "a list"}
    return names.get(type(value), "null")


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if -(10**40) < value < 10**40 else None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        try:
            return Decimal(value.strip())
        except InvalidOperation:
            return None
    return None


def _counted_ns(value: object, unit: str) -> int | Unfit:
    number = _number(value)
    if number is None:
        return Unfit(f"{type_word(value)} where time_format = {unit!r} wants a number")
    ns = number * NS_PER_UNIT[unit]
    return _in_reason(int(ns)) if abs(ns) < LATEST_NS * 10 else Unfit(f"not between 1973 and 2200 in {unit}")


def _in_reason(ns: int) -> int | Unfit:
    return ns if EARLIEST_NS <= ns < LATEST_NS else Unfit("not between 1973 and 2200")


def _since_1970_ns(moment: datetime) -> int:
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000
