"""An OpenTelemetry span or log record with its ids as hex and its times as ns, before any vocabulary is applied.

Every carrier (OTLP JSON, protobuf, a span dump, Phoenix) decodes to these; `records.spans_of` alone makes canonical
records of them, so a vocabulary is understood the same whatever brought it.
"""

from __future__ import annotations

from typing import Any

import msgspec

UNSET, OK, ERROR = 0, 1, 2


class OtelEvent(msgspec.Struct):
    """An event of a span, such as `exception`."""

    name: str
    at_ns: int | None = None
    attributes: dict[str, Any] = {}


class OtelSpan(msgspec.Struct, kw_only=True):
    """One span. Ids are lower-case hex of 32 and 16 digits, "" where the carrier names none or all zeros.

    Attribute values are plain (text, int, float, bool, list, dict): `intValue` text is an int already. `ended_ns` None
    is a span that has started only. `status`: UNSET, OK or ERROR.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str = ""
    started_ns: int | None = None
    ended_ns: int | None = None
    status: int = UNSET
    status_message: str = ""
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    scope: str = ""
    events: list[OtelEvent] = []
    flags: set[str] = set()  # what had to be mended or dropped


class OtelLog(msgspec.Struct, kw_only=True):
    """One log record. Claude Code's events come this way: `event_name` (or attribute `event.name`) says which."""

    at_ns: int | None = None
    event_name: str = ""
    body: Any = None
    severity: int = 0
    trace_id: str = ""
    span_id: str = ""
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    scope: str = ""
    flags: set[str] = set()
