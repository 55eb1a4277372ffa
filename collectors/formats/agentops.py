"""AgentOps log captures: OpenTelemetry log records as the Python SDK's `LogRecord.to_json` writes them.

A list of records, or one a line, with `body`, `severity_number`, ISO times and ids with 0x, all zeros outside of a
span. The session is the resource's. Bodies carry raw terminal colours: they are payload like any other text.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.decode import UnreadableError, decode_value, time_ns
from collectors.formats.items import ItemsParser
from collectors.formats.otel.json_request import severity
from collectors.formats.otel.json_values import SPAN_BYTES, TRACE_BYTES, hex_id
from collectors.formats.otel.records import spans_of_log
from collectors.formats.otel.span import OtelLog

_OWN = ("body", "severity_number", "trace_id", "span_id", "timestamp")


class AgentOps:
    """The format itself."""

    name = "agentops"
    namespace = "trace"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            rows = value if isinstance(value, list) else [value]
            hits += bool(rows) and all(isinstance(row, dict) and all(name in row for name in _OWN) for row in rows)
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> AgentOpsParser:  # noqa: ARG002 - it holds none
        return AgentOpsParser(facts)


class AgentOpsParser(ItemsParser):
    """Reads one capture a line, each by itself."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent
        super().__init__(AgentOps.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)

        def read(row: object) -> None:
            if not isinstance(row, dict) or "body" not in row:
                raise UnreadableError("not a log record")
            log = _log_of(row)
            log.flags |= mended
            self._out.spans += spans_of_log(log, agent=self._agent, format_name=AgentOps.name)

        self._each(value if isinstance(value, list) else [value], read)


def _log_of(row: dict[str, Any]) -> OtelLog:
    flags: set[str] = set()
    at_ns = time_ns(row.get("timestamp"))
    if at_ns is None:
        at_ns = time_ns(row.get("observed_timestamp"))
    ids = {}
    for name, size_bytes in (("trace_id", TRACE_BYTES), ("span_id", SPAN_BYTES)):
        own = hex_id(row.get(name), size_bytes)
        if own is None:
            flags.add(name)
        ids[name] = own or ""
    own, resource = row.get("attributes"), row.get("resource")
    held = resource.get("attributes") if isinstance(resource, dict) else None
    return OtelLog(
        at_ns=at_ns,
        body=row.get("body"),
        severity=severity(row.get("severity_number"), row.get("severity_text")),
        attributes=own if isinstance(own, dict) else {},
        resource=held if isinstance(held, dict) else {},
        flags=flags,
        **ids,
    )
