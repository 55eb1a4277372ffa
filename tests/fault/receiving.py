"""A real `andon collect --listen` in a process of its own, and how much memory it ever had."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.fault.feeding import until

MIB = 1 << 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    store: Path, *addresses: str, env: Mapping[str, str] | None = None, stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """A collector that has no files, and no config but that of an empty folder beside the store."""
    command = [sys.executable, "-m", "console.cli.main", "collect", "--store", str(store)]
    command += ["--config", str(store.parent / "config")]
    for address in addresses:
        command += ["--listen", address]
    return subprocess.Popen(
        command, stderr=stderr, stdin=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})}
    )


def serves(port: int) -> bool:
    """True once it answers; what it answers leaves nothing in the store."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 404
    except httpx.HTTPError:
        return False


@contextmanager
def receiving(store: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """It serves within this, and ends well."""
    process = start(store, f"127.0.0.1:{port}")
    try:
        until(lambda: process.poll() is not None or serves(port), "the receiver serves")
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


def memory_bytes(process: subprocess.Popen[str], name: str) -> int:
    """`VmRSS`: what is resident now; `VmHWM`: the most that ever was since `forget_peak`."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name}")


def forget_peak(process: subprocess.Popen[str]) -> None:
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
