"""One file's next stretch, from bytes to the batch: recognise, read, parse, reject, save."""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Callable

import msgspec

from collectors.formats import by_name, recognise
from collectors.formats.base import BadLine, Format, Line, Parsed, Parser
from collectors.gather import Gather
from collectors.summary import Summary
from collectors.tail.file import TailedFile
from collectors.tail.head import head_lines, unreadable_as_text
from collectors.tail.identity import FileKey, new_source
from collectors.tail.names import shown

UNKNOWN = "unknown"
_MAX_SAID = 20


class Outcome(enum.Enum):
    MORE = "more"  # there is more to read now
    END = "end"
    CHANGED = "changed"  # the file is not what it was: it must be read anew


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
    ) -> None:
        self._gather = gather
        self._summary = summary
        self._form_of = form_of
        self._max_line_bytes = max_line_bytes
        self._once = once
        self._say = say
        self._counted: dict[FileKey, str] = {}
        self._unknown_files = 0

    def next(self, file: TailedFile) -> Outcome:
        """Read the next stretch of an open file. OSError where it cannot be read."""
        if file.format is None and not self._know_format(file):
            file.at_end = True
            return Outcome.END
        start = file.source.offset
        stretch = file.read()
        if stretch.changed:
            return Outcome.CHANGED
        if stretch.lines:
            assert file.parser is not None, "a file with a format has a parser"
            parsed = self._parse(file, file.parser, stretch.lines)
            file.save_parser()
            self._gather.add_parsed(file, parsed, len(stretch.lines), file.source.offset - start)
        if stretch.oversize:
            self._gather.add_oversize(file, stretch.oversize, self._max_line_bytes)
        if stretch.nul_bytes:
            self._say(f"{shown(file.source.path)}: {stretch.nul_bytes:,} NUL bytes before a line were skipped")
        self._gather.put_source(file)
        if stretch.more:
            return Outcome.MORE
        if self._once:
            self._read_unended(file)
        return Outcome.END

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
        if form is None:
            self._gather.put_source(file)
            return False
        file.parse_as(form)
        if file.source.state == "unreadable":
            file.source.state, file.source.message = "following", None
        self._count_file(file, form.name)
        return True

    def _recognise(self, file: TailedFile) -> Format | None:
        size_bytes = os.fstat(file.descriptor).st_size
        if size_bytes < file.source.size_bytes:
            file.head_is_final = False
        file.note_size(size_bytes, time.time_ns())
        if file.head_is_final:
            return None
        why_not = unreadable_as_text(file.descriptor)
        if why_not is not None:
            file.head_is_final = True
            self._unknown(file, why_not)
            return None
        head, file.head_is_final = head_lines(file.descriptor, self._max_line_bytes, with_unended=self._once)
        form = recognise(head)
        if form is None and head:
            self._unknown(file, "its format is not known; it was not read")
        elif form is None:
            self._count_file(file, UNKNOWN)
        return form

    def _unknown(self, file: TailedFile, reason: str) -> None:
        if file.source.message != reason or self._counted.get(file.key) is None:
            self._unknown_files += 1
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

    def _parse(self, file: TailedFile, parser: Parser, lines: list[Line]) -> Parsed:
        try:
            return parser.parse(lines)
        except Exception as error:  # noqa: BLE001 - one line that a parser cannot bear must not stop all others
            self._say(f"{shown(file.source.path)}: the parser failed ({type(error).__name__}); its line is rejected")
        form = file.format
        assert form is not None, "a file with a parser has a format"
        whole = Parsed()
        state = file.source.parser_state
        for line in lines:
            one = form.parser(file.facts(), state)
            try:
                parsed = one.parse([line])
                state = one.state()
            except Exception as error:  # noqa: BLE001 - as above
                whole.bad.append(BadLine(line, f"the parser failed: {type(error).__name__}"))
                continue
            whole.spans += parsed.spans
            whole.bad += parsed.bad
            for name, count in parsed.unknown_types.items():
                whole.unknown_types[name] = whole.unknown_types.get(name, 0) + count
        file.parser = form.parser(file.facts(), state)
        return whole

    def _read_unended(self, file: TailedFile) -> None:
        """Read a last line without newline, if it is a whole JSON object. Neither offset nor parser state moves."""
        if not file.source.pending_bytes:
            return
        found = file.unended()
        if found is None or not _is_object(found[0].data):
            self._say(
                f"{shown(file.source.path)}: its last line has no end yet ({file.source.pending_bytes:,} bytes); "
                "it is read once it is complete"
            )
            return
        line, parser = found
        parsed = self._parse(file, parser, [line])
        parsed.bad, parsed.unknown_types = [], {}
        self._gather.add_parsed(file, parsed, 1, len(line.data))


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
