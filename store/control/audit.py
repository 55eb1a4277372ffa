"""The audit chain: every row's hash covers the row before it; a head file beside it notices a cut tail.

The chain alone finds an edited, deleted or moved row. It cannot see that the newest rows were cut off: so
`audit.head` keeps the number and the hash of the newest. Who can rewrite both can rewrite history; copy the
head elsewhere (a log host) where that matters.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GENESIS = "0" * 64
HEAD_NAME = "audit.head"
_COLUMNS = "seq, entry_id, at_ns, actor, action, subject, detail, prev, hash"
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`actor` and `detail` are as they were given; `hash` covers all the rest and `prev`."""

    seq: int
    entry_id: str
    at_ns: int
    actor: Mapping[str, Any]
    action: str
    subject: str
    detail: Mapping[str, Any]
    prev: str
    hash: str

    @property
    def by(self) -> str:
        return str(self.actor.get("label", "unknown"))


@dataclass(frozen=True, slots=True)
class BadRow:
    """The first row that is not as it was written, and what is wrong with it."""

    seq: int
    why: str


def canonical(value: object) -> str:
    """One text for one value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def append(
    connection: sqlite3.Connection,
    *,
    entry_id: str,
    at_ns: int,
    actor: Mapping[str, object],
    action: str,
    subject: str,
    detail: Mapping[str, object],
) -> tuple[int, str]:
    """Add a row inside the caller's transaction; returns its number and hash. IntegrityError: entry_id is known."""
    last = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchall()
    seq, prev = (last[0][0] + 1, last[0][1]) if last else (1, GENESIS)
    texts = (entry_id, at_ns, canonical(actor), action, subject, canonical(detail), prev)
    digest = _digest(seq, *texts)
    connection.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (seq, *texts, digest))
    return seq, digest


def rows(connection: sqlite3.Connection) -> tuple[AuditRow, ...]:
    """All rows, oldest first. A row whose JSON was broken by hand is shown with what can be read."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq").fetchall()
    return tuple(
        AuditRow(seq, entry_id, at_ns, _loads(actor), action, subject, _loads(detail), prev, digest)
        for seq, entry_id, at_ns, actor, action, subject, detail, prev, digest in found
    )


def verify(connection: sqlite3.Connection, head_path: Path) -> BadRow | None:
    """The first bad row, or None. A seq beyond the last row means: rows are missing there."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq").fetchall()
    prev, expected = GENESIS, 1
    for seq, entry_id, at_ns, actor, action, subject, detail, own_prev, digest in found:
        if seq != expected:
            return BadRow(expected, f"row {expected} is missing: the next one is {seq}")
        if own_prev != prev:
            return BadRow(seq, f"row {seq} does not follow the row before it: one of them was changed or moved")
        if _digest(seq, entry_id, at_ns, actor, action, subject, detail, own_prev) != digest:
            return BadRow(seq, f"row {seq} was changed after it was written")
        prev, expected = digest, seq + 1
    return _compare_head([(row[0], row[8]) for row in found], head_path)


def _compare_head(found: list[tuple[int, str]], head_path: Path) -> BadRow | None:
    head = read_head(head_path)
    if head is None:
        if not found:
            return None
        return BadRow(len(found) + 1, f"{head_path.name} is missing or unreadable: rows may have been cut off the end")
    seq, digest = head
    if seq > len(found):
        return BadRow(len(found) + 1, f"rows {len(found) + 1} to {seq} were cut off the end")
    if seq and found[seq - 1][1] != digest:
        return BadRow(seq, f"row {seq} is not the one that {head_path.name} names: the chain was written anew")
    return None


def read_head(path: Path) -> tuple[int, str] | None:
    """Number and hash of the newest row when the file was last written; None where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return _parse_head(os.read(descriptor, _HEAD_BYTES))
    finally:
        os.close(descriptor)


def write_head(path: Path, seq: int, digest: str) -> None:
    """Move the head on to (seq, digest), never back: of two writers the later row wins. OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        known = _parse_head(os.read(descriptor, _HEAD_BYTES))
        if known is not None and known[0] >= seq:
            return
        text = f"{canonical({'seq': f'{seq:020d}', 'hash': digest})}\n".encode()  # always as long as the one before
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse_head(data: bytes) -> tuple[int, str] | None:
    try:
        value = json.loads(data)
        return int(value["seq"]), str(value["hash"])
    except (ValueError, KeyError, TypeError):
        return None


def _digest(seq: int, entry_id: str, at_ns: int, actor: str, action: str, subject: str, detail: str, prev: str) -> str:
    return hashlib.sha256(canonical([seq, entry_id, at_ns, actor, action, subject, detail, prev]).encode()).hexdigest()


def _loads(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {"unreadable": text}
    return value if isinstance(value, dict) else {"unreadable": text}
