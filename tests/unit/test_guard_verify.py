"""K7: what cannot be trusted blocks, says so, and is told apart from a kill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from andon_guard import Guard, GuardError, Halted
from andon_guard.switches import MAX_FILE_BYTES

from runbooks.switches.publish import initialise, rearm, standing, stop
from store.control import Actor
from store.folder import StoreError, StoreFolder
from store.record.scope import Scope

NOBODY = 65534
ENTRY = {"scope": "all", "verb": "halt", "kill_id": "k-1", "by": "a", "at": "2026-01-01T00:00:00Z", "reason": "r"}


@pytest.fixture
def folder(folder: StoreFolder) -> StoreFolder:
    initialise(folder)
    return folder


def document(**andon: object) -> str:
    return json.dumps({"flags": {}, "andon": {"schema": 1, "rev": 1, "switches": [], **andon}})


def with_entry(**changes: object) -> str:
    return document(switches=[{**ENTRY, **changes}])


CONTENT: dict[str, str | bytes] = {
    "empty": "",
    "white space": " \n",
    "half": document()[:-5],
    "not UTF-8": b"\xff\xfe{}",
    "a list": "[]",
    "a number": "1",
    "deep": "[" * 100_000,
    "no andon half": '{"flags": {}}',
    "andon is null": '{"andon": null}',
    "newer schema": document(schema=2),
    "schema is text": document(schema="1"),
    "schema is true": document(schema=True),
    "no rev": document(rev=None),
    "switches is an object": document(switches={}),
    "switches missing": '{"andon": {"schema": 1, "rev": 1}}',
    "a switch is text": document(switches=["all"]),
    "unknown verb": with_entry(verb="pause"),
    "unknown kind": with_entry(scope="model:x"),
    "no value": with_entry(scope="agent:"),
    "kind twice": with_entry(scope="agent:a+agent:b"),
    "scope missing": with_entry(scope=None),
    "kill id empty": with_entry(kill_id=""),
    "by is a number": with_entry(by=7),
    "a key twice": '{"andon": {"schema": 1, "rev": 1, "switches": [{}]}, "andon": '
    '{"schema": 1, "rev": 2, "switches": []}}',
    "oversized": document(pad="x" * MAX_FILE_BYTES),
}


def make_symlink(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_foreign(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, 12345)


NATURE: dict[str, Callable[[Path], None]] = {
    "symlink": make_symlink,
    "FIFO": make_fifo,
    "folder": make_folder,
    "group-writable": lambda path: path.chmod(0o620),
    "world-writable": lambda path: path.chmod(0o602),
    "foreign owner": make_foreign,
    "gone": lambda path: path.unlink(),
}


def blocked(guard: Guard) -> Halted:
    with pytest.raises(Halted) as caught:
        guard.check("llm", session="s")
    return caught.value


def is_blocked_then_recovers(folder: StoreFolder, spoil: Callable[[Path], None], target: Path) -> None:
    good = folder.switches / "switches.json"
    content = good.read_bytes()
    guard = Guard(agent="a", folder=folder.switches)
    try:
        guard.check("llm", session="s")
        spoil(target)
        halt = blocked(guard)
        assert halt.reason.startswith("blocked: unverified")
        assert (halt.kill_id, halt.scope, halt.verb) == (None, None, None)
        with pytest.raises(StoreError):
            standing(folder)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        if target == good:
            good.write_bytes(content)
            good.chmod(0o600)
        elif target.name in {"kills", "switches"}:
            target.mkdir(mode=0o700)
            initialise(folder)
        guard.check("llm", session="s")
    finally:
        guard.close()


@pytest.mark.parametrize("name", CONTENT)
def test_content_that_cannot_be_trusted_blocks(folder: StoreFolder, name: str) -> None:
    content = CONTENT[name]
    data = content if isinstance(content, bytes) else content.encode()

    def spoil(path: Path) -> None:
        path.write_bytes(data)

    is_blocked_then_recovers(folder, spoil, folder.switches / "switches.json")


@pytest.mark.parametrize("name", NATURE)
def test_a_file_that_cannot_be_trusted_blocks(folder: StoreFolder, name: str) -> None:
    is_blocked_then_recovers(folder, NATURE[name], folder.switches / "switches.json")


@pytest.mark.parametrize("name", ["empty", "half", "unknown verb"])
def test_a_marker_that_cannot_be_trusted_blocks(folder: StoreFolder, name: str) -> None:
    target = folder.switches / "kills" / "k-1.json"
    entry = {
        "empty": "",
        "half": '{"schema": 1, "sw',
        "unknown verb": json.dumps({"schema": 1, "switch": {"verb": "x"}}),
    }

    def spoil(path: Path) -> None:
        path.write_text(entry[name])
        path.chmod(0o600)

    is_blocked_then_recovers(folder, spoil, target)


@pytest.mark.parametrize("name", ["world-writable", "symlink", "foreign owner", "gone"])
@pytest.mark.parametrize("part", ["kills", "."])
def test_a_folder_that_cannot_be_trusted_blocks(folder: StoreFolder, name: str, part: str) -> None:
    def spoil(path: Path) -> None:
        if name == "gone":
            shutil.rmtree(path)
        else:
            NATURE[name](path)

    target = folder.switches if part == "." else folder.switches / part
    guard = Guard(agent="a", folder=folder.switches)
    try:
        guard.check("llm")
        spoil(target)
        assert blocked(guard).reason.startswith("blocked: unverified")
    finally:
        guard.close()


def test_an_unreadable_file_blocks(folder: StoreFolder) -> None:
    """As another user, because nothing is unreadable to root."""
    if os.geteuid() != 0:
        (folder.switches / "switches.json").chmod(0)
        guard = Guard(agent="a", folder=folder.switches)
        assert "cannot be read" in blocked(guard).reason
        guard.close()
        return
    script = (
        "import os, sys\n"
        f"sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "from andon_guard import Guard, Halted\n"
        f"os.chdir({str(folder.switches)!r}); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try:\n"
        "    Guard(agent='a', folder=os.getcwd()).check('llm')\n"
        "except Halted as halt:\n"
        "    print(halt.reason); os._exit(0)\n"
        "os._exit(1)\n"
    )
    (folder.switches / "switches.json").chmod(0)
    for inner in ("kills", "guards", "."):
        (folder.switches / inner).chmod(0o755)
    for parent in [folder.path, *folder.path.parents]:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(0o711)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "switches.json cannot be read" in done.stdout


@pytest.mark.parametrize("missing", ["folder", "switches.json", "kills", "guards"])
def test_a_guard_refuses_to_start_without_the_folder(folder: StoreFolder, missing: str) -> None:
    path = folder.switches if missing == "folder" else folder.switches / missing
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(GuardError, match="not initialised"):
        Guard(agent="a", folder=folder.switches)


def test_a_guard_starts_blocked_where_the_file_is_broken(folder: StoreFolder) -> None:
    (folder.switches / "switches.json").write_text("{")
    guard = Guard(agent="a", folder=folder.switches)
    try:
        assert "not valid JSON" in blocked(guard).reason
    finally:
        guard.close()


def test_fail_open_lets_through_but_keeps_what_was_stopped(folder: StoreFolder) -> None:
    guard = Guard(agent="a", folder=folder.switches, fail_open=True)
    try:
        stop(folder, Scope.of(session="s"), actor=Actor.current(), reason="r")
        blocked(guard)
        (folder.switches / "switches.json").write_text("broken")
        assert blocked(guard).kill_id is not None
        guard.check("llm", session="other")
        said = json.loads((folder.switches / "guards" / f"{guard.instance}.json").read_text())
        assert said["fail_open"] is True
    finally:
        guard.close()


def test_a_configured_owner_is_trusted(folder: StoreFolder) -> None:
    make_foreign(folder.switches / "switches.json")
    guard = Guard(agent="a", folder=folder.switches, trusted_uids=[12345])
    guard.check("llm")
    guard.close()


def test_a_heartbeat_that_cannot_be_written_never_reaches_the_agent(folder: StoreFolder) -> None:
    guard = Guard(agent="a", folder=folder.switches)
    try:
        shutil.rmtree(folder.switches / "guards")
        deadline = time.monotonic() + 10
        while guard.trouble is None:
            assert time.monotonic() < deadline
            guard.check("llm")
            time.sleep(0.01)
        kill = stop(folder, Scope(), actor=Actor.current(), reason="r")[0]
        assert blocked(guard).kill_id == kill.kill_id
        rearm(folder, kill.kill_id, Actor.current(), "r")
        guard.check("llm")
    finally:
        guard.close()
