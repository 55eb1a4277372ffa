"""One file's next stretch, from bytes to the batch: recognise, read, parse, reject, save."""

from __future__ import annotations

import enum
import os
import pickle
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from collectors.formats import by_name, recognise
from collectors.formats.base import BadLine, Format, Line, Parsed, Parser
from collectors.gather import Gather
from collectors.refine import parse_lines
from collectors.summary import Summary
from collectors.tail.content import is_trouble
from collectors.tail.document import MAX_DOCUMENT_BYTES, document_in, is_whole, may_become_document
from collectors.tail.file import TailedFile
from collectors.tail.head import head_lines, unreadable_as_text
from collectors.tail.identity import FileKey, new_source
from collectors.tail.lines import Stretch
from collectors.tail.names import shown
from collectors.worker import Done, Work
from collectors.workers import Workers
from store.record.batch import Source

UNKNOWN = "unknown"
_MAX_SAID = 20
_BACKLOG_BYTES = 8 << 20  # so much to read at once that workers are worth their start
_GIVEN_BYTES = 512 << 10


class Outcome(enum.Enum):
    MORE = "more"  # there is more to read now
    END = "end"
    CHANGED = "changed"  # the file is not what it was: it must be read anew


class Stretched(NamedTuple):
    """A stretch that a worker has: its file, the source, and what the source was right after it."""

    file: TailedFile
    source: Source
    then: Source
    stretch: Stretch


