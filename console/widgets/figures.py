"""How a figure is written, in one place for the screens and the command line. `-` is unknown, never 0."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from store.record.span import NANO_PER_USD, NS_PER_MS, NS_PER_S

UNKNOWN = "-"
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def duration(ns: int | None) -> str:
    """`4ms`, `0.3s`, `1.8s`, `41s`, `1m12s`, `11m04s`, `2h05m`, `3d04h`."""
    if ns is None:
        return UNKNOWN
    if ns < 0:
        return "-" + duration(-ns)
    if ns < 100 * NS_PER_MS:
        return f"{ns // NS_PER_MS}ms" if ns >= NS_PER_MS or ns == 0 else "<1ms"
    tenths = (ns + NS_PER_S // 20) // (NS_PER_S // 10)
    if tenths < 100:
        return f"{tenths // 10}.{tenths % 10}s"
    seconds = (ns + NS_PER_S // 2) // NS_PER_S
    if seconds < _MINUTE_S:
        return f"{seconds}s"
    if seconds < _HOUR_S:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 2 * _DAY_S:
        return f"{seconds // _HOUR_S}h{seconds % _HOUR_S // 60:02d}m"
    return f"{seconds // _DAY_S}d{seconds % _DAY_S // _HOUR_S:02d}h"


def age(ns: int | None) -> str:
    """One unit, rounded down: `0s`, `4m`, `2h`, `12d`; a time ahead of the clock is `+5s`."""
    if ns is None:
        return UNKNOWN
    if ns <= -NS_PER_S:
        return "+" + age(-ns)
    seconds = max(0, ns // NS_PER_S)
    for unit_s, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "m")):
        if seconds >= unit_s:
            return f"{seconds // unit_s}{name}"
    return f"{seconds}s"


def usd(nano: int | None, places: int = 2) -> str:
    """Dollars without the sign of it: `0.31`, `18.20`, `5.9k`, `1.2M`; more than nothing never reads 0."""
    if nano is None:
        return UNKNOWN
    if nano < 0:
        return "-" + usd(-nano, places)
    dollars = nano / NANO_PER_USD
    if dollars >= 999_950:
        return f"{dollars / 1e6:.1f}M"
    if dollars >= 9_999.5:
        return f"{dollars / 1e3:.1f}k"
    if dollars >= 999.995:
        return f"{dollars:.0f}"
    if 0 < dollars < 10**-places / 2:
        return f"<{10**-places:.{places}f}"
    return f"{dollars:.{places}f}"


def count(number: int | None) -> str:
    """`1,204`; from 100,000 on `123k`, `4.5M`."""
    if number is None:
        return UNKNOWN
    if abs(number) >= 9_999_500:
        return f"{number / 1e6:.0f}M"
    if abs(number) >= 999_500:
        return f"{number / 1e6:.1f}M"
    if abs(number) >= 100_000:
        return f"{number / 1e3:.0f}k"
    return f"{number:,}"


def percent(part: float | None, places: int = 1) -> str:
    """`94.1%`; rounded down, so that 99.96 % never reads as all of it, and up from nothing."""
    figure = percent_figure(part, places)
    return figure if part is None else figure + "%"


def percent_figure(part: float | None, places: int = 1) -> str:
    """As `percent`, without its sign: for a column whose head has it."""
    if part is None:
        return UNKNOWN
    if part >= 1:
        return "100"
    scale = 10**places
    return f"{int(part * 100 * scale + 1e-9) / scale:.{places}f}"


def clock(ns: int | None, zone: str = "UTC", *, millis: bool = False) -> str:
    """Time of day: `02:14:07Z`, elsewhere `04:14:07+02`; `02:14:31.204Z` with `millis`."""
    if ns is None:
        return UNKNOWN
    when = _moment(ns, zone)
    text = when.strftime("%H:%M:%S") + (f".{ns // NS_PER_MS % 1000:03d}" if millis else "")
    return text + _suffix(when)


def day_clock(ns: int | None, zone: str = "UTC") -> str:
    """With its day: `2026-01-31 02:14Z`."""
    if ns is None:
        return UNKNOWN
    when = _moment(ns, zone)
    return when.strftime("%Y-%m-%d %H:%M") + _suffix(when)


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 write`, `14 writes`, `0 entries`."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def _moment(ns: int, zone: str) -> datetime:
    seconds = max(-62_135_510_400, min(ns // NS_PER_S, 253_402_214_400))  # a day inside what datetime can say
    return datetime.fromtimestamp(seconds, UTC if zone == "UTC" else ZoneInfo(zone))


def _suffix(when: datetime) -> str:
    offset = when.strftime("%z")
    if offset in {"+0000", ""}:
        return "Z"
    return offset[:3] + (offset[3:5] if offset[3:5] != "00" else "")
