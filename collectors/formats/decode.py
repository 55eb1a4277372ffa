"""What every format needs to read a line: JSON that may be damaged, times, money, texts of a sane size."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from store.record.span import NANO_PER_USD, NS_PER_S

CANNOT = "the line upset the parser"  # the reason of a reject that is a fault of ours
MAX_VALUE_BYTES = 32 * 1024 * 1024  # a line or a document
MAX_TEXT_CHARS = 1024  # of an id or a name in the span row
MAX_MESSAGE_CHARS = 2000  # of an error message in the span row; the whole text stays in a part
MAX_TOKENS = 10**10
MAX_COST_NANO = 1_000_000 * NANO_PER_USD
MAX_INT = 2**63 - 1
EARLIEST_NS = 100_000_000 * NS_PER_S  # 1973: a smaller number is no time
LATEST_NS = 7_258_118_400 * NS_PER_S  # the year 2200: sums of times stay within 64 bits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANO_DIGITS = re.compile(r"[.,]\d{6}(\d{1,3})")
_SURROGATES = re.compile("[\ud800-\udfff]")
_TYPE_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_MAX_INT_DIGITS = 400
_remembered: dict[int, tuple[Any, set[str]] | UnreadableError] | None = None
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class UnreadableError(ValueError):
    """The line is no record; the text says why in a few words, without the line's content."""


def decode_object(data: bytes) -> tuple[dict[str, Any], set[str]]:
    """A line -> its object and what had to be mended: `utf8`, `surrogate`, `number`. UnreadableError otherwise.

    Duplicate keys: the last wins. NaN, Infinity, numbers beyond a double and integers of more than 400
    digits become text. Bytes that are no UTF-8 and lone surrogates become U+FFFD.
    """
    value, mended = decode_value(data)
    if not isinstance(value, dict):
        raise UnreadableError("not a JSON object")
    return value, mended


def decode_value(data: bytes) -> tuple[Any, set[str]]:
    """As `decode_object`, for any JSON value."""
    if _remembered is not None:
        if id(data) not in _remembered:
            try:
                _remembered[id(data)] = _decode_value(data)
            except UnreadableError as error:
                _remembered[id(data)] = error
        known = _remembered[id(data)]
        if isinstance(known, UnreadableError):
            raise known
        return known[0], set(known[1])
    return _decode_value(data)


@contextmanager
def decoded_once() -> Iterator[None]:
    """Within it the same bytes are decoded once: many formats look at one head, and nobody may change what they see."""
    global _remembered  # noqa: PLW0603 - for one thread: the one that collects
    _remembered = {}
    try:
        yield
    finally:
        _remembered = None


def _decode_value(data: bytes) -> tuple[Any, set[str]]:
    if len(data) > MAX_VALUE_BYTES:
        raise UnreadableError(f"longer than {MAX_VALUE_BYTES // 1024 // 1024} MiB")
    try:
        return _decode(data), set()
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        return _decode_damaged(data)


def _decode_damaged(data: bytes) -> tuple[Any, set[str]]:
    mended: set[str] = set()

    def as_text(number: str) -> str:
        mended.add("number")
        return number

    def integer(digits: str) -> int | str:
        return int(digits) if len(digits) <= _MAX_INT_DIGITS else as_text(digits)

    def real(digits: str) -> float | str:
        number = float(digits)
        return number if math.isfinite(number) else as_text(digits)

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        mended.add("utf8")
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_int=integer, parse_float=real, parse_constant=as_text)
        if "\\ud" in text.lower():
            text = json.dumps(value, ensure_ascii=False)
            whole = _SURROGATES.sub("\ufffd", text)
            if whole != text:
                mended.add("surrogate")
                value = json.loads(whole)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f"not JSON: {error.msg} at character {error.pos}") from None
    return value, mended


def canonical(value: Any) -> str:
    """Payload as text: a string is itself, all else is JSON without needless escapes."""
    if isinstance(value, str):
        return value
    try:
        return _encode(value).decode()
    except (OverflowError, msgspec.EncodeError):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def iso_ns(text: str) -> int | None:
    """ISO 8601 (UTC where it names no zone) -> ns; None where it is no time or out of all reason."""
    try:
        since = datetime.fromisoformat(text)
        delta = (since if since.tzinfo else since.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    ns = (delta.days * 86400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000
    if len(text) > 26 and (digits := _NANO_DIGITS.search(text)):
        ns += int(digits[1].ljust(3, "0"))
    return ns if EARLIEST_NS <= ns < LATEST_NS else None


def number_ns(value: float) -> int | None:
    """s, ms, us or ns since 1970, told apart by size -> ns; None where no unit makes a time of it."""
    if not math.isfinite(value):
        return None
    size = abs(value)
    digits = 9 if size < 1e11 else 6 if size < 1e14 else 3 if size < 1e17 else 0
    ns = value * 10**digits if isinstance(value, int) else int(Decimal(repr(value)).scaleb(digits))
    return ns if EARLIEST_NS <= ns < LATEST_NS else None


def time_ns(value: object) -> int | None:
    """Whatever stands where a time should -> ns, or None."""
    if isinstance(value, str):
        return iso_ns(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_ns(value)
    return None


def usd_nano(value: object) -> int | None:
    """Dollars -> nano-dollars; None for what is no number, negative, or above a million dollars a span."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1_000_000:
        return None
    return round(value * NANO_PER_USD)


def token_count(value: object) -> int | None:
    """A count of tokens, or None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TOKENS:
        return None
    return int(value) if value == int(value) else None


def text_of(value: object) -> str | None:
    """A non-empty text of at most MAX_TEXT_CHARS, else None."""
    return cap(value) if isinstance(value, str) and value else None


def cap(text: str) -> str:
    """A text that fits the span row; a longer one keeps its start and a hash, so that it stays distinct."""
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"{text[: MAX_TEXT_CHARS - 64]}…{digest(text.encode('utf-8', 'replace'))}"


def message_of(text: str) -> str:
    """An error message cut to what the span row holds."""
    return text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + "…"


def digest(data: bytes, size_bytes: int = 16) -> str:
    """A hash as hex, 128 bits where nothing else is asked."""
    return hashlib.blake2b(data, digest_size=size_bytes).hexdigest()


def word(value: object) -> str:
    """A value that should be one of a few words, as something that can be looked up: "" for none, "?" for no text."""
    return value if isinstance(value, str) else "" if value is None else "?"


def type_name(value: object) -> str:
    """The name under which a row of an unknown type is counted: never a text that could be a secret."""
    if value is None or value == "":
        return "(none)"
    return value if isinstance(value, str) and _TYPE_NAME.fullmatch(value) else "(other)"
