"""OTLP JSON: export requests of traces, logs and metrics, as a collector's file exporter and OTLP/HTTP write them.

One request, an array of requests, or one request a line; ids as hex or as base64. Namespace `trace:<trace id>`.
Metrics are counted as `otlp/metrics` and not read. The vocabularies are in collectors/formats/otel/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from collectors.formats.base import SourceFacts
from collectors.formats.decode import UnreadableError, decode_value
from collectors.formats.otel.json_request import is_request, read_request
from collectors.formats.otel.records import spans_of, spans_of_log
from collectors.formats.row_parser import RowParser
from store.record.span import Span

T = TypeVar("T")


class Otlp:
    """The format itself."""

    name = "otlp"
    namespace = "trace"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            requests = value if isinstance(value, list) else [value]
            hits += bool(requests) and all(is_request(one) for one in requests)
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> OtlpParser:  # noqa: ARG002 - it holds none
        return OtlpParser(facts)


class OtlpParser(RowParser):
    """Reads one request, or an array of them, a line, each by itself."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent
        super().__init__(Otlp.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)
        items = 0
        bad: list[str] = []
        for request in value if isinstance(value, list) else [value]:
            records = read_request(request)
            if mended:
                for flags in (*(one.flags for one in records.spans), *(one.flags for one in records.logs)):
                    flags |= mended
            bad += records.bad
            bad += self._take(records.spans, spans_of)
            bad += self._take(records.logs, spans_of_log)
            items += len(records.spans) + len(records.logs) + len(records.bad)
            if records.metrics:
                self._unknown("metrics")
        if bad:
            raise UnreadableError(bad[-1] if items == 1 else f"{len(bad)} of its {items} items: {bad[-1]}")
        if value == []:
            raise UnreadableError("no request in it")

    def _take(self, records: Iterable[T], read: Callable[..., list[Span]]) -> list[str]:
        """Put the records' spans out; why the others have none."""
        bad: list[str] = []
        spans = self._out.spans
        for record in records:
            try:
                spans += read(record, agent=self._agent, format_name=Otlp.name)
            except UnreadableError as error:
                bad.append(str(error))
        return bad
