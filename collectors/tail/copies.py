"""Copies of files that are followed: their lines are read once, from the original.

`cp a.log a.log.1`, `gzip -c a.log > a.log.1.gz` and the copy that logrotate's copytruncate makes all hold bytes that
are read already, or will be. While a file is byte for byte the start of another one that is followed, it waits. When
the original is truncated or goes away, the copy takes its place, with its offset and its parser's state.
"""

from __future__ import annotations

import os
import re

from collectors.tail.content import Packed
from collectors.tail.file import TailedFile
from collectors.tail.identity import HEAD_BYTES, TAIL_BYTES, digest
from collectors.tail.names import shown
from store.record.batch import Source

_ROTATED = re.compile(r"([.-](?:[0-9][0-9A-Za-z_:.-]*|gz|bak|old|orig|copy))+$", re.IGNORECASE)
_STEP_BYTES = 64 << 10


def kin_name(path: str) -> str:
    """What a file and its rotated copies have in common: `a.log` of `/logs/a.log-20260131.gz`."""
    name = os.path.basename(path)  # noqa: PTH119
    return _ROTATED.sub("", name) or name


class Kin:
    """Files that are followed, by what they and their rotated copies are called."""

    def __init__(self) -> None:
        self._files: dict[str, set[TailedFile]] = {}

    def add(self, file: TailedFile) -> None:
        file.kin = kin_name(file.source.path)
        self._files.setdefault(file.kin, set()).add(file)

    def discard(self, file: TailedFile) -> None:
        own = self._files.get(file.kin, set())
        own.discard(file)
        if not own:
            self._files.pop(file.kin, None)

    def original_of(self, copy: TailedFile) -> TailedFile | None:
        """The file that `copy`, an open one that nothing is known of, starts like; OSError where it cannot be read."""
        own = self._files.get(kin_name(copy.source.path))
        if not own:
            return None
        start = copy.content.pread(HEAD_BYTES, 0)
        for file in sorted(own, key=lambda file: -file.source.offset):
            if (
                file is copy
                or file in copy.unlike
                or file.mirror is not None
                or not file.is_open
                or file.content.packed
            ):
                continue
            theirs = file.content.pread(HEAD_BYTES, 0)
            same = start.startswith(theirs) or theirs.startswith(start)
            if same and theirs and file.source.agent == copy.source.agent:
                return file
        return None

    def has_new(self, path: str) -> bool:
        """True where a file of that name, rotated or not, is followed of which nothing was read yet."""
        return any(not file.source.offset for file in self._files.get(kin_name(path), ()))

    def copies_of(self, original: TailedFile) -> list[TailedFile]:
        """The files that wait for `original`."""
        return [file for own in self._files.values() for file in own if file.mirrors(original)]


def settle_copy(copy: TailedFile, original: Source) -> bool:
    """The original ends. True if all of the copy was read in it: the copy is finished then, after its last newline."""
    assert copy.mirror is not None, "it waited for the original"
    if not copy.is_open:
        return False
    content = copy.content
    known = content.unpacked if isinstance(content, Packed) else content.size()
    if not 0 < known == copy.mirror.same_up_to < original.offset:
        return False
    end, step = known, _STEP_BYTES
    while end and (newline := content.pread(min(step, end), max(0, end - step)).rfind(b"\n")) < 0:
        end = max(0, end - step)
    offset = max(0, end - step) + newline + 1 if end else 0
    source = copy.source
    source.offset, source.size_bytes, source.format = offset, known, original.format
    head = content.pread(min(offset, HEAD_BYTES), 0)
    tail = content.pread(min(offset, TAIL_BYTES), max(0, offset - TAIL_BYTES))
    source.head_length, source.head_hash = len(head), digest(head)
    source.tail_length, source.tail_hash = len(tail), digest(tail)
    source.state, source.message = "finished", f"it is a copy of {shown(original.path)}, where its lines were read"
    copy.take(source)
    copy.at_end = True
    return True
