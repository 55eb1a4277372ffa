"""Saved sources that no file is bound to, and how an open file finds the one that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from collectors.tail.content import Content
from collectors.tail.identity import HEAD_BYTES, FileKey, Verdict, digest, is_sound, key_of, verdict
from store.record.batch import Source


class Orphans:
    """Saved sources that no open file is bound to: by (device, inode), and by what they start with."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._by_key: dict[FileKey, list[Source]] = {}
        self._by_head: dict[int, dict[bytes, list[Source]]] = {}
        self._documents: dict[str, Source] = {}
        self.unsound: list[Source] = []
        for source in sources:
            if is_sound(source):
                self.add(source)
            else:
                self.unsound.append(source)

    def __contains__(self, key: FileKey) -> bool:
        return key in self._by_key

    def add(self, source: Source) -> None:
        self._by_key.setdefault(key_of(source), []).append(source)
        if source.whole:
            self._documents[source.path] = source
        elif source.offset > 0:
            heads = self._by_head.setdefault(source.head_length, {})
            heads.setdefault(source.head_hash, []).append(source)

    def holds(self, source: Source) -> bool:
        return any(one is source for one in self._by_key.get(key_of(source), ()))

    def remove(self, source: Source) -> bool:
        """False if it was not here."""
        if not self.holds(source):
            return False
        key = key_of(source)
        self._by_key[key] = [one for one in self._by_key[key] if one is not source]
        if not self._by_key[key]:
            del self._by_key[key]
        heads = self._by_head.get(source.head_length, {})
        if source.head_hash in heads:
            heads[source.head_hash] = [one for one in heads[source.head_hash] if one is not source]
        return True

    def at(self, key: FileKey) -> list[Source]:
        """The sources of this inode: those that are followed first, then the furthest."""
        return sorted(self._by_key.get(key, []), key=lambda s: (s.state == "finished", -s.offset))

    def document_at(self, path: str) -> Source | None:
        """The document that lay at `path`, an orphan no more: a new version of it often is a new file."""
        source = self._documents.pop(path, None)
        return source if source is not None and self.remove(source) else None

    def following(self) -> Iterable[Source]:
        return [source for own in self._by_key.values() for source in own if source.state == "following"]

    def adopt(self, content: Content, key: FileKey, replaced: Callable[[Source, Verdict], None]) -> Source | None:
        """The source that the open file is, by inode, else by content; it is an orphan no more.

        `replaced` is called for each followed source whose inode this is and whose bytes are not there any more.
        """
        same: Source | None = None
        for source in self.at(key):
            if source.whole:
                continue  # a document is known by its path
            answer = verdict(content, source)
            if answer is Verdict.SAME and same is None:
                same = source
            elif answer is not Verdict.SAME and source.state in ("following", "unreadable") and source.offset:
                replaced(source, answer)
        if same is None or not same.offset:
            same = self._by_content(content) or same
        if same is not None:
            self.remove(same)
        return same

    def _by_content(self, content: Content) -> Source | None:
        start = content.pread(HEAD_BYTES, 0)
        for length, heads in self._by_head.items():
            if heads and length <= len(start):
                for source in heads.get(digest(start[:length]), ()):
                    if verdict(content, source) is Verdict.SAME:
                        return source
        return None
