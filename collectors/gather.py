"""Records gathered into a batch, and the batch written: enriched once, committed whole, counted."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Protocol

from collectors.enrich import Enricher
from collectors.formats.base import Parsed
from collectors.summary import Summary
from collectors.tail.file import TailedFile
from collectors.tail.lines import SAMPLE_BYTES, Oversize
from store.folder import StoreError
from store.record.batch import Batch, Gap, Reject, Source, Written
from store.record.span import Span

MAX_RECORDS = 20_000
MAX_AGE_S = 0.25
MAX_BYTES = 16 << 20
_MINOR_EVERY_S = 1.0
_RETRY_S = 1.0
_SAMPLE_CHARS = 2_048
_MAX_UNKNOWN_TYPES = 1_000
_ESCAPED = re.compile(r"\\u00([2-7][0-9a-fA-F])|\\(/)")


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
    ) -> None:
        self._writer = writer
        self._enricher = enricher
        self._summary = summary
        self._say = say
        self._on_written = on_written
        self._sessions: set[str] = set()
        self._flushed_s = time.monotonic()
        self._spans: list[Span] = []
        self._sources: dict[str, Source] = {}
        self._rejects: list[tuple[Source, Oversize, str]] = []
        self._gaps: list[Gap] = []
        self._unknown: dict[str, int] = {}
        self._bytes = 0
        self._since_s: float | None = None

    @property
    def is_full(self) -> bool:
        """True once the batch has its records, its bytes or its age."""
        return (
            len(self._spans) + len(self._rejects) >= MAX_RECORDS
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
        self._gaps += gaps
        for source in sources:
            self._sources[source.source_id] = source
        if gaps or sources:
            self._begin()

    def flush(self, stop: threading.Event | None = None) -> None:
        """Write the batch. With `stop`, a store that is full or locked is tried again until it is set.

        StoreError where the batch was not written; nothing of it is lost, for the offsets were not written either.
        """
        if not (self._spans or self._sources or self._rejects or self._gaps or self._unknown):
            self._since_s = None
            return
        batch = self._enriched()
        written = self._write(batch, stop)
        self._count(batch, written)
        self._clear()
        self._flushed_s = time.monotonic()
        if self._on_written is not None:
            self._on_written(written)

    def _begin(self) -> None:
        if self._since_s is None:
            self._since_s = time.monotonic()

    def _clear(self) -> None:
        self._spans, self._rejects, self._gaps = [], [], []
        self._sources, self._unknown = {}, {}
        self._bytes = 0
        self._since_s = None

    def _reject(self, file: TailedFile, line: Oversize, reason: str) -> None:
        self._rejects.append((file.source, line, reason))
        file.source.rejected += 1
        self._summary.of_format(file.source.format or "unknown")["rejected"] += 1

    def _enriched(self) -> Batch:
        now_ns = time.time_ns()
        failed: list[Reject] = []
        try:
            self._enricher.spans(self._spans)
        except Exception:  # noqa: BLE001 - one record must not stop the line, nor go unredacted
            failed = self._enrich_singly(now_ns)
        return Batch(
            spans=self._spans,
            sources=list(self._sources.values()),
            rejects=[
                Reject(
                    source_id=source.source_id,
                    path=source.path,
                    offset=line.offset,
                    length=line.length,
                    reason=reason,
                    line_hash=line.line_hash,
                    sample=self._sample(line.sample),
                    at_ns=now_ns,
                )
                for source, line, reason in self._rejects
            ]
            + failed,
            gaps=self._gaps,
            unknown_types=self._redacted_names(self._unknown),
        )

    def _enrich_singly(self, now_ns: int) -> list[Reject]:
        """Enrich each span by itself; one that still fails is left out of the batch and becomes a reject."""
        kept: list[Span] = []
        failed: list[Reject] = []
        for span in self._spans:
            try:
                self._enricher.spans([span])
            except Exception as error:  # noqa: BLE001 - as above
                key = f"{span.namespace}\0{span.span_id}".encode("utf-8", "replace")
                reason = f"could not be redacted or priced ({type(error).__name__}), so it was not written"
                failed.append(
                    Reject(
                        source_id="",
                        path="",
                        offset=0,
                        length=0,
                        reason=reason,
                        line_hash=hashlib.blake2b(key, digest_size=16).hexdigest(),
                        sample="",
                        at_ns=now_ns,
                    )
                )
                self._say(f"a record {reason}; andon doctor counts it")
            else:
                kept.append(span)
        self._spans = kept
        return failed

    def _sample(self, data: bytes) -> str:
        """The start of a line, redacted. Escapes that JSON allows would hide a secret from the rules."""
        text = data[:SAMPLE_BYTES].decode("utf-8", "replace")
        text = _ESCAPED.sub(lambda match: match[2] or chr(int(match[1], 16)), text)
        return self._enricher.text(text)[:_SAMPLE_CHARS]

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
