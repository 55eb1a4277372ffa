"""The switch folder as a guard reads it: the union of switches.json, kills/ and STOP, or why not to trust it."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

SCHEMA = 1
KINDS = ("agent", "tenant", "user", "session", "tool")
VERBS = ("halt", "deny_tools")
MAX_FILE_BYTES = 4 << 20
MAX_MARKERS = 10_000
_LAST_NS = 253_402_300_799 * 1_000_000_000  # the end of the year 9999: a file may carry any time stamp
FILE = "switches.json"
KILLS = "kills"
GUARDS = "guards"
STOP = "STOP"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that someone put there must not hang the agent
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unverified(Exception):  # noqa: N818 - a finding about the folder, not an error of ours
    """The folder is there and cannot be trusted; the message says what about it."""


class Missing(Unverified):
    """A part of the folder is not there."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One standing kill. `parts` are raw (kind, value) pairs that must all hold; none at all is everything.

    `at` is ISO 8601, `source` the file it stands in (a path inside the folder), `shown` the scope as it may
    be stored, where that differs.
    """

    kill_id: str
    scope: str
    verb: str
    by: str
    at: str
    reason: str
    parts: tuple[tuple[str, str], ...]
    source: str
    shown: str | None = None

    def touches_agent(self, agent: str) -> bool:
        return all(value == agent for kind, value in self.parts if kind == "agent")


@dataclass(frozen=True, slots=True)
class Contents:
    """The whole folder: every standing kill, in no order; one id twice where a marker is not merged yet."""

    rev: int
    rules: tuple[Rule, ...]


Signature = tuple[int, int, int, int, int, int, int]


def signature(folder: str, file: str, kills: str) -> Signature:
    """Changes when a switch does: ctime, inode and size of what can carry one. OSError where one is missing.

    The folder's own ctime stands for STOP and for what is renamed into it. This is the whole cost of a check
    when nothing changed, so it is three system calls and nothing else.
    """
    top, doc, markers = os.lstat(folder), os.lstat(file), os.lstat(kills)
    return (
        top.st_ctime_ns, top.st_ino, doc.st_ctime_ns, doc.st_ino, doc.st_size, markers.st_ctime_ns, markers.st_ino,
    )  # fmt: skip


def read_folder(folder: str, trusted_uids: frozenset[int]) -> Contents:
    """Read all of it anew. Unverified (or Missing) where any part cannot be trusted.

    Markers are read before the file: a publisher writes a marker's kill into the file before it removes the
    marker, so whichever way the race falls, one of the two has it.
    """
    try:
        top = os.open(folder, _OPEN_DIR)
    except FileNotFoundError:
        raise Missing(f"{folder} does not exist") from None
    except OSError as error:
        raise Unverified(f"{folder} cannot be opened as a folder: {error.strerror}") from None
    try:
        _trust(os.fstat(top), folder, trusted_uids)
        markers = _markers(top, trusted_uids)
        rev, rules = _document(_read(top, FILE, trusted_uids))
        return Contents(rev, (*rules, *markers, *_stop_file(top)))
    finally:
        os.close(top)


def iso(at_ns: int) -> str:
    """ISO 8601 UTC with microseconds, exactly; a float would round."""
    seconds, rest = divmod(min(max(at_ns, 0), _LAST_NS), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _trust(found: os.stat_result, name: str, trusted_uids: frozenset[int]) -> None:
    if found.st_uid not in trusted_uids:
        raise Unverified(f"{name} belongs to uid {found.st_uid}, which is not trusted")
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise Unverified(f"{name} can be written by others (mode {stat.S_IMODE(found.st_mode):04o})")


def _read(folder: int, name: str, trusted_uids: frozenset[int]) -> object:
    try:
        descriptor = os.open(name, _OPEN_FILE, dir_fd=folder)
    except FileNotFoundError:
        raise Missing(f"{name} does not exist") from None
    except OSError as error:  # a symlink ends here as ELOOP
        raise Unverified(f"{name} cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Unverified(f"{name} is not a regular file")
        _trust(found, name, trusted_uids)
        data = bytearray()
        while len(data) <= MAX_FILE_BYTES and (piece := os.read(descriptor, MAX_FILE_BYTES + 1 - len(data))):
            data += piece
    except OSError as error:
        raise Unverified(f"{name} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if not data:
        raise Unverified(f"{name} is empty")
    if len(data) > MAX_FILE_BYTES:
        raise Unverified(f"{name} is larger than {MAX_FILE_BYTES} bytes")
    try:
        return json.loads(bytes(data).decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise Unverified(f"{name} is not valid JSON") from None


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):  # the last of two would silently win
        raise ValueError("a key occurs twice")
    return found


def _markers(top: int, trusted_uids: frozenset[int]) -> tuple[Rule, ...]:
    try:
        kills = os.open(KILLS, _OPEN_DIR, dir_fd=top)
    except FileNotFoundError:
        raise Missing(f"{KILLS}/ does not exist") from None
    except OSError as error:
        raise Unverified(f"{KILLS}/ cannot be opened as a folder: {error.strerror}") from None
    try:
        _trust(os.fstat(kills), f"{KILLS}/", trusted_uids)
        listed = os.listdir(kills)  # noqa: PTH208 - of a descriptor
        names = [name for name in listed if name.endswith(".json") and not name.startswith(".")]
        if len(names) > MAX_MARKERS:
            raise Unverified(f"{KILLS}/ has more than {MAX_MARKERS} files")
        rules = []
        for name in names:
            try:
                marker = _read(kills, name, trusted_uids)
            except Missing:  # merged and removed since we listed it: the file, read next, has it
                continue
            rules.append(_rule(_versioned(marker, f"{KILLS}/{name}").get("switch"), f"{KILLS}/{name}"))
        return tuple(rules)
    except OSError as error:
        raise Unverified(f"{KILLS}/ cannot be read: {error.strerror}") from None
    finally:
        os.close(kills)


def _stop_file(top: int) -> tuple[Rule, ...]:
    """Anything named STOP stops everything, whatever it is and whoever made it."""
    try:
        found = os.stat(STOP, dir_fd=top, follow_symlinks=False)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Unverified(f"{STOP} cannot be looked at: {error.strerror}") from None
    kill_id, by, at = f"STOP-{found.st_mtime_ns}", f"uid {found.st_uid}", iso(found.st_mtime_ns)
    return (Rule(kill_id, "all", "halt", by, at, "the file STOP exists", (), STOP),)


def _document(document: object) -> tuple[int, tuple[Rule, ...]]:
    ours = _versioned(document.get("andon") if isinstance(document, dict) else None, FILE)
    rev, switches = ours.get("rev"), ours.get("switches")
    if not isinstance(rev, int) or not isinstance(switches, list):
        raise Unverified(f"{FILE} has the wrong schema: rev or switches")
    return rev, tuple(_rule(entry, FILE) for entry in switches)


def _versioned(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict) or type(value.get("schema")) is not int or value["schema"] != SCHEMA:
        raise Unverified(f"{name} has the wrong schema: this guard reads schema {SCHEMA}")
    return value


def _rule(entry: object, name: str) -> Rule:
    if not isinstance(entry, dict):
        raise Unverified(f"{name} has the wrong schema: a switch is not an object")
    texts: dict[str, str] = {}
    for key in ("kill_id", "scope", "verb", "by", "at", "reason"):
        text = entry.get(key)
        if not isinstance(text, str) or (not text and key != "reason"):
            raise Unverified(f"{name} has the wrong schema: {key} of a switch")
        texts[key] = text
    if texts["verb"] not in VERBS:
        raise Unverified(f"{name} has the wrong schema: a verb this guard does not know")
    shown = entry.get("shown")
    parts = _parts(texts["scope"], name)
    return Rule(**texts, parts=parts, source=name, shown=shown if isinstance(shown, str) else None)


def _parts(scope: str, name: str) -> tuple[tuple[str, str], ...]:
    if scope == "all":
        return ()
    parts: dict[str, str] = {}
    for part in scope.split("+"):
        kind, _, value = part.partition(":")
        if kind not in KINDS or not value or kind in parts:  # a kind asked for twice would never match
            raise Unverified(f"{name} has the wrong schema: a scope this guard does not know")
        parts[kind] = unquote(value, errors="surrogateescape")
    return tuple(parts.items())
