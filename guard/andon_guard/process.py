"""Who this process is, in words another process can check: host, pid, start time."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

_UNSAFE = re.compile(r"[^A-Za-z0-9._]")  # a `-` parts host, pid and start
_HOST_CHARS = 64


@dataclass(frozen=True, slots=True)
class Process:
    """`start` is the kernel's start time in clock ticks since boot, so that a reused pid is told apart.

    `boot_id`, `machine_id` and `pid_namespace` say in whose process table the pid counts; empty where the
    system has none of them, and then nobody can prove this process gone.
    """

    host: str
    pid: int
    start: int
    uid: int
    boot_id: str
    machine_id: str
    pid_namespace: str

    @property
    def name(self) -> str:
        return f"{_UNSAFE.sub('_', self.host)[:_HOST_CHARS]}-{self.pid}-{self.start}"


def this_process() -> Process:
    pid = os.getpid()
    return Process(
        host=socket.gethostname(),
        pid=pid,
        start=_start_ticks(pid),
        uid=os.geteuid(),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        machine_id=_text("/etc/machine-id"),
        pid_namespace=_namespace(),
    )


def _start_ticks(pid: int) -> int:
    stat = _text(f"/proc/{pid}/stat")
    if not stat:  # no /proc: a time that no later process of this pid repeats
        return time.time_ns()
    return int(stat.rpartition(")")[2].split()[19])  # field 22; the name before it may hold spaces


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
