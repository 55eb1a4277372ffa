"""What was done while control.db could not be written: one line each, merged into the audit chain at the next start."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from store.folder import StoreFolder

FILE_NAME = "audit.ndjson"
_MAX_BYTES = 64 << 20
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def append(folder: StoreFolder, entry: dict[str, Any]) -> None:
    """Add one line and fsync it. OSError."""
    folder.emergency.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder.emergency / FILE_NAME) as descriptor:
        size = os.fstat(descriptor).st_size
        # a line that a crash left half written must not swallow the next one
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if torn else b"") + json.dumps(entry).encode() + b"\n")
        os.fsync(descriptor)


def merge(folder: StoreFolder, take: Callable[[dict[str, Any]], None]) -> int:
    """Hand every line to `take`, then remove the file; returns their number. A line that is no JSON object is
    handed over as {"unreadable": text}. Where `take` raises, the file stays and is merged again next time.
    """
    path = folder.emergency / FILE_NAME
    if not path.exists():
        return 0
    with _locked(path) as descriptor:
        lines = os.pread(descriptor, _MAX_BYTES, 0).splitlines()
        entries = [_parse(line) for line in lines if line.strip()]
        for entry in entries:
            take(entry)
        path.unlink()
    return len(entries)


def pending(folder: StoreFolder) -> int:
    """How many lines wait to be merged."""
    try:
        return sum(1 for line in (folder.emergency / FILE_NAME).read_bytes().splitlines() if line.strip())
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file that `path` names, locked: one that was merged and removed while we waited is not it."""
    while True:
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                continue
            yield descriptor
            return
        finally:
            os.close(descriptor)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"unreadable": line.decode("utf-8", "replace")}
