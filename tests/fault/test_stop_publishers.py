"""Publishers against each other, against crashes and against a store that cannot be written."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from andon_guard import Guard, Halted

from runbooks.switches import emergency
from runbooks.switches.atomic import LockBusyError, publish, write_marker
from runbooks.switches.folder import SwitchError, SwitchFolder
from runbooks.switches.model import Kill
from runbooks.switches.publish import initialise, rearm, standing, stop
from runbooks.switches.reconcile import reconcile
from store.control import Actor, Control
from store.folder import StoreFolder
from store.record.scope import Scope

ME = Actor.current()
ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def folder(folder: StoreFolder) -> StoreFolder:
    initialise(folder)
    Control(folder).close()
    return folder


def publish_many(path: str, number: int, rounds: int) -> None:
    folder = StoreFolder(Path(path))
    for turn in range(rounds):
        kill, _ = stop(folder, Scope.of(session=f"s-{number}-{turn}"), actor=ME, reason="r")
        (folder.log / f"{kill.kill_id}.written").touch()


def rearm_many(path: str, seed: int, until: float) -> None:
    folder, choice = StoreFolder(Path(path)), random.Random(seed)
    while time.monotonic() < until:
        kills = standing(folder)
        if not kills:
            continue
        try:
            taken = rearm(folder, choice.choice(kills).kill_id, ME, "race")
        except SwitchError:  # someone else was first, or held the lock
            continue
        for kill in taken:
            (folder.log / f"{kill.kill_id}.rearmed").touch()


def run(processes: Sequence[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0


def named(folder: StoreFolder, suffix: str) -> set[str]:
    return {path.stem for path in folder.log.glob(f"*.{suffix}")}


def test_five_publishers_lose_no_kill(folder: StoreFolder) -> None:
    run([SPAWN.Process(target=publish_many, args=(str(folder.path), number, 20)) for number in range(5)])
    assert {kill.kill_id for kill in standing(folder)} == named(folder, "written")
    assert len(standing(folder)) == 100
    reconcile(folder, ME)
    with Control(folder) as control:
        assert control.verify_audit() is None
        assert sum(row.action == "kill" for row in control.audit_rows()) == 100


def test_a_kill_wins_every_race_with_a_rearming(folder: StoreFolder) -> None:
    """Each kill that was reported written stands at the end, unless a re-arming named that very kill."""
    until = time.monotonic() + 4.0
    racers = [SPAWN.Process(target=publish_many, args=(str(folder.path), number, 15)) for number in range(3)]
    racers += [SPAWN.Process(target=rearm_many, args=(str(folder.path), seed, until)) for seed in range(2)]
    run(racers)
    written, rearmed = named(folder, "written"), named(folder, "rearmed")
    stands = {kill.kill_id for kill in standing(folder)}
    assert len(written) == 45
    assert stands == written - rearmed
    reconcile(folder, ME)
    assert {kill.kill_id for kill in standing(folder)} == stands
    with Control(folder) as control:
        audited = {
            kill_id for row in control.audit_rows() if row.action == "rearm" for kill_id in row.detail["kill_ids"]
        }
    assert rearmed <= audited


def test_the_file_is_whole_whenever_a_publisher_is_killed(folder: StoreFolder) -> None:
    choice = random.Random(7)
    for round_number in range(8):
        process = SPAWN.Process(target=publish_many, args=(str(folder.path), round_number, 10_000))
        process.start()
        before = len(named(folder, "written"))
        deadline = time.monotonic() + 30
        while len(named(folder, "written")) < before + choice.randrange(1, 4) and time.monotonic() < deadline:
            time.sleep(choice.random() * 0.003)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        process.close()
        assert named(folder, "written") <= {kill.kill_id for kill in standing(folder)}
    reconcile(folder, ME)
    with Control(folder) as control:
        assert control.verify_audit() is None
        recorded = {row.kill_id for row in control.switch_history()}
    assert recorded == {kill.kill_id for kill in standing(folder)}


def mark_many(path: str, until: float) -> None:
    """Kills without the lock, one after the other merged and taken back."""
    folder, number = SwitchFolder(StoreFolder(Path(path)).switches), 0
    while time.monotonic() < until:
        number += 1
        kill = Kill(f"m-{number}", f"session:m-{number}", "halt", "me", 1, "r")
        write_marker(folder, kill)
        with contextlib.suppress(LockBusyError):
            publish(folder)
            publish(folder, remove=[kill.kill_id])


def test_no_publisher_ever_blocks_an_agent_that_is_not_meant(folder: StoreFolder) -> None:
    """Whatever moment a guard looks at, it finds the folder whole, and each kill in the file or its marker."""
    until = time.monotonic() + 5.0
    lasting = Kill("m-lasting", "session:stopped", "halt", "me", 1, "r")
    write_marker(SwitchFolder.of(folder), lasting)
    guard = Guard(agent="bystander", folder=folder.switches)
    processes = [
        SPAWN.Process(target=publish_many, args=(str(folder.path), 1, 30)),
        SPAWN.Process(target=mark_many, args=(str(folder.path), until)),
        SPAWN.Process(target=disturb, args=(str(folder.path), until)),
    ]
    for process in processes:
        process.start()
    checks = 0
    while any(process.is_alive() for process in processes):
        guard.done(guard.check("tool", session="other", tool="t"))
        with pytest.raises(Halted) as caught:
            guard.check("llm", session="stopped")
        assert caught.value.kill_id == "m-lasting"
        checks += 1
    for process in processes:
        process.join()
        assert process.exitcode == 0
    guard.close()
    assert checks > 100


def disturb(path: str, until: float) -> None:
    """A folder that changes in every way that is not a kill."""
    folder = StoreFolder(Path(path)).switches
    while time.monotonic() < until:
        (folder / "notes.txt").write_text("x")
        (folder / "notes.txt").unlink()
        (folder / "kills" / "readme.txt").write_text("x")
        (folder / "kills" / "readme.txt").unlink()


STOP_AS_SOMEONE = """
import os, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from runbooks.switches.publish import stop, standing
from store.control import Actor
from store.folder import StoreFolder
from store.record.scope import Scope
# once as who we are, because the other user may not be allowed to import from here
stop(StoreFolder(Path({scratch!r})).prepare(), Scope(), actor=Actor.current(), reason="r")
os.chdir({path!r})
if os.geteuid() == 0:
    os.setgid({nobody}); os.setuid({nobody})
