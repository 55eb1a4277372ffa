"""Records gathered into a batch, and the batch written: enriched once, committed whole, counted."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from collectors.enrich import Enricher
from collectors.formats.base import BadLine, Line, Parsed
from collectors.inbox import Delivery, Inbox
from collectors.refine import Refused, refine
from collectors.summary import Summary
from collectors.tail.file import TailedFile
from collectors.tail.lines import SAMPLE_BYTES, Oversize
from collectors.worker import Done
from store.folder import StoreError
from store.record.batch import Batch, Feed, Finding, Gap, Reject, Source, Written
from store.record.span import Span

MAX_RECORDS = 4_000  # 20,000 are no faster, hold more memory, and let the workers run dry during a commit
MAX_AGE_S = 0.25
MAX_BYTES = 16 << 20
_MINOR_EVERY_S = 1.0
_RETRY_S = 1.0
_SAMPLE_CHARS = 2_048
_CUT_CHARS = 128
_MAX_UNKNOWN_TYPES = 1_000


class Writes(Protocol):
    """What takes batches (store.telemetry.writer.Writer)."""

    def write(self, batch: Batch, ingest_ns: int) -> Written: ...


class Gather:
    """One batch at a time. What was added is either written whole by `flush`, or not at all."""

    def __init__(
        self,
        writer: Writes,
        enricher: Enricher,
        summary: Summary,
        *,
        say: Callable[[str], None],
        on_written: Callable[[Written], None] | None = None,
        inbox: Inbox | None = None,
        feeds: Iterable[Feed] = (),
    ) -> None:
        self._writer = writer
        self._enricher = enricher
        self._summary = summary
        self._say = say
        self._on_written = on_written
        self._inbox = inbox
        self._feeds = {feed.feed: feed for feed in feeds}
        self._deliveries: list[Delivery] = []
        self._sessions: set[str] = set()
        self._flushed_s = time.monotonic()
        self._spans: list[Span] = []
        self._packed: list[bytes] = []
        self._packed_records = 0
        self._refused: list[Refused] = []
        self._sources: dict[str, Source] = {}
        self._rejects: list[tuple[Source, Oversize, str]] = []
        self._gaps: list[Gap] = []
        self._findings: list[Finding] = []
        self._unknown: dict[str, int] = {}
        self._bytes = 0
        self._since_s: float | None = None

    @property
    def is_full(self) -> bool:
        """True once the batch has its records, its bytes or its age."""
        return (
            len(self._spans) + self._packed_records + len(self._rejects) >= MAX_RECORDS
            or self._bytes >= MAX_BYTES
            or (self._since_s is not None and time.monotonic() - self._since_s >= MAX_AGE_S)
        )

    @property
    def is_due(self) -> bool:
        """True if there is something to write when nothing is left to read; a mere size waits up to a second."""
        if self._since_s is not None:
            return True
        return bool(self._sources) and time.monotonic() - self._flushed_s >= _MINOR_EVERY_S

    def add_parsed(self, file: TailedFile, parsed: Parsed, lines: int, length_bytes: int) -> None:
        """Add what a stretch of `file` came to; its source must be put with `put_source` next."""
        self._spans += parsed.spans
        self._bytes += length_bytes
        for name, count in parsed.unknown_types.items():
            self._unknown[name] = self._unknown.get(name, 0) + count
        counts = self._summary.of_format(file.source.format or "unknown")
        counts["lines"] += lines
        counts["records"] += len(parsed.spans)
        self._summary.lines += lines
        for bad in parsed.bad:
            line = bad.line
            line_hash = hashlib.blake2b(line.data, digest_size=16).hexdigest()
            self._reject(file, Oversize(line.offset, len(line.data), line_hash, line.data), bad.reason)
        self._begin()

    def add_done(self, file: TailedFile, source: Source, lines: list[Line], done: Done) -> None:
        """Add what a worker made of a stretch, and where the file was read up to then (`source`)."""
        self._packed.append(bytes(done.packed))
        self._packed_records += done.records
        self._refused += [Refused(*one) for one in done.refused]
        self._sessions.update(done.sessions)
        self._findings += done.findings
        bad = [BadLine(lines[place], reason) for place, reason in done.bad]
        length_bytes = len(done.packed)
        self.add_parsed(file, Parsed(bad=bad, unknown_types=done.unknown_types), len(lines), length_bytes)
        self._summary.of_format(source.format or "unknown")["records"] += done.records
        self._sources[source.source_id] = source

    def add_delivery(self, delivery: Delivery) -> None:
        """Add what came otherwise than by a file; whoever sent it is told once it is written."""
        now, before = delivery.feed, self._feeds.get(delivery.feed.feed)
        if before is not None:
            now.records, now.rejected = before.records + now.records, before.rejected + now.rejected
        now.message = None if now.message is None else self._enricher.path(now.message)
        self._feeds[now.feed] = now
        self._deliveries.append(delivery)
        self._spans += delivery.spans
        self._bytes += delivery.size_bytes
        for name, count in delivery.unknown_types.items():
            self._unknown[name] = self._unknown.get(name, 0) + count
        counts = self._summary.of_format(now.format)
        counts["records"] += len(delivery.spans)
        counts["rejected"] += len(delivery.bad)
        for reason in delivery.bad:
            self._summary.rejected_for(reason)
        self._begin()

    def add_oversize(self, file: TailedFile, lines: list[Oversize], max_line_bytes: int) -> None:
        counts = self._summary.of_format(file.source.format or "unknown")
        for line in lines:
            counts["lines"] += 1
            self._summary.lines += 1
            self._reject(file, line, f"longer than {max_line_bytes:,} bytes")
        self._begin()

    def put_source(self, file: TailedFile) -> None:
        """Save where the file is read up to, if that differs from what was saved."""
        if file.saved != file.source:
            before = file.saved
            now = file.snapshot()
            self._sources[now.source_id] = now
            if before is None or (before.offset, before.state) != (now.offset, now.state):
                self._begin()

    def add_losses(self, gaps: list[Gap], sources: list[Source]) -> None:
        self._gaps += [msgspec.structs.replace(gap, path=self._enricher.path(gap.path)) for gap in gaps]
        for source in sources:
            self._sources[source.source_id] = source
        if gaps or sources:
            self._begin()

    def flush(self, stop: threading.Event | None = None) -> None:
        """Write the batch. With `stop`, a store that is full or locked is tried again until it is set.

        StoreError where the batch was not written; nothing of it is lost, for the offsets were not written either.
        """
        if not (
            self._spans
            or self._packed
            or self._deliveries
            or self._sources
            or self._rejects
            or self._gaps
            or self._unknown
        ):
            self._since_s = None
            return
        batch = self._enriched()
        try:
            written = self._write(batch, stop)
        except StoreError as error:
            self._settle(error)
            raise
        self._settle(None)
        self._count(batch, written)
        self._clear()
        self._flushed_s = time.monotonic()
        if self._on_written is not None:
            self._on_written(written)

    def _begin(self) -> None:
        if self._since_s is None:
            self._since_s = time.monotonic()

    def _settle(self, error: Exception | None) -> None:
        for delivery in self._deliveries:
            if self._inbox is not None:
                self._inbox.settle(delivery, error)
        self._deliveries = []

    def _clear(self) -> None:
        self._spans, self._rejects, self._gaps, self._findings = [], [], [], []
        self._packed, self._packed_records, self._refused = [], 0, []
        self._sources, self._unknown = {}, {}
        self._bytes = 0
        self._since_s = None

    def _reject(self, file: TailedFile, line: Oversize, reason: str) -> None:
        self._rejects.append((file.source, line, reason))
        file.source.rejected += 1
        self._summary.of_format(file.source.format or "unknown")["rejected"] += 1
        self._summary.rejected_for(reason)

    def _enriched(self) -> Batch:
        now_ns = time.time_ns()
        refined = refine(self._enricher, self._spans)
        self._refused += refined.refused
        self._findings += refined.findings
        for one in self._refused:
            self._say(f"a record {one.reason}; andon doctor counts it")
        return Batch(
            spans=refined.spans,
            packed=self._packed,
            durable=bool(self._deliveries),
            feeds=list({delivery.feed.feed: self._feeds[delivery.feed.feed] for delivery in self._deliveries}.values()),
            probes=[probe for delivery in self._deliveries for probe in delivery.probes],
            sources=[self._sealed(source, now_ns) for source in self._sources.values()],
            rejects=[
                Reject(
                    source_id=source.source_id,
                    path=self._enricher.path(source.path),
                    offset=line.offset,
                    length=line.length,
                    reason=self._enricher.text(reason),
                    line_hash=line.line_hash,
                    sample=self._sample(source, line, now_ns),
                    at_ns=now_ns,
                )
                for source, line, reason in self._rejects
            ]
            + [
                Reject(
                    source_id="",
                    path="",
                    offset=0,
                    length=0,
                    reason=one.reason,
                    line_hash=one.key_hash,
                    sample="",
                    at_ns=now_ns,
                )
                for one in self._refused
            ]
            + [reject for delivery in self._deliveries for reject in self._delivery_rejects(delivery, now_ns)],
            gaps=self._gaps,
            unknown_types=self._redacted_names(self._unknown),
            findings=self._findings,
        )

    def _delivery_rejects(self, delivery: Delivery, now_ns: int) -> list[Reject]:
        """One for each reason: the sender was told how many, and has the records."""
        return [
            Reject(
                source_id=delivery.feed.feed,
                path=delivery.feed.feed,
                offset=0,
                length=0,
                reason=reason,
                line_hash=hashlib.blake2b(reason.encode("utf-8", "replace"), digest_size=16).hexdigest(),
                sample="",
                at_ns=now_ns,
            )
            for reason in dict.fromkeys(map(self._enricher.text, delivery.bad))
        ]

    def _sample(self, source: Source, line: Oversize, now_ns: int) -> str:
        """The start of a line, redacted. Where it is cut, a piece of a value may be left: its end is not kept."""
        text = line.sample[:SAMPLE_BYTES].decode("utf-8", "replace")
        sample = self._enricher.text(text)
        place = f"reject:{line.line_hash}"
        self._findings += self._enricher.found_in(
            text, sample, place=place, part="sample", at_ns=now_ns, agent=source.agent
        )
        return (sample[:-_CUT_CHARS] if line.length > SAMPLE_BYTES else sample)[:_SAMPLE_CHARS]

    def _sealed(self, source: Source, now_ns: int) -> Source:
        sealed = self._enricher.sealed(source)
        self._findings += self._enricher.found_in(
            source.path, sealed.path, place=f"source:{source.source_id}", part="path", at_ns=now_ns
        )
        return sealed

    def _redacted_names(self, names: dict[str, int]) -> dict[str, int]:
        redacted: dict[str, int] = {}
        for name, count in names.items():
            own = self._enricher.text(name)[:200] if len(redacted) < _MAX_UNKNOWN_TYPES else "other"
            redacted[own] = redacted.get(own, 0) + count
        return redacted

    def _write(self, batch: Batch, stop: threading.Event | None) -> Written:
        while True:
            try:
                return self._writer.write(batch, time.time_ns())
            except sqlite3.OperationalError as error:
                reason = f"the store cannot be written now ({error}); nothing is lost"
                if stop is None or stop.is_set():
                    raise StoreError(f"{reason}: the lines are read again next time.") from None
                self._say(f"{reason}, trying again every second")
                stop.wait(_RETRY_S)
            except sqlite3.DatabaseError as error:
                raise StoreError(
                    f"the store cannot be written ({error}); the lines stay in their files and are read again. "
                    "Look at it with andon doctor."
                ) from None

    def _count(self, batch: Batch, written: Written) -> None:
        summary = self._summary
        summary.records += written.records
        summary.spans += written.new_spans
        summary.duplicates += written.duplicates
        summary.rejected += len(batch.rejects)
        summary.gaps += written.gaps
        self._sessions.update(span.session for span in batch.spans if span.session is not None)
        summary.sessions = len(self._sessions)
        for name, count in batch.unknown_types.items():
            summary.unknown_types[name] = summary.unknown_types.get(name, 0) + count
