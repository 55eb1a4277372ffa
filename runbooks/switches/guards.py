"""The guards on a switch folder: what each says in its file, and whether it can still be alive.

A guard file is a claim of whoever owns it, and its content is untrusted text. What is proven here is only that
a process of this host is gone.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from andon_guard import process as guard_process

from runbooks.switches.document import ns_of
from runbooks.switches.folder import SwitchFolder
from store.folder import StoreFolder

BEAT_NS = 2_000_000_000
SILENT_AFTER_NS = 3 * BEAT_NS  # K18
_MAX_BYTES = 512 * 1024
_MAX_TEXT = 500
_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of Linux: the same after every boot
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Ack:
    """A guard's answer to one kill. `held_ms` is by its own monotonic clock, since it saw the kill."""

    kill_id: str
    seen_ns: int
    held_ms: int
    holding: bool
    in_flight: tuple[str, ...]
    last_action: int


@dataclass(frozen=True, slots=True)
class GuardFile:
    """`agent` None: the file could not be read, so it may be any agent's. `life`: alive, silent, gone or ended.

    `heartbeat_ns` is when the file was last written, by the clock of the file system: the guard's own clock
    may be off.
    """

    instance: str
    agent: str | None
    host: str
    pid: int
    life: str
    heartbeat_ns: int
    owner_uid: int
    started_ns: int | None = None
    last_action: int | None = None
    fail_open: bool = False
    blocked: str | None = None
    acks: Mapping[str, Ack] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Here:
    """The process table in which we can look for a pid."""

    host: str
    boot_id: str
    machine_id: str
    pid_namespace: str


def guards(folder: StoreFolder, now_ns: int, *, switches: SwitchFolder | None = None) -> tuple[GuardFile, ...]:
    """Every guard file, by instance. A file that cannot be read is listed as silent, never dropped."""
    where = SwitchFolder.of(folder, switches)
    try:
        names = sorted(path.name for path in where.guards.iterdir())
    except OSError:
        return ()
    here = _here()
    found = [
        _read(where.guards / name, here, now_ns)
        for name in names
        if name.endswith(".json") and not name.startswith(".")
    ]
    return tuple(guard for guard in found if guard is not None)


def _read(path: Path, here: _Here, now_ns: int) -> GuardFile | None:
    instance = path.name.removesuffix(".json")
    try:
        found = path.lstat()
        document = _load(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return GuardFile(instance, None, "unknown", 0, "silent", 0, -1)
    host, pid, start = _text(document, "host"), _number(document, "pid"), _number(document, "start")
    agent = _text(document, "agent")
    if document.get("instance") != instance or not agent or pid <= 0:
        return GuardFile(instance, None, host or "unknown", pid, "silent", found.st_mtime_ns, found.st_uid)
    if document.get("ended_at"):
        life = "ended"
    elif is_gone(document, pid, start, here):
        life = "gone"
    else:
        life = "silent" if abs(now_ns - found.st_mtime_ns) > SILENT_AFTER_NS else "alive"
    return GuardFile(
        instance=instance,
        agent=agent,
        host=host,
        pid=pid,
        life=life,
        heartbeat_ns=found.st_mtime_ns,
        owner_uid=found.st_uid,
        started_ns=ns_of(document.get("started_at")),
        last_action=_number(document, "last_action"),
        fail_open=document.get("fail_open") is True,
        blocked=_text(document, "blocked") or None,
        acks=_acks(document.get("acks")),
    )


def is_gone(document: Mapping[str, object], pid: int, start: int, here: _Here) -> bool:
    """True only where it is proven: this host's process table has no such process any more.

    A pid counts in its own pid namespace and boot only. After a reboot of this very machine everything that
    ran outside containers is gone.
    """
    if _text(document, "host") != here.host or not here.pid_namespace or not here.boot_id:
        return False
    if document.get("pid_namespace") != here.pid_namespace:
        return False
    if document.get("boot_id") != here.boot_id:
        same_machine = bool(here.machine_id) and document.get("machine_id") == here.machine_id
        return same_machine and here.pid_namespace == _FIRST_PID_NAMESPACE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass  # it exists; hidepid may keep /proc from us, then nothing is proven
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        state, threads, started = fields[0], int(fields[17]), int(fields[19])
    except (OSError, IndexError, ValueError):
        return False
    # a zombie runs nothing, unless only its first thread has ended
    return started != start or (state in {"Z", "X"} and threads <= 1)


def _here() -> _Here:
    own = guard_process.this_process()
    return _Here(socket.gethostname(), own.boot_id, own.machine_id, own.pid_namespace)


def _load(path: Path) -> Mapping[str, object]:
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        data = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MAX_BYTES:
        raise ValueError("too large")
    document = json.loads(data)
    if not isinstance(document, dict) or document.get("schema") != 1:
        raise ValueError("not a guard file")
    return document


def _acks(value: object) -> dict[str, Ack]:
    found = {}
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict) or (seen_ns := ns_of(item.get("seen_at"))) is None:
            continue
        flying = item.get("in_flight")
        ack = Ack(
            kill_id=_text(item, "kill_id"),
            seen_ns=seen_ns,
            held_ms=_number(item, "held_ms"),
            holding=item.get("holding") is True,
            in_flight=tuple(str(text)[:_MAX_TEXT] for text in flying) if isinstance(flying, list) else (),
            last_action=_number(item, "last_action"),
        )
        found[ack.kill_id] = ack
    return found


def _text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _number(document: Mapping[str, object], key: str) -> int:
    value = document.get(key)
    return value if type(value) is int and 0 <= value < 1 << 63 else 0
