"""The values of OTLP's JSON: AnyValue, ids in both dialects, times and enums, each read as loosely as it is written.

The protocol says hex ids, integer enums and 64-bit integers as text; plain proto3 JSON, which other writers use, says
base64 ids and enum names. https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from collectors.formats.decode import EARLIEST_NS, LATEST_NS
from collectors.formats.otel.span import ERROR, OK, UNSET

TRACE_BYTES, SPAN_BYTES = 16, 8
_ZEROS = frozenset({bytes(TRACE_BYTES), bytes(SPAN_BYTES)})
_URL_SAFE = str.maketrans("-_", "+/")
_STATUS: dict[object, int] = {
    **dict.fromkeys((None, 0, "0", "", "UNSET", "STATUS_CODE_UNSET", "unset"), UNSET),
    **dict.fromkeys((1, "1", "OK", "STATUS_CODE_OK", "ok"), OK),
    **dict.fromkeys((2, "2", "ERROR", "STATUS_CODE_ERROR", "error"), ERROR),
}
_TEXT = frozenset({str})
_MAX_INT_DIGITS = 40
_DEEPEST = 100


def attributes(pairs: object, flags: set[str], name: str = "attributes") -> dict[str, Any]:
    """A list of `{key, value}` as a dict, the last of a key counting. What cannot be read is flagged `name`."""
    if not pairs:
        if pairs is not None and not isinstance(pairs, list | dict):
            flags.add(name)
        return {}
    out: dict[str, Any] = {}
    try:
        for pair in pairs:  # type: ignore[attr-defined]
            ((kind, held),) = pair["value"].items()
            # Nearly all values are text; a text that is none is left to the careful way.
            out[pair["key"]] = held if kind == "stringValue" and held.__class__ is str else _READ[kind](held)
    except (TypeError, KeyError, ValueError, AttributeError):
        return _attributes(pairs, flags, name)
    return out if _TEXT.issuperset(map(type, out)) else _attributes(pairs, flags, name)


def _attributes(pairs: object, flags: set[str], name: str, depth: int = 0) -> dict[str, Any]:
    """As `attributes`, one by one: a bad pair costs the others nothing. A plain object stands for itself."""
    if isinstance(pairs, dict):
        return {key: any_value(one, flags, name, depth + 1) for key, one in pairs.items()}
    out: dict[str, Any] = {}
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not isinstance(pair, dict) or not isinstance(key := pair.get("key"), str):
            flags.add(name)
            continue
        out[key] = any_value(pair.get("value"), flags, name, depth + 1)
    return out


def any_value(value: object, flags: set[str], name: str = "value", depth: int = 0) -> Any:
    """An AnyValue as what it holds: None for an empty one. A plain value, which some writers put there, is itself."""
    if depth > _DEEPEST:
        flags.add(name)
        return None
    if not isinstance(value, dict):
        if isinstance(value, list):
            return [any_value(one, flags, name, depth + 1) for one in value]
        return value
    if len(value) == 1:
        ((kind, held),) = value.items()
        if kind in ("arrayValue", "array_value"):
            inner = held.get("values") if isinstance(held, dict) else held
            return [any_value(one, flags, name, depth + 1) for one in inner] if isinstance(inner, list) else []
        if kind in ("kvlistValue", "kvlist_value"):
            inner = held.get("values") if isinstance(held, dict) else held
            return _attributes(inner or [], flags, name, depth)
        read = _READ.get(kind)
        if read is not None:
            if held is None:
                return None
            try:
                return read(held)
            except (TypeError, ValueError, OverflowError):
                flags.add(name)
                return held if isinstance(held, str) else None
    return {key: any_value(one, flags, name, depth + 1) for key, one in value.items()}


def bytes_text(data: bytes) -> str:
    """Bytes as text: themselves where they are UTF-8, so that a rule can look into them, else base64."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return b64encode(data).decode("ascii")


def _text(held: object) -> str:
    if not isinstance(held, str):
        raise TypeError
    return held


def _integer(held: object) -> int:
    """A 64-bit integer is text in JSON; some writers put a number."""
    if isinstance(held, bool) or not isinstance(held, str | int | float):
        raise TypeError
    if isinstance(held, str) and (len(held) > _MAX_INT_DIGITS or "_" in held):
        raise ValueError
    if isinstance(held, float) and held != int(held):
        raise ValueError
    return int(held)


def _real(held: object) -> float | str:
    if isinstance(held, bool) or not isinstance(held, str | int | float):
        raise TypeError
    if held in ("NaN", "Infinity", "-Infinity"):
        return str(held)
    return held if isinstance(held, float) else float(held)


def _bool(held: object) -> bool:
    if not isinstance(held, bool):
        raise TypeError
    return held


def _bytes(held: object) -> str:
    return bytes_text(_base64(_text(held)))


def _array(held: object) -> list[Any]:
    """Only lists of plain values; what is nested is left to the careful way, which counts its depth."""
    out = []
    for one in held["values"]:  # type: ignore[index]
        ((kind, inner),) = one.items()
        out.append(_PLAIN[kind](inner))
    return out


_PLAIN: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("stringValue", "string_value"), _text),
    **dict.fromkeys(("intValue", "int_value"), _integer),
    **dict.fromkeys(("doubleValue", "double_value"), _real),
    **dict.fromkeys(("boolValue", "bool_value"), _bool),
    **dict.fromkeys(("bytesValue", "bytes_value"), _bytes),
}
_READ = {**_PLAIN, "arrayValue": _array}


def _base64(text: str) -> bytes:
    if "-" in text or "_" in text:
        text = text.translate(_URL_SAFE)
    return b64decode(text, validate=True)


def hex_id(value: object, size_bytes: int) -> str | None:
    """An id as lower-case hex: "" for none or all zeros, None for what is no id of `size_bytes` (16: trace, 8: span).

    Hex in either case, with `0x` or the dashes of a UUID; base64 with its padding.
    """
    if not value:
        return "" if value is None or value == "" else None
    if not isinstance(value, str):
        return None
    digits = 2 * size_bytes
    try:
        if len(value) == digits:
            data = bytes.fromhex(value)
        elif len(value) == digits + 2 and value[:2] in ("0x", "0X"):
            data = bytes.fromhex(value[2:])
        elif len(value) == digits + 4 and value.count("-") == 4:
            data = bytes.fromhex(value.replace("-", ""))
        elif len(value) == (size_bytes + 2) // 3 * 4:
            data = _base64(value)
        else:
            return None
    except (ValueError, binascii.Error):
        return None
    if len(data) != size_bytes:
        return None
    return "" if data in _ZEROS else data.hex()


def nanos(value: object) -> int | None:
    """A time in ns since 1970, text or number -> ns; None for none, 0, and what is no time."""
    try:
        at_ns = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return at_ns if EARLIEST_NS <= at_ns < LATEST_NS else None


def is_given(value: object) -> bool:
    """True where a time stands, if only one that cannot be read; a 0 says that there is none."""
    return value not in (None, "", 0, "0")


def status_code(value: object) -> int | None:
    """UNSET, OK or ERROR of a status code by number or name; None for what is none."""
    return _STATUS.get(value) if value is None or isinstance(value, int | str) else None
