"""What cannot be brought back, and what else is to be written of sources that are not read just now."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from collectors.tail.content import Trouble, is_trouble
from collectors.tail.file import TailedFile
from collectors.tail.identity import FileKey, new_source
from collectors.tail.names import shown
from store.record.batch import Gap, Source


class Losses:
    """Gathers gaps and changed sources until they are taken, and says each once."""

    def __init__(self, say: Callable[[str], None], quiet_s: float) -> None:
        self._say = say
        self._quiet_s = quiet_s
        self._gaps: list[Gap] = []
        self._changed: dict[str, Source] = {}
        self._packed: set[TailedFile] = set()  # packed files whose end was not looked at yet

    @property
    def any(self) -> bool:
        return bool(self._gaps or self._changed)

    def take(self) -> tuple[list[Gap], list[Source]]:
        """All that was gathered since the last call; the sources as they are now."""
        gaps, self._gaps = self._gaps, []
        changed, self._changed = self._changed, {}
        return gaps, [msgspec.structs.replace(source) for source in changed.values()]

    def changed(self, source: Source) -> None:
        """The source is to be written as it is when it is taken."""
        self._changed[source.source_id] = source

    def ended(self, source: Source, why: str, *, known_only: bool, state: str, all_read: bool = False) -> None:
        """Say that a source ends here, and count what of it was not read.

        `known_only`: a gap only where unread bytes were seen; else also where nobody knows. `all_read`: nothing is
        lost, whatever its size says.
        """
        unread = 0 if all_read else max(0, source.size_bytes - source.offset)
        reason = f"{why}; read up to byte {source.offset:,}"
        if unread or not known_only:
            self._gap(source, unread or None, reason)
        self._say(f"{shown(source.path)}: {reason}" + (f", {unread:,} bytes are lost" if unread else ""))
        source.state, source.message = state, reason
        source.pending_bytes, source.pending_since_ns = 0, None
        self.changed(source)

    def dropped(self, source: Source) -> None:
        """The saved place of a source was damaged: its file is read again as a new one, which by key is harmless."""
        reason = "its saved place was damaged, so it is read again from its start"
        self._say(f"{shown(source.path)}: {reason}")
        none = new_source(source.path, FileKey(0, 0), 0)
        none.source_id, none.state, none.message = source.source_id, "finished", reason
        self.changed(none)

    def watch_packed(self, file: TailedFile) -> None:
        """The file is about to be read: when its end is reached, look whether that is an end."""
        self._packed.add(file)

    def forget(self, file: TailedFile) -> None:
        self._packed.discard(file)

    def look_at_packed(self, *, final: bool) -> None:
        """Packed files that cannot be read to their end: one that ends too early may still be written for a while.

        `final`: nobody reads on, so it is cut off.
        """
        for file in list(self._packed):
            if not file.is_open:
                self._packed.discard(file)
            if not file.is_open or not file.at_end or file.queued or file.mirror is not None:
                continue
            trouble, source = file.trouble, file.source
            if trouble is Trouble.CUT and not final and time.monotonic() - file.used_s < self._quiet_s:
                continue
            self._packed.discard(file)
            if trouble is not None:
                self._in_trouble(source, f"{trouble.value}; read up to byte {source.offset:,}")
            elif is_trouble(source.message):
                source.state, source.message = "following", None
                self.changed(source)

    def _in_trouble(self, source: Source, reason: str) -> None:
        if source.message == reason:
            return  # it was said, in this run or one before
        self._gap(source, None, reason)
        self._say(f"{shown(source.path)}: {reason}")
        source.state, source.message = "unreadable", reason
        self.changed(source)

    def _gap(self, source: Source, lost_bytes: int | None, reason: str) -> None:
        self._gaps.append(Gap(path=source.path, at_ns=time.time_ns(), lost_bytes=lost_bytes, reason=reason))
