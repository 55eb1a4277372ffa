"""Which files are read, under which names, and which of the saved sources each of them is.

A name that leads to another file than before was rotated: the old file is read to its end through its handle, the
new one after it. A source whose file cannot be found again is counted as a gap; nothing goes away silently.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from collectors.tail.content import content_of, is_trouble
from collectors.tail.copies import Kin, settle_copy
from collectors.tail.file import NEVER, NotAFile, Seen, TailedFile, open_regular, regular
from collectors.tail.identity import FileKey, Verdict, key_of, new_source, verdict
from collectors.tail.lines import MAX_LINE_BYTES
from collectors.tail.losses import Losses
from collectors.tail.mirror import Mirror
from collectors.tail.names import leads_to, open_limit, reason_of, shown
from collectors.tail.orphans import Orphans
from store.record.batch import Gap, Source

QUIET_S = 30.0


class Selects(Protocol):
    """Which paths are wanted (collectors.discover.Selection)."""

    def accepts(self, path: str) -> bool: ...

    def is_family(self, path: str) -> bool: ...

    def named(self) -> set[str]: ...


class Roster:
    """Files by (device, inode) and by name. Nothing here is written: `take_losses` hands over what must be."""

    def __init__(
        self,
        sources: Iterable[Source],
        selection: Selects,
        *,
        agent_of: Callable[[str], str | None],
        say: Callable[[str], None],
        max_line_bytes: int = MAX_LINE_BYTES,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._selection = selection
        self._agent_of = agent_of
        self._say = say
        self._max_line_bytes = max_line_bytes
        self._quiet_s = quiet_s
        self._max_open = open_limit()
        self._opened = 0
        self._files: dict[FileKey, TailedFile] = {}
        self._names: dict[str, TailedFile] = {}
        self._unnamed: set[TailedFile] = set()
        self._kin = Kin()
        self._doubtful: list[tuple[Source, Verdict]] = []
        self._problems: dict[str, str] = {}
        self._orphans = Orphans(sources)
        self._undeclared = True
        self._losses = Losses(say, quiet_s)
        for source in self._orphans.unsound:
            self._losses.dropped(source)

    @property
    def files(self) -> list[TailedFile]:
        return list(self._files.values())

    @property
    def unnamed(self) -> bool:
        """True while files are read that have no name any more: only looking shows whether they grow."""
        return bool(self._unnamed)

    def sight_all(self, paths: list[str]) -> list[TailedFile]:
        """Take in what a whole look at the disk found; the files to read, old before new."""
        seen: list[tuple[str, os.stat_result]] = []
        for path in [*paths, *self._family()]:
            found = self._stat(path)
            if found is not None:
                seen.append((path, found))
        # those that are known come first: a copy must not take the place of its original
        seen.sort(key=lambda item: FileKey.of(item[1]) not in self._orphans)
        to_read = [file for path, found in seen for file in self._sight(path, found)]
        here = {path for path, _ in seen}
        gone = [file for file in self.files if file.path is not None and file.path not in here]
        to_read += [file for file in gone if not self._settle(file)]
        self._judge_replaced()
        self._declare_lost()
        return to_read

    def sight(self, path: str) -> list[TailedFile]:
        """Take in that something happened at `path`; the files to read."""
        known = self._names.get(path) or self._names.get(os.path.realpath(path))
        if known is None and not self._selection.accepts(path):
            return []
        if known is not None and path not in self._names:
            path = os.path.realpath(path)
        found = self._stat(path)
        if found is None:
            return [known] if known is not None and not self._settle(known) else []
        to_read = self._sight(path, found)
        if known is not None and known not in to_read and self._files.get(known.key) is known:
            to_read.append(known)
        return to_read

    def knows(self, path: str) -> bool:
        return path in self._names

    def look_at_unnamed(self) -> list[TailedFile]:
        """The files without a name that grew; those that were quiet for long are finished."""
        to_read = []
        for file in list(self._unnamed):
            quiet = file.at_end and not file.queued and time.monotonic() - file.used_s >= self._quiet_s
            if file.is_open and file.grew():
                to_read.append(file)
            elif quiet or not file.is_open:
                self._finish(file)
        return to_read

    def open(self, file: TailedFile) -> list[TailedFile]:
        """Make sure that the file is open and still what it was: `[file]`. Else what is to be read in its stead."""
        if file.is_open:
            return self._ready(file)
        if file.path is None:
            self._finish(file)
            return []
        try:
            descriptor, found = open_regular(file.path)
        except OSError as error:
            self.fail(file, error)
            return []
        try:
            same = FileKey.of(found) == file.key and verdict(content_of(descriptor), file.source) is Verdict.SAME
            if same:
                file.hold(os.dup(descriptor), same_inode=True)
                self._well(file)
                self._limit_open(file)
                return self._ready(file)
        except OSError as error:
            self.fail(file, error)
            return []
        finally:
            os.close(descriptor)
        path = file.path
        self._forget(file)
        self._orphans.add(file.source)
        self._release_copies(file)
        to_read = self.sight(path)
        if file.source.state == "following" and self._orphans.holds(file.source):
            self._lost(file.source, "it was replaced", known_only=True)
        return to_read

    def _ready(self, file: TailedFile) -> list[TailedFile]:
        """An open file, before it is read: one that nothing was read of yet may be a copy of another."""
        try:
            if file.content.packed:
                self._losses.watch_packed(file)
            if not (file.source.offset or file.is_its_own or file.mirror) and file.content.pread(1, 0):
                original = self._kin.original_of(file)
                file.mirror = Mirror(original) if original is not None else None
                file.is_its_own = original is None
        except OSError as error:
            self.fail(file, error)
            return []
        return [file]

    def fail(self, file: TailedFile, error: OSError) -> None:
        """Reading failed: say so once, and look again when the file changes or at the next whole look."""
        self._problem(file.path or file.source.path, error)
        self._unreadable(file.source, error)
        file.close()
        file.seen = NEVER

    def cut(self, file: TailedFile, paths: list[str]) -> list[TailedFile]:
        """The file was truncated or written anew: read it from 0, and its copy, if there is one, from the offset."""
        found = os.fstat(file.descriptor)
        fresh = TailedFile.new(file.source.path, file.key, found, self._max_line_bytes)
        fresh.source.agent = file.source.agent
        fresh.path = file.path
        try:
            fresh.hold(file.give_up_descriptor())
        except OSError as error:
            self.fail(fresh, error)
        names = set(file.names)
        self._forget(file)
        self._files[file.key] = fresh
        for name in names:
            self._name(name, fresh)
        self._kin.add(fresh)
        if fresh.path is None:
            self._unnamed.add(fresh)
        self._orphans.add(file.source)
        self._release_copies(file)
        to_read = self.sight_all(paths)
        if self._orphans.holds(file.source):
            self._lost(file.source, "it was truncated or written anew", known_only=True)
        return [*(one for one in to_read if one is not fresh), fresh]

    @property
    def has_losses(self) -> bool:
        """True if `take_losses` has anything to hand over."""
        self._losses.look_at_packed(final=False)
        return self._losses.any

    def take_losses(self) -> tuple[list[Gap], list[Source]]:
        """Gaps, and sources that are not read any more, since the last call; they are to be written."""
        return self._losses.take()

    def settle_all(self, *, final: bool = False) -> None:
        """The end is near: files without a name that were read to their end are finished.

        `final`: nobody reads on, so a packed file that ends too early is cut off, not still being written.
        """
        if final:
            self._losses.look_at_packed(final=True)
        for file in list(self._unnamed):
            if file.at_end and not file.queued:
                self._finish(file)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _family(self) -> list[str]:
        """Rotated copies of files that were named themselves: the same inode under a name that goes on from it."""
        paths: list[str] = []
        named = self._selection.named()
        for source in self._orphans.following() if self._undeclared else ():
            folder, name = os.path.split(source.path)
            if source.path not in named or leads_to(source.path, key_of(source)) or not os.path.isdir(folder):  # noqa: PTH112
                continue
            with os.scandir(folder) as entries:
                paths += [
                    entry.path
                    for entry in entries
                    if entry.name.startswith((name + ".", name + "-")) and entry.inode() == source.inode
                ]
        return paths

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return regular(os.stat(path))  # noqa: PTH116
        except OSError as error:
            self._problem(path, error)
            return None

    def _sight(self, path: str, found: os.stat_result) -> list[TailedFile]:
        key, seen = FileKey.of(found), Seen.of(found)
        to_read: list[TailedFile] = []
        before = self._names.get(path)
        if before is not None and before.key != key:
            if before.source.whole:
                self._give_up(before)
            elif not self._settle(before):
                to_read.append(before)
        file = self._files.get(key)
        if file is None:
            file = self._bind(path)
            if file is None:
                return to_read
            file.after = before if before in to_read else None
            return [*to_read, file]
        self._name(path, file)
        if file.path is None or (file.path != path and not leads_to(file.path, key)):
            self._rename(file, path)
        if file.seen != seen:
            file.seen = seen
            to_read.append(file)
        return to_read

    def _give_up(self, file: TailedFile) -> None:
        """A document was written anew as another file: its source goes on with that one."""
        self._forget(file)
        file.close()
        self._orphans.add(file.source)

    def _settle(self, file: TailedFile) -> bool:
        """Find a name that still leads to the file; False if none does, and it is now read through its handle."""
        if file.path is None:
            return True
        for name in sorted(file.names):
            if leads_to(name, file.key):
                if name != file.path and not leads_to(file.path, file.key):
                    self._rename(file, name)
            else:
                self._unname(name, file)
        if leads_to(file.path, file.key):
            return True
        file.path = None
        file.used_s = time.monotonic()
        if file.is_open:
            self._unnamed.add(file)
            return False
        self._finish(file)
        return True

    def _rename(self, file: TailedFile, path: str) -> None:
        file.path = path
        file.source.path = path
        self._unnamed.discard(file)
        if file.mirror is None:
            self._losses.changed(file.source)

    def _bind(self, path: str) -> TailedFile | None:
        """Open `path` and find the source that it is, or make one."""
        try:
            descriptor, found = open_regular(path)
        except OSError as error:
            self._problem(path, error)
            if not isinstance(error, NotAFile):
                self._bind_unreadable(path, error)
            return None
        key = FileKey.of(found)
        try:
            source = self._orphans.adopt(content_of(descriptor), key, self._replaced)
            source = source or self._orphans.document_at(path)
            same_inode = source is not None and key_of(source) == key
            source = source or new_source(path, key, found.st_size)
            source.path, source.device, source.inode = path, key.device, key.inode
            source.agent = self._agent_of(path) or source.agent
            file = TailedFile(source, path, key, Seen.of(found), self._max_line_bytes)
            file.hold(os.dup(descriptor), same_inode=same_inode)
        except OSError as error:
            self._problem(path, error)
            self._bind_unreadable(path, error)
            return None
        finally:
            os.close(descriptor)
        self._files[key] = file
        self._kin.add(file)
        self._name(path, file)
        self._name(os.path.realpath(path), file)
        self._problems.pop(path, None)
        self._well(file)
        self._limit_open(file)
        return file

    def _bind_unreadable(self, path: str, error: OSError) -> None:
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError:
            return  # it went meanwhile
        known = self._orphans.at(FileKey.of(found))
        source = known[0] if known else new_source(path, FileKey.of(found), found.st_size)
        if not known:
            self._orphans.add(source)
        self._unreadable(source, error)

    def _unreadable(self, source: Source, error: OSError) -> None:
        source.state, source.message = "unreadable", reason_of(error)
        self._losses.changed(source)

    def _well(self, file: TailedFile) -> None:
        if file.source.state != "following" and not is_trouble(file.source.message):
            file.source.state, file.source.message = "following", None
            self._losses.changed(file.source)

    def _replaced(self, source: Source, why: Verdict) -> None:
        """The file of `source` is another one now, and was not watched when that happened; its copy may be found."""
        self._doubtful.append((source, why))

    def _judge_replaced(self) -> None:
        """After a look at everything: say of which replaced sources no copy was found."""
        doubtful, self._doubtful = self._doubtful, []
        for source, why in doubtful:
            ours = self._selection.accepts(source.path) or self._selection.is_family(source.path)
            if not ours or not self._orphans.holds(source):
                continue  # where it is not ours to judge, it is said when its own path is collected
            reason = "it was truncated" if why is Verdict.SHORTER else "it was replaced or written anew"
            if self._undeclared:
                reason += " while nobody collected"
            self._lost(source, reason, known_only=not self._undeclared)

    def _release_copies(self, original: TailedFile) -> None:
        """A followed file is no more what it was: its copies are found again, and may go on where it was read up to."""
        for copy in self._kin.copies_of(original):
            try:
                settled = settle_copy(copy, original.source)
            except OSError:
                settled = False  # it is said when it is opened again
            if settled:
                self._losses.changed(copy.source)
            else:
                self._forget(copy)
                copy.close()

    def _declare_lost(self) -> None:
        """After the first look: a source in our part of the disk that no file was found for."""
        if not self._undeclared:
            return
        self._undeclared = False
        for source in list(self._orphans.following()):
            if self._selection.accepts(source.path) or self._selection.is_family(source.path):
                # one that was empty cannot be told by its bytes; a new file of its name is read from its start
                known_only = not source.size_bytes and self._kin.has_new(source.path)
                self._lost(
                    source,
                    "it was rotated away or deleted while nobody collected",
                    known_only=known_only,
                    state="missing",
                )

    def _lost(self, source: Source, why: str, *, known_only: bool, state: str = "finished") -> None:
        """Say that a source ends here; nothing is lost where a copy of it is read on, nor of a whole document."""
        place = (source.source_id, source.offset)
        if any(file.branched_from == place for file in self._files.values()):
            self._losses.ended(source, f"{why}, and its copy is read on", known_only=True, state=state, all_read=True)
        else:
            known_only = known_only or source.whole
            self._losses.ended(source, why, known_only=known_only, state=state, all_read=source.whole)

    def _finish(self, file: TailedFile) -> None:
        """A file without a name was read to its end and is quiet: close it."""
        source = file.source
        self._forget(file)
        file.close()
        if file.mirror is not None:
            return  # a copy that went away: its lines are those of the original
        unread = max(0, source.size_bytes - source.offset)
        if unread and source.format is not None:
            self._lost(source, "it was deleted or rotated away with an unfinished last line", known_only=True)
        else:
            source.message = "it was deleted or rotated away, and read to its end"
        source.state = "finished"
        self._losses.changed(source)
        self._orphans.add(source)
        self._release_copies(file)

    def _forget(self, file: TailedFile) -> None:
        self._kin.discard(file)
        self._losses.forget(file)
        if self._files.get(file.key) is file:
            del self._files[file.key]
        for name in list(file.names):
            self._unname(name, file)
        self._unnamed.discard(file)

    def _name(self, name: str, file: TailedFile) -> None:
        before = self._names.get(name)
        if before is not None and before is not file:
            before.names.discard(name)
        self._names[name] = file
        file.names.add(name)

    def _unname(self, name: str, file: TailedFile) -> None:
        if self._names.get(name) is file:
            del self._names[name]
        file.names.discard(name)

    def _problem(self, path: str, error: OSError) -> None:
        """Say once what is wrong with a path; a file that went away is a problem only where it was named itself."""
        reason = reason_of(error)
        if isinstance(error, FileNotFoundError) and (
            path in self._names or not (os.path.islink(path) or path in self._selection.named())  # noqa: PTH114
        ):
            return
        if self._problems.get(path) != reason:
            self._problems[path] = reason
            self._say(f"{shown(path)}: {reason}")

    def _limit_open(self, newest: TailedFile) -> None:
        """Keep the number of open files bounded: those that were quiet for longest are closed, and found again."""
        self._opened += 1
        if self._opened <= self._max_open:
            return
        holding = [file for file in self._files.values() if file.is_open]
        idle = [file for file in holding if file is not newest and file.path is not None]
        idle.sort(key=lambda file: (not file.at_end, file.used_s))
        for file in idle[: max(0, len(holding) - self._max_open + self._max_open // 4)]:
            file.close()
        self._opened = sum(file.is_open for file in holding)
