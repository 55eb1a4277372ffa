"""System calls that fail, or kill, at a chosen moment: strace does it, without a special file system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MUTATING = (
    *("write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate"),
    *("unlink", "unlinkat", "rename", "renameat", "mkdir", "chmod", "fchmod", "utimensat"),
)
_ONCE = """
import sys
from pathlib import Path
from collectors.collect import Collector
from store.folder import StoreFolder
Collector(StoreFolder(Path(sys.argv[1])), sys.argv[2:], workers=0).run_once()
"""
_CALL = re.compile(r"^\d+ +(\w+)\(")


def traced(out: Path, *options: str) -> list[str]:
    """The beginning of a command line under strace, whose trace goes into `out`.

    Without --seccomp-bpf: strace 6.1 injects nothing where that is on.
    """
    return ["strace", "-f", "-qq", "-o", str(out), *options]


@cache
def why_not() -> str | None:
    """Why calls cannot be made to fail here, or None."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        traced(Path(os.devnull), "-e", "inject=chdir:error=EIO:when=1", sys.executable, "-c", ""),
        capture_output=True,
        check=False,
    )
    return None if tried.returncode == 0 else "strace may not trace here"


needs_strace = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def reading_once(store: Path, *paths: Path) -> list[str]:
    return [sys.executable, "-c", _ONCE, str(store), *map(str, paths)]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def calls(command: list[str], out: Path) -> Counter[str]:
    """How often each mutating call is made by the command, which must end well."""
    done = run([*traced(out, "-e", "trace=" + ",".join(MUTATING)), *command])
    assert done.returncode == 0, done.stderr
    found = (_CALL.match(one) for one in out.read_text().splitlines())
    return Counter(one[1] for one in found if one is not None)
