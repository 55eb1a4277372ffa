"""From what the operator names to files: a file, a folder (recursive, by ending), or a glob."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_ENDING = re.compile(r"\.(jsonl|ndjson|json|traj|log)([.-][0-9][0-9A-Za-z_:.-]*)?(\.gz)?$", re.IGNORECASE)
_COMPRESSED = (".zst", ".bz2", ".xz", ".zip")


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that gives no file, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Found:
    """Files by the name they were found under, in a steady order; folders to watch; what gave nothing."""

    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    deep: set[str] = field(default_factory=set)  # folders to watch with all that is below
    flat: set[str] = field(default_factory=set)  # folders to watch themselves

    def add(self, path: str) -> None:
        self.files.append(path)
        if os.path.islink(path):  # noqa: PTH114
            # what happens to its target is told of the target's folder
            self.flat.add(_nearest_folder(os.path.realpath(path)))


class Selection:
    """What `andon collect PATH...` names. Paths are made absolute at once; whether they exist is asked each time."""

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self._paths = [os.path.abspath(os.path.expanduser(path)) for path in paths]  # noqa: PTH100, PTH111
        self._names = self._with_real()
        self._named: set[str] = set()

    def expand(self) -> Found:
        """Look at the disk. Never raises: what cannot be looked at is a problem."""
        found = Found()
        self._names = self._with_real()
        self._named = set()
        for path in self._paths:
            if _is_glob(path):
                self._glob(path, found)
            elif os.path.isdir(path):  # noqa: PTH112
                _walk(path, found)
            else:
                found.flat.add(_nearest_folder(path))
                found.add(path)
                self._named.add(path)
        found.files = list(dict.fromkeys(found.files))
        return found

    def accepts(self, path: str) -> bool:
        """True if `path`, were it a file, would be found."""
        return any(_accepts(own, path) for own in self._names)

    def is_family(self, path: str) -> bool:
        """True if `path` is named like a rotated copy of a file that was named itself: `agent.log.1`."""
        return any(path.startswith((own + ".", own + "-")) for own in self._paths)

    def named(self) -> set[str]:
        """The paths that are no glob: as the last `expand` saw them, neither is any of them a folder."""
        return self._named

    def concerns(self, folder: str) -> bool:
        """True if a new folder of that name may hold, or lead to, what is selected."""
        return any(_concerns(own, folder) for own in self._names)

    def _with_real(self) -> list[str]:
        """Each path as it was given and, through links, as file events name it."""
        names = list(self._paths)
        for path in self._paths:
            if _is_glob(path):
                base, _ = _base_of(path)
                names.append(os.path.realpath(base).rstrip("/") + "/" + path[len(base) :].lstrip("/"))
            else:
                names.append(os.path.realpath(path))
        return list(dict.fromkeys(names))

    def _glob(self, pattern: str, found: Found) -> None:
        base, last_only = _base_of(pattern)
        (found.flat if last_only else found.deep).add(_nearest_folder(os.path.join(base, "x")))  # noqa: PTH118
        matches = sorted(glob.glob(pattern, recursive=True, include_hidden=True))  # noqa: PTH207 - absolute, with **
        if not matches:
            found.problems.append(Problem(pattern, "nothing matches it yet"))
        for match in matches:
            if not os.path.isdir(match):  # noqa: PTH112
                found.add(match)
            elif "**" not in pattern:
                _walk(match, found)


def has_log_ending(name: str) -> bool:
    """`x.jsonl`, `x.ndjson`, `x.json`, `x.traj`, `x.log`, and rotated: `x.log.1`, `x.jsonl-20260131.gz`."""
    return bool(_ENDING.search(name)) and not name.lower().endswith(_COMPRESSED)


def _walk(folder: str, found: Found) -> None:
    """Add the files below `folder`; a linked folder is entered once, so that a loop ends."""
    found.deep.add(folder)
    entered: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        found.problems.append(Problem(str(error.filename), error.strerror or "cannot be read"))

    for here, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        try:
            stat = os.stat(here)  # noqa: PTH116
        except OSError as error:
            unreadable(error)
            folders.clear()
            continue
        key = (stat.st_dev, stat.st_ino)
        if key in entered:
            folders.clear()
            continue
        entered.add(key)
        folders.sort()
        for name in sorted(names):
            if has_log_ending(name):
                found.add(os.path.join(here, name))  # noqa: PTH118


def _accepts(own: str, path: str) -> bool:
    if own == path:
        return True
    logs = has_log_ending(path)
    if not _is_glob(own):
        return logs and path.startswith(own.rstrip("/") + "/")
    pattern = _pattern(own)
    if pattern.fullmatch(path):
        return True
    # a folder that the glob matches is taken whole
    return logs and any(pattern.fullmatch(str(parent)) for parent in Path(path).parents)


def _concerns(own: str, folder: str) -> bool:
    above, below = folder.rstrip("/") + "/", own.rstrip("/") + "/"
    if not _is_glob(own):
        return own.startswith(above) or folder.startswith(below) or own == folder
    base, last_only = _base_of(own)
    if base.startswith(above) or base == folder:
        return True
    return bool(_pattern(own).fullmatch(folder)) if last_only else folder.startswith(base.rstrip("/") + "/")


def _is_glob(path: str) -> bool:
    return glob.has_magic(path) and not os.path.lexists(path)


def _base_of(pattern: str) -> tuple[str, bool]:
    """The folder before the first wildcard, and True if the wildcards stand in the last part only."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first]) or "/", first == len(parts) - 1 and parts[first] != "**"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """The glob as an expression over whole paths; `*` and `?` stay within one part of the path."""
    out = []
    at = 0
    while at < len(text):
        if text.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif text.startswith("**", at):
            out.append(".*")
            at += 2
        elif text[at] in "*?":
            out.append("[^/]*" if text[at] == "*" else "[^/]")
            at += 1
        elif text[at] == "[" and "]" in text[at + 2 :]:
            end = text.index("]", at + 2)
            body = text[at + 1 : end].replace("\\", "\\\\")
            out.append("[" + ("^" + body[1:] if body.startswith("!") else body.replace("^", "\\^", 1)) + "]")
            at = end + 1
        else:
            out.append(re.escape(text[at]))
            at += 1
    return re.compile("".join(out), re.DOTALL)


def _nearest_folder(path: str) -> str:
    """The folder of `path`, or the nearest one above that exists."""
    folder = os.path.dirname(path)  # noqa: PTH120
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):  # noqa: PTH112, PTH120
        folder = os.path.dirname(folder)  # noqa: PTH120
    return folder