kill, ms = stop(StoreFolder(Path(".")), Scope.of(agent="a"), actor=Actor.current(), reason="r")
assert [own.kill_id for own in standing(StoreFolder(Path(".")))] == [kill.kill_id]
print(kill.kill_id, ms)
"""


def test_a_control_db_that_may_not_be_written_delays_no_stop(folder: StoreFolder) -> None:
    """As another user, because root may write whatever the mode says."""
    inside = [folder.path, *folder.path.rglob("*")]
    folder.control.chmod(0o400)
    folder.control.with_name("control.db-journal").chmod(0o400)
    if os.geteuid() == 0:
        for path in inside:
            os.chown(path, NOBODY, NOBODY)
        for name in ("control.db", "control.db-journal"):
            os.chown(folder.path / name, 0, 0)
            (folder.path / name).chmod(0o444)
    script = STOP_AS_SOMEONE.format(
        paths=[str(ROOT), str(ROOT / "guard"), *[path for path in sys.path if path]],
        path=str(folder.path),
        scratch=str(folder.path.parent / "scratch"),
        nobody=NOBODY,
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[1]) < 1000
    assert emergency.pending(folder) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> StoreFolder:
    """A file system of 1 MB with the store on it; only where we may mount one."""
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["/usr/bin/unshare", "--mount", "/bin/true"], capture_output=True, timeout=10, check=False)
    if os.geteuid() != 0 or made.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    return StoreFolder(mount / "store")


FULL_DISK = """
import os, subprocess, sys
sys.path[:0] = {paths!r}
from pathlib import Path
mount = Path({mount!r})
subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], check=True)
from runbooks.switches.publish import initialise, standing, stop
from runbooks.switches.reconcile import reconcile
from store.control import Actor, Control
from store.folder import StoreFolder
from store.record.scope import Scope
folder = StoreFolder(mount / "store").prepare()
initialise(folder)
me = Actor.current()
Control(folder).close()
filler = open(mount / "filler", "wb", buffering=0)
try:
    while True:
        filler.write(b"x" * 4096)
except OSError:
    pass
kill, ms = stop(folder, Scope.of(agent="a"), actor=me, reason="r")
assert standing(folder) == [kill]
assert ms < 1000, ms
os.unlink(mount / "filler"); filler.close()
reconcile(folder, me)
with Control(folder) as control:
    assert [row.detail["kill_id"] for row in control.audit_rows()] == [kill.kill_id]
    assert control.verify_audit() is None
print("held")
"""


def test_a_full_disk_takes_a_stop_and_its_audit_row_later(small_disk: StoreFolder) -> None:
    script = FULL_DISK.format(
        paths=[str(ROOT), str(ROOT / "guard"), *[path for path in sys.path if path]], mount=str(small_disk.path.parent)
    )
    done = subprocess.run(
        ["/usr/bin/unshare", "--mount", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "held" in done.stdout