class Reading:
    """Reads files into a Gather. `once`: what follows the last newline counts as well, if it is whole JSON."""

    def __init__(
        self,
        gather: Gather,
        summary: Summary,
        *,
        form_of: Callable[[str], Format | None],
        max_line_bytes: int,
        once: bool,
        say: Callable[[str], None],
        workers: Workers[Stretched],
    ) -> None:
        self._gather = gather
        self._summary = summary
        self._form_of = form_of
        self._max_line_bytes = max_line_bytes
        self._once = once
        self._say = say
        self._workers = workers
        self._counted: dict[FileKey, str] = {}
        self._unknown_files = 0

    def next(self, file: TailedFile) -> Outcome:
        """Read the next stretch of an open file. OSError where it cannot be read."""
        if file.format is None and not self._know_format(file):
            file.at_end = True
            return Outcome.END
        if file.mirror is not None:
            self.settle()  # it may go on from where another file is read up to
        start = file.source.offset
        stretch = file.read()
        if stretch.changed:
            self.settle()
            return Outcome.CHANGED
        if self._is_backlog(file, stretch):
            self._give(file, stretch, start)
            if stretch.more:
                return Outcome.MORE
            self.settle()
            stretch = Stretch()
        if stretch.lines:
            assert file.parser is not None, "a file with a format has a parser"
            parsed, file.parser = self._parse(file, file.parser, stretch.lines)
            file.save_parser()
            self._gather.add_parsed(file, parsed, len(stretch.lines), file.source.offset - start)
        if stretch.oversize:
            self._gather.add_oversize(file, stretch.oversize, self._max_line_bytes)
        if stretch.nul_bytes:
            self._say_nul_bytes(file, stretch)
        self._gather.put_source(file)
        if stretch.more:
            return Outcome.MORE
        if self._once and file.source.whole:
            self._reject_unended(file)
        elif self._once:
            self._read_unended(file)
        return Outcome.END

    @property
    def any_out(self) -> bool:
        """True while workers have stretches whose lines are in no batch yet."""
        return self._workers.any_out

    def take(self, *, wait: bool = False) -> None:
        """Add to the batch what workers have done; `wait`: at least one stretch, if any is out."""
        for given, done in self._workers.take(wait=wait or self._workers.is_full()):
            self._finish(given, done)

    def settle(self) -> None:
        """Wait for all that is out: after it, every source says what its parser knows."""
        while self._workers.any_out:
            self.take(wait=True)

    def _is_backlog(self, file: TailedFile, stretch: Stretch) -> bool:
        if self._workers.is_out(file.source.source_id):
            return True
        if not self._workers.usable or file.source.whole or not stretch.more or not stretch.lines:
            return False
        if file.source.lines == len(stretch.lines):
            return False  # read here, to see whether the parser carries anything from line to line
        return stretch.size_bytes - file.source.offset >= _BACKLOG_BYTES

    def _give(self, file: TailedFile, stretch: Stretch, start: int) -> None:
        """Hand the stretch, and more of the same file, to a worker."""
        while stretch.more and file.source.offset - start < _GIVEN_BYTES:
            further = file.read()
            if further.changed:
                break  # the next read says so again
            stretch.lines += further.lines
            stretch.oversize += further.oversize
            stretch.nul_bytes += further.nul_bytes
            stretch.more = further.more
        if stretch.nul_bytes:
            self._say_nul_bytes(file, stretch)
        source = file.source
        # a parser that has read lines and has no state takes each line by itself: any worker may read on
        by_itself = not source.parser_state
        state = source.parser_state if by_itself or not self._workers.is_out(source.source_id) else None
        work = Work(source.source_id, source.path, source.agent, pickle.dumps(file.format), state, stretch.lines)
        given = Stretched(file, source, msgspec.structs.replace(source), stretch)
        self._workers.give(work, given, lambda: source.parser_state)
        self.take()

    def _finish(self, given: Stretched, done: Done) -> None:
        file, source, then = given.file, given.source, given.then
        source.parser_state = then.parser_state = done.state
        if done.said is not None:
            self._say(f"{shown(source.path)}: {done.said}")
        self._gather.add_done(file, then, given.stretch.lines, done)
        if given.stretch.oversize:
            self._gather.add_oversize(file, given.stretch.oversize, self._max_line_bytes)
        then.rejected = source.rejected
        if file.source is source:
            file.saved = then
            if file.format is not None and not self._workers.is_out(source.source_id):
                file.parse_as(file.format)

    def say_rest(self) -> None:
        """Count the files of no known format that were not named one by one."""
        if self._unknown_files > _MAX_SAID:
            self._say(f"{self._unknown_files - _MAX_SAID} more files were not read; andon doctor lists every source")

    def _know_format(self, file: TailedFile) -> bool:
        source = file.source
        declared = self._form_of(source.path)
        if declared is not None and source.format not in (None, declared.name):
            self._start_over(file)
        stored = file.source.format
        form = declared or (by_name(stored) if stored else None)
        if form is None and stored is None:
            form = self._recognise(file)
        elif form is None:
            self._unknown(file, f"its format {shown(stored or '')} is not known to this Andon")
        elif stored is None and form.whole and document_in(file.content) is not None:
            file.be_document()
        if form is None:
            self._gather.put_source(file)
            return False
        file.parse_as(form)
        if file.source.state == "unreadable" and not is_trouble(file.source.message):
            file.source.state, file.source.message = "following", None
        self._count_file(file, form.name)
        return True

    def _recognise(self, file: TailedFile) -> Format | None:
        size_bytes = file.content.size()
        if size_bytes < file.source.size_bytes:
            file.head_is_final = False
        file.note_size(size_bytes, time.time_ns())
        if file.head_is_final:
            return None
        why_not = unreadable_as_text(file.content)
        if why_not is not None:
            file.head_is_final = True
            self._unknown(file, why_not)
            return None
        head, file.head_is_final = head_lines(file.content, self._max_line_bytes, with_unended=self._once)
        form = recognise(head)
        if form is None or form.whole:
            document = document_in(file.content)
            as_document = recognise([document], whole=True) if document is not None else None
            if as_document is not None:
                file.be_document()
                return as_document
            if document is None and may_become_document(file.content) and not self._once:
                file.head_is_final = False
                self._count_file(file, UNKNOWN)
                return form
        if form is None and head:
            self._unknown(file, "its format is not known; it was not read")
        elif form is None:
            self._count_file(file, UNKNOWN)
        return form

    def _unknown(self, file: TailedFile, reason: str) -> None:
        if file.source.message != reason or self._counted.get(file.key) is None:
            self._unknown_files += 1
            self._summary.not_read[reason] = self._summary.not_read.get(reason, 0) + 1
            if self._unknown_files <= _MAX_SAID:
                self._say(f"{shown(file.source.path)}: {reason}")
        file.source.state, file.source.message = "unreadable", reason
        self._count_file(file, UNKNOWN)

    def _count_file(self, file: TailedFile, name: str) -> None:
        before = self._counted.get(file.key)
        if before == name:
            return
        self._counted[file.key] = name
        if before is None:
            self._summary.files += 1
        else:
            self._summary.of_format(before)["files"] -= 1
            if not any(self._summary.of_format(before).values()):
                del self._summary.by_format[before]
        self._summary.of_format(name)["files"] += 1

    def _start_over(self, file: TailedFile) -> None:
        """Another format was asked for than the one it was read as: read it again, which by key is harmless."""
        fresh = new_source(file.source.path, file.key, file.source.size_bytes)
        fresh.source_id, fresh.agent = file.source.source_id, file.source.agent
        file.source = fresh
        file.hold(os.dup(file.descriptor))

    def _parse(self, file: TailedFile, parser: Parser, lines: list[Line]) -> tuple[Parsed, Parser]:
        assert file.format is not None, "a file with a parser has a format"
        parsed, parser, said = parse_lines(file.format, file.facts(), parser, file.source.parser_state, lines)
        if said is not None:
            self._say(f"{shown(file.source.path)}: {said}")
        return parsed, parser

    def _say_nul_bytes(self, file: TailedFile, stretch: Stretch) -> None:
        self._say(f"{shown(file.source.path)}: {stretch.nul_bytes:,} NUL bytes before a line were skipped")

    def _reject_unended(self, file: TailedFile) -> None:
        """A document that is not whole when everything is read: kept as a reject, and read once it is whole."""
        if not file.source.pending_bytes:
            return
        data = file.content.pread(MAX_DOCUMENT_BYTES, 0)
        parsed = Parsed(bad=[BadLine(Line(0, data), "not one whole JSON value")])
        self._gather.add_parsed(file, parsed, 1, len(data))

    def _read_unended(self, file: TailedFile) -> None:
        """Read a last line without newline, if it is a whole JSON object. Neither offset nor parser state moves."""
        if not file.source.pending_bytes:
            return
        found = file.unended()
        if found is None or not is_whole(found[0].data):
            self._say(
                f"{shown(file.source.path)}: its last line has no end yet ({file.source.pending_bytes:,} bytes); "
                "it is read once it is complete"
            )
            return
        line, parser = found
        parsed, _ = self._parse(file, parser, [line])
        parsed.bad, parsed.unknown_types = [], {}
        self._gather.add_parsed(file, parsed, 1, len(line.data))
