"""Paths as an operator reads them, and what they lead to."""

from __future__ import annotations

import os
import resource

from collectors.tail.file import NotAFile
from collectors.tail.identity import FileKey

MAX_OPEN = 256


def shown(path: str) -> str:
    """A path on one line: what does not print is written as an escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in path)


def reason_of(error: OSError) -> str:
    """What is wrong with a path, in a few words."""
    if isinstance(error, NotAFile):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    return f"it cannot be read ({error.strerror or error})"


def leads_to(path: str, key: FileKey) -> bool:
    """True if the path, through links, is that very file now."""
    try:
        return FileKey.of(os.stat(path)) == key  # noqa: PTH116
    except OSError:
        return False


def open_limit() -> int:
    """How many files may be held open at once: at most half of what the process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(MAX_OPEN, soft // 2 if soft > 0 else MAX_OPEN))
