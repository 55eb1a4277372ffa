"""OpenHands trajectories: a list of events, or `output.jsonl` of an evaluation, a whole run with its events a line.

An event is an action or an observation; an observation names its action in `cause`. Event ids are small numbers that
repeat from file to file: namespace `session:<key>`, a hash of the first event. Times have no zone and are local to the
machine that wrote them. What the model API said of its own clock beside them (`created`, the times of costs) tells how
far from UTC that is; without it they are taken as UTC and flagged `zone`. `accumulated_*` values are running totals
that repeat on every event: calls are counted one by one, by the id of the model's answer.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_value,
    digest,
    text_of,
    word,
)
from collectors.formats.items import ItemsParser, mostly
from collectors.formats.openhands.events import Metrics, Reader, zone_ns
from collectors.formats.usage import within
from store.record.span import Rank, Span


class OpenHands:
    """The format itself."""

    name = "openhands"
    namespace = "session"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            events = _events(value)
            hits += mostly(events, _is_event)
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> OpenHandsParser:  # noqa: ARG002 - it holds none
        return OpenHandsParser(facts)


def _events(value: object) -> list[object]:
    """The events of a list or of a run's `history`; older histories hold pairs of action and observation."""
    if isinstance(value, dict) and "instance_id" in value:
        value = value.get("history")
    if not isinstance(value, list):
        return []
    events: list[object] = []
    for one in value:
        events += one if isinstance(one, list) else [one]
    return events


def _is_event(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("timestamp"), str)
        and isinstance(row.get("source"), str)
        and (("action" in row and "args" in row) or ("observation" in row and "content" in row))
    )


class OpenHandsParser(ItemsParser):
    """Reads one run a line (or the document), each by itself."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent
        super().__init__(OpenHands.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)
        found = _events(value)
        events = [one for one in found if isinstance(one, dict) and _is_event(one)]
        if not events:
            raise UnreadableError("no event in it")
        document = value if isinstance(value, dict) else {}
        metadata = within(document, "metadata")
        instance = text_of(document.get("instance_id"))
        first = events[0]
        key = digest(
            canonical([instance, first.get("id"), first["timestamp"], first.get("message")]).encode("utf-8", "replace")
        )
        metrics = Metrics(document.get("metrics"), events)
        shift = zone_ns(events)
        reader = Reader(key, metrics, shift or 0, text_of(within(metadata, "llm_config").get("model")))
        for event in events:
            kind = reader.read(event)
            if kind is not None:
                self._unknown(kind)
        self._end(reader, document, shift)
        flags = sorted({*mended, *(() if shift is not None else ("zone",))})
        agent = self._agent or _agent(metadata)
        for span in reader.spans:
            span.namespace = f"session:{key}"
            span.session = f"{cap(instance)}:{key[:8]}" if instance else f"openhands:{key[:16]}"
            span.format, span.agent = OpenHands.name, agent
            span.flags = ",".join(sorted({*flags, *(span.flags.split(",") if span.flags else ())})) or None
            self._out.spans.append(span)
        if len(events) < len(found):
            raise UnreadableError(f"{len(found) - len(events)} of its {len(found)} items: not an event")

    def _end(self, reader: Reader, document: dict[str, Any], shift: int | None) -> None:
        """What the run's line says of its end, and a run in flight whose start is in no known zone."""
        said = document.get("error")
        run = reader.run
        if run is None:
            return
        if isinstance(said, str) and said:
            reader.end_run("capped" if "maximum iteration" in said.lower() else "error", "error", said)
        elif document and run.rank == Rank.STARTED:
            reader.end_run("unknown")
        if shift is None and run.rank == Rank.STARTED:
            _forget_start(run)


def _forget_start(run: Span) -> None:
    """The earliest start would win for good, also over the right one that the next version of the file may tell."""
    run.started_ns = None


def _agent(metadata: dict[str, Any]) -> str:
    return text_of(metadata.get("agent_class")) or word(OpenHands.name)
