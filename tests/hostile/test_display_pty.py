"""The console in a terminal of its own: what its bytes are, that it is silent when nothing changes, how it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.folder import StoreFolder

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = """
import sys
from pathlib import Path
from tests.hostile.test_display import PAYLOADS, hostile_reader
from tests.snapshot.fleet import fixed_app
fixed_app(Path(sys.argv[1]), hostile_reader("".join(PAYLOADS.values()))).run(mouse=False)
"""
CALM = """
import sys
from pathlib import Path
from tests.snapshot.fleet import fixed_app
fixed_app(Path(sys.argv[1])).run(mouse=False)
"""
REAL = """
import sys
from pathlib import Path
from console.context import Context
from console.launch import run_console
from store.folder import StoreFolder
sys.exit(run_console(Context(store=StoreFolder(Path(sys.argv[1])).prepare(), actor="sre@bastion-1")))
"""
# What Textual itself says to a terminal; nothing else that begins with ESC may come out.
ALLOWED = re.compile(
    rb"\x1b\[[0-9;]*m|\x1b\[[0-9]{1,2};[0-9]{1,3}H|\x1b\[H|\x1b\[\?[0-9]+[hl]|\x1b\[\?[0-9]+\$p|\x1b\[[<>][0-9]*u"
    rb"|\x1b\]22;(?:default|text|pointer)\x07"  # the shape of the mouse pointer
)


class Terminal:
    """One program under a pty of 100x30."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.process = process
        self.output = b""

    def read_for(self, seconds: float) -> bytes:
        """What comes within that time."""
        began = len(self.output)
        end_s = time.monotonic() + seconds
        while (left := end_s - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.output += os.read(self.master, 65536)
                except OSError:  # the program has ended
                    break
        return self.output[began:]

    def read_until(self, text: bytes, within_s: float = 30.0) -> None:
        began = len(self.output)
        end_s = time.monotonic() + within_s
        while text not in self.output[began:]:
            assert time.monotonic() < end_s, f"{text!r} never came: {self.output[-2000:]!r}"
            self.read_for(0.05)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())


@contextmanager
def terminal(program: str, folder: Path, **environ: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SSH_", "TEXTUAL", "TMUX"))}
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        env=env | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)} | environ,
        start_new_session=True,
    )
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)


def test_only_bytes_of_our_own_drawing_reach_the_terminal(tmp_path: Path) -> None:
    with terminal(HOSTILE, tmp_path) as screen:
        screen.read_until(b"by trouble")
        for keys, shown in (("s", b"by newest"), ("\r", b"from the log"), ("j", b""), ("j", b""), ("b", b"unmapped")):
            screen.press(keys)
            if shown:
                screen.read_until(shown)
            screen.read_for(0.3)
        screen.press("K")
        screen.read_until(b"alive")
        screen.press("\x1b")
        screen.read_for(0.5)
        rest = ALLOWED.sub(b"", screen.output)
        assert b"\x1b" not in rest, rest[max(0, rest.index(b"\x1b") - 40) :][:120]
        text = rest.decode("utf-8")
        steering = {char for char in text if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0} - {"\r", "\n"}
        assert not steering
        assert not set(text) & set("\u202e\u2066\u2069\u200b\u2060\ufeff\u2028\u2029")
        assert screen.process.poll() is None


def test_nothing_changed_no_bytes(tmp_path: Path) -> None:
    with terminal(CALM, tmp_path) as screen:
        screen.read_until(b"open incident")
        for _ in range(20):
            if not screen.read_for(1.0):
                break
        assert screen.read_for(3.0) == b"", "three rounds of asking changed nothing, so nothing was drawn"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_clean(number: signal.Signals, folder: StoreFolder) -> None:
    with terminal(REAL, folder.path) as screen:
        before = termios.tcgetattr(screen.master)
        screen.read_until(b"ANDON")
        screen.read_until(b"NO STORE")
        screen.process.send_signal(number)
        screen.read_until(b"\x1b[?1049l")
        screen.read_for(0.5)
        assert screen.process.wait(10) == 0
        assert b"\x1b[?25h" in screen.output[screen.output.rindex(b"\x1b[?1049") - 200 :]
        assert b"Traceback" not in screen.output
        assert termios.tcgetattr(screen.master) == before


def test_the_mouse_is_off_over_ssh(folder: StoreFolder) -> None:
    with terminal(REAL, folder.path, SSH_TTY="/dev/pts/9") as screen:
        screen.read_until(b"ANDON")
        screen.read_for(0.3)
        assert b"\x1b[?1000h" not in screen.output
