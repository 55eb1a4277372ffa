"""control.db: made once, private, never in anybody's way, and clear about what is wrong with it."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from store.control import Actor, Control, SwitchRow
from store.control.actor import CLAIMS
from store.folder import StoreError, StoreFolder

ME = Actor.current()


@pytest.fixture
def control(folder: StoreFolder) -> Control:
    return Control(folder)


def open_and_audit(path: str, rounds: int) -> None:
    with Control(StoreFolder(Path(path)), wait_s=30.0) as control:
        for number in range(rounds):
            control.audit(ME, "test", str(os.getpid()), {"number": number})


def test_files_are_private_under_any_umask(folder: StoreFolder) -> None:
    with Control(folder) as control:
        control.audit(ME, "a", "b")
    for path in folder.path.glob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o600, path.name
    assert {path.name for path in folder.path.glob("control*")} == {"control.db", "control.db-journal"}


def test_settings(folder: StoreFolder, control: Control) -> None:
    connection = control._connection
    ask = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert ask == {"journal_mode": "persist", "synchronous": 2}
    control.close()


def test_racing_processes_make_one_database_and_lose_no_row(folder: StoreFolder) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=open_and_audit, args=(str(folder.path), 20)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with Control(folder) as control:
        assert len(control.audit_rows()) == 80
        assert control.verify_audit() is None


def test_no_read_keeps_a_writer_out(folder: StoreFolder, control: Control) -> None:
    incident = control.open_incident(ME, scope="all", severity="SEV1", title="t")
    control.note(incident.id, "n", ME)
    control.audit_rows()
    control.incidents()
    control.notes(incident.id)
    control.steps(incident.id)
    control.switch_history()
    control.verify_audit()
    with Control(folder, wait_s=0.0) as other:
        other.audit(ME, "a", "b")
    control.close()


def test_opening_again_imports_no_sqlite_utils(folder: StoreFolder, control: Control) -> None:
    control.close()
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from store.control import Control\nfrom store.folder import StoreFolder\n"
        f"Control(StoreFolder(Path({str(folder.path)!r}))).close(); sys.exit('sqlite_utils' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, timeout=30, check=False).returncode == 0


def test_a_newer_store_is_read_and_not_changed(folder: StoreFolder, control: Control) -> None:
    control.audit(ME, "a", "b")
    control.close()
    with closing(sqlite3.connect(folder.control)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with Control(folder) as newer:
        assert newer.read_only
        assert "newer Andon" in str(newer.message)
        assert len(newer.audit_rows()) == 1
        with pytest.raises(StoreError, match="newer Andon"):
            newer.audit(ME, "a", "b")


def test_read_only_never_writes(folder: StoreFolder) -> None:
    with pytest.raises(StoreError, match=r"there is no control\.db"):
        Control(folder, read_only=True)
    assert not folder.control.exists()
    Control(folder).close()
    with Control(folder, read_only=True) as control, pytest.raises(StoreError, match="reading only"):
        control.audit(ME, "a", "b")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("corrupt", "no database"),
        ("foreign", "something else"),
        ("folder", "Is a directory"),
        ("link", "symbolic link"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_changed(folder: StoreFolder, how: str, says: str) -> None:
    if how == "corrupt":
        folder.control.write_bytes(b"\x00garbage" * 1000)
    elif how == "foreign":
        with closing(sqlite3.connect(folder.control)) as connection:
            connection.execute("CREATE TABLE photos (x)")
    elif how == "folder":
        folder.control.mkdir()
    else:
        folder.control.symlink_to(folder.path / "elsewhere.db")
    before = folder.control.read_bytes() if folder.control.is_file() else None
    with pytest.raises(StoreError, match=says) as caught:
        Control(folder)
    assert "\n" not in str(caught.value)
    assert (folder.control.read_bytes() if folder.control.is_file() else None) == before
    assert not (folder.path / "elsewhere.db").exists()


def test_a_locked_database_says_so(folder: StoreFolder, control: Control) -> None:
    with closing(sqlite3.connect(folder.control, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Control(folder, wait_s=0.05) as waiting, pytest.raises(StoreError, match="locked"):
            waiting.audit(ME, "a", "b")
        assert control.audit_rows() == ()
    control.close()


def test_incident_with_steps_and_notes_outlives_a_restart(folder: StoreFolder, control: Control) -> None:
    incident = control.open_incident(
        ME, scope="agent:billing-bot", severity="SEV1", title="loop", agent="billing-bot", runbook="runaway-loop"
    )
    control.tick(incident.id, 1, ME)
    control.tick(incident.id, 2, ME)
    control.untick(incident.id, 2, ME)
    control.untick(incident.id, 9, ME)
    control.note(incident.id, "two\nlines", ME)
    control.close()
    with Control(folder) as later:
        assert later.incident(incident.id) == incident
        assert later.incidents() == (incident,)
        assert later.incident(99) is None
        steps = later.steps(incident.id)
        assert {number: step.done for number, step in steps.items()} == {1: True, 2: False}
        assert (steps[2].done_by, steps[2].undone_by) == (ME.label, ME.label)
        assert [note.text for note in later.notes(incident.id)] == ["two\nlines"]
        first = later.tick(incident.id, 1, ME)
        assert first == steps[1]
        later.close_incident(incident.id, ME)
        closed = later.incident(incident.id)
        assert closed is not None
        assert closed.closed_ns is not None
        assert [row.action for row in later.audit_rows()] == [
            "incident.open",
            "step.done",
            "step.done",
            "step.undone",
            "note",
            "incident.close",
        ]
        assert later.verify_audit() is None


def test_what_does_not_exist_is_refused(control: Control) -> None:
    with pytest.raises(StoreError, match="no incident 7"):
        control.tick(7, 1, ME)
    with pytest.raises(ValueError, match="SEV1"):
        control.open_incident(ME, scope="all", severity="SEV9", title="t")
    assert control.audit_rows() == ()
    control.close()


def test_a_kill_is_recorded_once(control: Control) -> None:
    row = SwitchRow("k-1", "all", "halt", "me", 1, "r", 2, None, None, None)
    control.record_kill(ME, row)
    control.record_kill(ME, row)
    assert control.switch_history() == (row,)
    assert len(control.audit_rows()) == 1
    control.close()


def test_an_actor_keeps_proof_and_claim_apart(control: Control) -> None:
    forged = Actor.current({"SUDO_USER": "alice\x1b[2J", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "PATH": "/bin"})
    control.audit(forged, "a", "b")
    (row,) = control.audit_rows()
    assert row.actor["proven"]["uid"] == os.getuid()
    assert row.actor["claimed"] == {"SUDO_USER": "alice?[2J", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}
    assert row.by == f"{forged.user}@{forged.host} (claims alice?[2J)"
    assert Actor.current({}).claimed == ()
    assert Actor.current(dict.fromkeys(CLAIMS, "")).label == f"{forged.user}@{forged.host}"
    control.close()
