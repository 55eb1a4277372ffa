"""One file, explained: its format and how it was told, its first records, and what all of it comes to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from collectors.enrich.rules import RuleRow
from collectors.explain.model import Explained, RecordRows, Shown, SpanRows
from collectors.explain.own import rows_of, unused_in
from collectors.explain.totals import Count
from collectors.explain.trace import trace
from collectors.formats import FORMATS, recognise
from collectors.formats.base import Format, Line, Parsed, SourceFacts
from collectors.formats.decode import UnreadableError, canonical, decode_value
from collectors.formats.own_json import OwnJson
from collectors.formats.own_mapping import OwnMapping
from collectors.formats.own_paths import leaves_of, path_text
from collectors.tail.content import Content, content_of
from collectors.tail.document import document_in, is_whole
from collectors.tail.head import head_lines, unreadable_as_text
from collectors.tail.lines import MAX_LINE_BYTES, LineReader, Oversize

MAX_LINES = 200_000
_SAMPLE_PATHS = 40


def explain_file(
    path: Path,
    *,
    form: Format | None = None,
    known_by: str = "",
    agent: str | None = None,
    rules: tuple[RuleRow, ...] = (),
    records: int = 5,
) -> Explained:
    """Read `path` as `form` (None: by content) and say how.

    `known_by` is who declared the format; `rules` are redaction rules of the user's.

    Nothing is written, and no store is touched. OSError where the file cannot be read.
    """
    shown = Shown(rules)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer would block
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = content_of(descriptor)
        told = _Told(content, form, known_by)
        explained = Explained(
            path=shown.text(str(path)),
            size_bytes=os.fstat(descriptor).st_size,
            format=None if told.form is None else told.form.name,
            known_by=told.known_by,
            document=told.document is not None,
        )
        if told.form is None:
            explained.sample = _sample(told.document, told.head, shown)
            return explained
        facts = SourceFacts("explain", str(path), agent)
        _Explaining(explained, told.form, facts, shown, records).run(_lines(content, told.document))
        return explained
    finally:
        os.close(descriptor)


class _Told:
    """Which format it is, as the collector tells it, and by what."""

    def __init__(self, content: Content, form: Format | None, known_by: str) -> None:
        self.form, self.known_by = form, known_by
        self.document: bytes | None = None
        self.head: list[bytes] = []
        why_not = unreadable_as_text(content)
        if why_not is not None:
            self.form, self.known_by = None, why_not
            return
        self.head, _ = head_lines(content, MAX_LINE_BYTES, with_unended=True)
        document = document_in(content)
        if form is not None:
            self.document = document if form.whole else None
            return
        self.form = recognise(self.head)
        self.known_by = f"recognised by the first {len(self.head)} lines" if len(self.head) != 1 else "by its one line"
        if self.form is None or self.form.whole:
            whole = recognise([document], whole=True) if document is not None else None
            if whole is not None:
                self.form, self.document, self.known_by = whole, document, "recognised by the whole document"
        if self.form is None:
            self.document, self.known_by = document, self._why_unknown(document)

    def _why_unknown(self, document: bytes | None) -> str:
        objects = sum(1 for data in self.head if is_whole(data) and data.lstrip().startswith(b"{"))
        known = f"none of the {len(FORMATS)} formats knows"
        if document is not None:
            return f"one JSON document that {known}"
        if not self.head:
            return "it has no whole line"
        if not objects:
            return "its first lines are no JSON objects: it cannot be read, as whatever format"
        many = f"{objects} of its first {len(self.head)} lines are JSON objects" if len(self.head) > 1 else "one line"
        return f"{many} that {known}"


class _Explaining:
    """Goes through the lines once: the first records field by field, all of them into the totals."""

    def __init__(self, out: Explained, form: Format, facts: SourceFacts, shown: Shown, records: int) -> None:
        self._out = out
        self._form = form
        self._facts = facts
        self._shown = shown
        self._left = records
        self._said: set[str] = set()
        self._mapping = form.mapping if isinstance(form, OwnJson) else None
        self._count = Count(self._mapping)

    def run(self, lines: Iterator[tuple[int, Line | Oversize]]) -> None:
        parser = self._form.parser(self._facts)
        for number, line in lines:
            if number > MAX_LINES:
                self._out.totals.cut_short = True
                break
            if isinstance(line, Oversize):
                self._count.reject(number, f"longer than {MAX_LINE_BYTES:,} bytes")
                continue
            before = parser.state() if self._left > 0 else b""
            parsed = parser.parse([line])
            self._count.add(number, line, parsed)
            if self._left > 0:
                self._record(number, line, parsed, before)
        self._count.into(self._out, self._shown)

    def _record(self, number: int, line: Line, parsed: Parsed, state: bytes) -> None:
        if self._mapping is not None:
            for one in _records_in(line):
                if self._left > 0:
                    self._keep(self._own(number, one, self._mapping))
            return
        rows = self._outcome(number, line, parsed)
        if rows.outcome == "nothing":
            return  # a line that says nothing by itself: the next one may
        if rows.outcome == "span":
            traced = trace(self._form, self._facts, state, line, self._shown)
            rows.spans, rows.unused = traced.spans, traced.unused
        self._keep(rows)

    def _keep(self, rows: RecordRows) -> None:
        """Show it, unless it is only one more of those that are not read for the same reason."""
        if rows.outcome != "span":
            if rows.reason in self._said:
                return
            self._said.add(rows.reason)
        self._left -= 1
        self._out.records.append(rows)

    def _own(self, number: int, line: Line, mapping: OwnMapping) -> RecordRows:
        parsed = self._form.parser(self._facts).parse([line])
        rows = self._outcome(number, line, parsed)
        try:
            row, _ = decode_value(line.data)
        except UnreadableError:
            return rows
        if isinstance(row, dict):
            span = parsed.spans[0] if parsed.spans else None
            if rows.outcome != "passed_over" or mapping.where is None or mapping.where.passes_over(row) is None:
                name, kind = ("", "") if span is None else (span.span_id, span.kind or "")
                rows.spans = [SpanRows(self._shown.text(name), kind, rows_of(row, span, mapping, self._shown))]
                rows.unused = unused_in(row, mapping, self._shown)
        return rows

    def _outcome(self, number: int, line: Line, parsed: Parsed) -> RecordRows:
        rows = RecordRows(number, line.offset, "nothing")
        if parsed.spans:
            rows.outcome = "span"
        elif parsed.bad:
            rows.outcome, rows.reason = "rejected", self._shown.text(parsed.bad[0].reason)
        elif parsed.unknown_types:
            rows.outcome = "passed_over"
            rows.reason = "a type that is not read: " + self._shown.text(", ".join(parsed.unknown_types))
        return rows


def _records_in(line: Line) -> list[Line]:
    """The records of a line: itself, or the elements of a document that is a list."""
    try:
        value, _ = decode_value(line.data)
    except UnreadableError:
        return [line]
    if not isinstance(value, list):
        return [line]
    return [Line(line.offset, canonical(one).encode("utf-8", "replace")) for one in value]


def _lines(content: Content, document: bytes | None) -> Iterator[tuple[int, Line | Oversize]]:
    """(number of the line, the line), what follows the last newline too."""
    if document is not None:
        yield 1, Line(0, document)
        return
    reader = LineReader(content)
    number = 0
    while True:
        stretch = reader.read()
        found: list[Line | Oversize] = [*stretch.lines, *stretch.oversize]
        for line in sorted(found, key=lambda one: one.offset):
            number += 1
            yield number, line
        if stretch.changed or not stretch.more:
            break
    last = reader.unended_line()
    if last is not None:
        yield number + 1, last


def _sample(document: bytes | None, head: list[bytes], shown: Shown) -> list[tuple[str, str]]:
    """Paths and values of the first records, for who writes a mapping; each path once."""
    found: dict[str, str] = {}
    for data in [document] if document is not None else head:
        try:
            value, _ = decode_value(data)
        except UnreadableError:
            continue
        objects = [one for one in value[:3] if isinstance(one, dict)] if isinstance(value, list) else []
        for row in objects or [value]:
            for path, leaf in leaves_of(row, _SAMPLE_PATHS) if isinstance(row, dict | list) else []:
                if len(found) < _SAMPLE_PATHS and leaf is not None:
                    found.setdefault(shown.text(path_text(path)), shown.raw(leaf))
    return list(found.items())
