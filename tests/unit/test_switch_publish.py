"""Stop, re-arm, and the file both leave behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbooks.switches import atomic, emergency
from runbooks.switches.atomic import publish, write_marker
from runbooks.switches.folder import SwitchError, SwitchFolder
from runbooks.switches.model import Kill
from runbooks.switches.publish import initialise, rearm, standing, stop
from runbooks.switches.reconcile import reconcile
from store.control import Actor, Control, SwitchRow
from store.folder import StoreError, StoreFolder
from store.record.scope import Scope

ME = Actor.current()
AGENT = Scope.of(agent="billing-bot")


@pytest.fixture
def folder(folder: StoreFolder) -> StoreFolder:
    initialise(folder)
    return folder


def on_disk(folder: StoreFolder) -> dict[str, Any]:
    document = json.loads((folder.switches / "switches.json").read_text())
    assert isinstance(document, dict)
    return document


def ids(folder: StoreFolder) -> list[str]:
    return [kill.kill_id for kill in standing(folder)]


def actions(folder: StoreFolder) -> list[str]:
    with Control(folder) as control:
        assert control.verify_audit() is None
        return [row.action for row in control.audit_rows()]


def test_initialise_makes_a_private_folder_whatever_the_umask(folder: StoreFolder) -> None:
    assert initialise(folder) is False
    modes = {path.name: path.lstat().st_mode & 0o7777 for path in folder.switches.iterdir()}
    assert modes == {
        "switches.json": 0o600,
        "switches.lock": 0o600,
        ".reserve": 0o600,
        "guards": 0o700,
        "kills": 0o700,
    }
    assert folder.switches.stat().st_mode & 0o777 == 0o700
    assert standing(folder) == []


def test_a_shared_folder_can_be_read_by_agents_of_other_users(folder: StoreFolder, tmp_path: Path) -> None:
    shared = SwitchFolder(tmp_path / "shared", shared=True)
    os.umask(0o077)
    initialise(folder, switches=shared)
    kill, _ = stop(folder, AGENT, actor=ME, reason="r", switches=shared)
    assert [own.kill_id for own in standing(folder, switches=shared)] == [kill.kill_id]
    assert standing(folder) == []
    assert shared.path.stat().st_mode & 0o7777 == 0o755
    assert shared.guards.stat().st_mode & 0o7777 == 0o1777
    assert shared.kills.stat().st_mode & 0o7777 == 0o755
    assert shared.file.stat().st_mode & 0o7777 == 0o644


def test_a_stop_is_written_audited_and_listed(folder: StoreFolder) -> None:
    kill, written_ms = stop(folder, AGENT, actor=ME, reason=" runaway\nloop \x1b[2J")
    assert standing(folder) == [kill]
    assert kill.reason == "runaway loop [2J"
    assert kill.by == ME.label
    assert 0 < written_ms < 5000
    with Control(folder) as control:
        (row,) = control.audit_rows()
        (history,) = control.switch_history()
    assert (row.action, row.subject, row.detail["kill_id"]) == ("kill", "agent:billing-bot", kill.kill_id)
    assert (history.kill_id, history.rearmed_ns) == (kill.kill_id, None)
    assert history.written_ns is not None


def test_both_halves_come_from_one_list(folder: StoreFolder) -> None:
    for text, verb in [
        ("agent:billing-bot", "halt"),
        ("agent:crm-bot", "deny_tools"),
        ("session:s-1", "halt"),
        ("tenant:acme", "halt"),
        ("user:u-1", "halt"),
        ("tool:send_email", "halt"),
        ("agent:x+tool:t", "halt"),
    ]:
        stop(folder, Scope.parse(text), verb=verb, actor=ME, reason="r")
    document = on_disk(folder)
    assert document["metadata"] == {"flagSetId": "andon"}
    run, tool = (document["flags"][name]["targeting"]["if"][0]["or"] for name in ("agent-run", "agent-tool"))
    assert run == [
        {"in": [{"var": "agent"}, ["billing-bot"]]},
        {"in": [{"var": "session"}, ["s-1"]]},
        {"in": [{"var": "tenant"}, ["acme"]]},
        {"in": [{"var": "user"}, ["u-1"]]},
    ]
    assert tool == [
        {"in": [{"var": "agent"}, ["billing-bot", "crm-bot"]]},
        *run[1:],
        {"in": [{"var": "tool"}, ["send_email"]]},
        {"and": [{"==": [{"var": "agent"}, "x"]}, {"==": [{"var": "tool"}, "t"]}]},
    ]
    assert document["andon"]["rev"] == document["flags"]["agent-run"]["metadata"]["rev"] == 8
    assert len(document["andon"]["switches"]) == 7


def test_everything_denies_both_flags(folder: StoreFolder) -> None:
    stop(folder, Scope(), actor=ME, reason="r")
    for flag in on_disk(folder)["flags"].values():
        assert {"==": [1, 1]} in flag["targeting"]["if"][0]["or"]


def test_modification_time_always_grows(folder: StoreFolder) -> None:
    path = folder.switches / "switches.json"
    os.utime(path, ns=(2**62, 2**62))  # a clock that was ahead
    for _ in range(3):
        before = path.stat().st_mtime_ns
        stop(folder, AGENT, actor=ME, reason="r")
        assert path.stat().st_mtime_ns >= before + 1_000_000


def test_a_second_kill_keeps_both_names_and_each_is_a_latch_of_its_own(folder: StoreFolder) -> None:
    first, _ = stop(folder, AGENT, actor=ME, reason="one")
    second, _ = stop(folder, AGENT, actor=ME, reason="two")
    rearm(folder, first.kill_id, ME, "looked at the first")
    assert standing(folder) == [second]
    rearm(folder, AGENT, ME, "and the second")
    assert standing(folder) == []


def test_publishing_a_kill_again_changes_nothing(folder: StoreFolder) -> None:
    kill, _ = stop(folder, AGENT, actor=ME, reason="one")
    publish(SwitchFolder.of(folder), add=[kill])
    assert standing(folder) == [kill]


def test_only_the_switch_file_has_the_raw_value(folder: StoreFolder) -> None:
    raw, token = Scope.of(user="anna@example.org"), Scope.of(user="<email:0123456789ab>")
    kill, _ = stop(folder, token, actor=ME, reason="r", raw_scope=raw)
    assert (kill.scope, kill.shown) == (str(raw), str(token))
    assert b"anna" in (folder.switches / "switches.json").read_bytes()
    assert b"anna" not in folder.control.read_bytes()
    rearm(folder, token, ME, "r")
    assert b"anna" not in folder.control.read_bytes()
    assert standing(folder) == []


def test_rearm_wants_a_reason_and_something_that_stands(folder: StoreFolder) -> None:
    kill, _ = stop(folder, AGENT, actor=ME, reason="r")
    with pytest.raises(SwitchError, match="reason"):
        rearm(folder, kill.kill_id, ME, " \n ")
    with pytest.raises(SwitchError, match="nothing stands"):
        rearm(folder, Scope(), ME, "r")
    with pytest.raises(SwitchError, match="no scope"):
        rearm(folder, "k-unknown", ME, "r")
    assert standing(folder) == [kill]


def test_rearming_is_audited_before_the_file_and_history_is_closed(folder: StoreFolder) -> None:
    kill, _ = stop(folder, AGENT, actor=ME, reason="r")
    assert rearm(folder, "agent:billing-bot", ME, "fixed") == (kill,)
    assert actions(folder) == ["kill", "rearm"]
    with Control(folder) as control:
        (history,) = control.switch_history()
    assert (history.rearmed_by, history.rearmed_reason) == (ME.label, "fixed")
    with pytest.raises(SwitchError, match="nothing stands"):
        rearm(folder, AGENT, ME, "again")


def hold_write_lock(folder: StoreFolder) -> sqlite3.Connection:
    Control(folder).close()
    connection = sqlite3.connect(folder.control, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def spoil_control(folder: StoreFolder, how: str) -> None:
    folder.control.unlink(missing_ok=True)
    if how == "corrupt":
        folder.control.write_bytes(b"not a database at all" * 300)
    elif how == "a folder":
        folder.control.mkdir()
    elif how == "foreign":
        with closing(sqlite3.connect(folder.control)) as connection:
            connection.execute("CREATE TABLE t (x)")
    else:  # of a newer Andon: opened for reading only
        Control(folder).close()
        with closing(sqlite3.connect(folder.control)) as connection:
            connection.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize("how", ["corrupt", "a folder", "foreign", "newer"])
def test_a_stop_needs_no_control_db_and_a_rearming_does(folder: StoreFolder, how: str) -> None:
    spoil_control(folder, how)
    kill, _ = stop(folder, AGENT, actor=ME, reason="r")
    assert standing(folder) == [kill]
    assert emergency.pending(folder) == 1
    assert (folder.emergency / "audit.ndjson").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SwitchError, match="no audit row, no re-arming"):
        rearm(folder, kill.kill_id, ME, "r")
    assert standing(folder) == [kill]
    shutil.rmtree(folder.control) if folder.control.is_dir() else folder.control.unlink()
    done = reconcile(folder, ME)
    assert (done.merged, done.recorded, done.restored, done.trouble) == (1, (), (), None)
    with Control(folder) as control:
        (row,) = control.audit_rows()
    assert (row.action, row.at_ns, row.by) == ("kill", kill.at_ns, ME.label)
    assert emergency.pending(folder) == 0
    rearm(folder, kill.kill_id, ME, "r")


def test_a_stop_does_not_wait_for_a_locked_control_db(folder: StoreFolder) -> None:
    with closing(hold_write_lock(folder)):
        kill, written_ms = stop(folder, AGENT, actor=ME, reason="r")
        assert written_ms < 1000
        assert emergency.pending(folder) == 1
    reconcile(folder, ME)
    assert actions(folder) == ["kill"]
    assert standing(folder) == [kill]


def test_emergency_rows_are_merged_once_even_after_a_crash(folder: StoreFolder) -> None:
    spoil_control(folder, "corrupt")
    stop(folder, AGENT, actor=ME, reason="r")
    folder.control.unlink()
    path = folder.emergency / "audit.ndjson"
    content = path.read_bytes()
    reconcile(folder, ME)
    path.write_bytes(content + b'{"torn": ')
    assert reconcile(folder, ME).merged == 2
    assert actions(folder) == ["kill", "emergency.unreadable"]


def test_without_the_lock_a_marker_is_written_and_merged_later(folder: StoreFolder) -> None:
    descriptor = os.open(folder.switches / "switches.lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    first, written_ms = stop(folder, AGENT, actor=ME, reason="r")
    assert written_ms < 1000
    assert on_disk(folder)["andon"]["switches"] == []
    assert ids(folder) == [first.kill_id]
    with pytest.raises(SwitchError, match="still stands"):
        rearm(folder, AGENT, ME, "r")
    assert actions(folder) == ["kill", "rearm", "rearm.failed"]
    os.close(descriptor)
    second, _ = stop(folder, Scope(), actor=ME, reason="r")
    assert ids(folder) == [first.kill_id, second.kill_id]
    assert len(on_disk(folder)["andon"]["switches"]) == 2
    assert list((folder.switches / "kills").iterdir()) == []


def test_a_marker_is_rearmed_too(folder: StoreFolder) -> None:
    kill = Kill("k-marker", "all", "halt", "me", 0, "r")
    write_marker(SwitchFolder.of(folder), kill)
    with pytest.raises(FileExistsError):
        write_marker(SwitchFolder.of(folder), kill)
    assert rearm(folder, "k-marker", ME, "r") == (kill,)
    assert standing(folder) == []
    assert list((folder.switches / "kills").iterdir()) == []


def test_a_broken_file_is_never_overwritten_and_a_stop_becomes_a_marker(folder: StoreFolder) -> None:
    path = folder.switches / "switches.json"
    path.write_text("{broken")
    kill, _ = stop(folder, AGENT, actor=ME, reason="r")
    assert path.read_text() == "{broken"
    assert (folder.switches / "kills" / f"{kill.kill_id}.json").exists()


def test_a_link_in_place_of_the_file_is_refused(folder: StoreFolder, tmp_path: Path) -> None:
    secret = tmp_path / "authorized_keys"
    secret.write_text("ssh-ed25519 …")
    path = folder.switches / "switches.json"
    path.unlink()
    path.symlink_to(secret)
    stop(folder, AGENT, actor=ME, reason="r")
    assert secret.read_text() == "ssh-ed25519 …"
    with pytest.raises(SwitchError, match="cannot be trusted"):
        standing(folder)


def test_stop_on_a_folder_that_was_never_made_makes_it(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path / "new").prepare()
    kill, _ = stop(folder, AGENT, actor=ME, reason="r")
    assert standing(folder) == [kill]


def test_a_stop_that_cannot_be_written_says_that_nothing_was_stopped(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path / "store").prepare()
    folder.switches.rmdir()
    folder.switches.write_text("a file in the way")
    with pytest.raises(SwitchError, match="NOT STOPPED"):
        stop(folder, AGENT, actor=ME, reason="r")


def test_kills_outlive_their_file(folder: StoreFolder) -> None:
    kept, _ = stop(folder, AGENT, actor=ME, reason="r")
    gone, _ = stop(folder, Scope(), actor=ME, reason="r")
    rearm(folder, gone.kill_id, ME, "r")
    (folder.switches / "switches.json").unlink()
    assert initialise(folder) is True
    assert ids(folder) == [kept.kill_id]


def test_a_kill_edited_out_of_the_file_comes_back(folder: StoreFolder) -> None:
    kill, _ = stop(folder, AGENT, actor=ME, reason="r")
    document = on_disk(folder)
    document["andon"]["switches"] = []
    (folder.switches / "switches.json").write_text(json.dumps(document))
    assert reconcile(folder, ME).restored == (kill.kill_id,)
    assert ids(folder) == [kill.kill_id]
    assert actions(folder) == ["kill", "kill.restored"]


def test_a_file_gone_and_a_history_that_cannot_be_read_is_not_a_fresh_start(folder: StoreFolder) -> None:
    stop(folder, AGENT, actor=ME, reason="r")
    (folder.switches / "switches.json").unlink()
    folder.control.write_bytes(b"damaged" * 1000)
    with pytest.raises(StoreError, match="cannot be looked up"):
        initialise(folder)
    assert not (folder.switches / "switches.json").exists()


def test_a_stop_is_kept_even_where_file_and_history_are_both_lost(folder: StoreFolder) -> None:
    shutil.rmtree(folder.switches)
    folder.control.write_bytes(b"damaged" * 1000)
    kill, _ = stop(folder, AGENT, actor=ME, reason="r")  # every guard on this folder blocks as unverified
    folder.control.unlink()
    assert reconcile(folder, ME).merged == 1
    assert ids(folder) == [kill.kill_id]


def test_a_restored_stop_of_a_personal_value_says_that_it_is_blind(folder: StoreFolder) -> None:
    kill, _ = stop(
        folder, Scope.of(user="<email:0123456789ab>"), actor=ME, reason="r", raw_scope=Scope.of(user="anna@example.org")
    )
    (folder.switches / "switches.json").unlink()
    done = reconcile(folder, ME)
    assert ids(folder) == [kill.kill_id]
    assert "stop it anew" in str(done.trouble)


def test_stop_file_is_a_kill_of_all_audited_and_rearmed(folder: StoreFolder) -> None:
    stop_file = folder.switches / "STOP"
    stop_file.touch()
    (kill,) = standing(folder)
    assert (kill.scope, kill.verb) == ("all", "halt")
    assert reconcile(folder, ME).recorded == (kill.kill_id,)
    assert reconcile(folder, ME).recorded == ()
    other, _ = stop(folder, AGENT, actor=ME, reason="r")  # publishing does not copy STOP into the file
    assert len(on_disk(folder)["andon"]["switches"]) == 1
    rearm(folder, "all", ME, "r")
    assert not stop_file.exists()
    assert standing(folder) == [other]


def test_a_stop_that_is_a_full_folder_stays(folder: StoreFolder) -> None:
    (folder.switches / "STOP" / "inside").mkdir(parents=True)
    with pytest.raises(SwitchError, match="still stands"):
        rearm(folder, "all", ME, "r")
    assert [kill.scope for kill in standing(folder)] == ["all"]


def test_a_stop_found_before_its_own_audit_row_keeps_both_rows(folder: StoreFolder) -> None:
    kill = Kill("k-1", "all", "halt", "sre@bastion-1", 0, "r")
    publish(SwitchFolder.of(folder), add=[kill])
    assert reconcile(folder, ME).recorded == ("k-1",)
    with Control(folder) as control:
        control.record_kill(ME, SwitchRow("k-1", "all", "halt", "sre@bastion-1", 0, "r", 5, None, None, None))
        assert [row.written_ns for row in control.switch_history()] == [5]
    assert actions(folder) == ["kill.found", "kill"]


def test_a_stop_file_touched_again_is_another_stop(folder: StoreFolder) -> None:
    stop_file = folder.switches / "STOP"
    stop_file.touch()
    (first,) = standing(folder)
    os.utime(stop_file, ns=(1, 1))
    with pytest.raises(SwitchError, match="no scope"):
        rearm(folder, first.kill_id, ME, "r")
    assert stop_file.exists()


def test_a_stop_file_removed_by_hand_is_not_restored(folder: StoreFolder) -> None:
    (folder.switches / "STOP").touch()
    reconcile(folder, ME)
    (folder.switches / "STOP").unlink()
    assert reconcile(folder, ME).restored == ()
    assert actions(folder) == ["kill.found", "stop.removed"]


def test_a_marker_that_another_publisher_merges_at_once_is_no_failed_stop(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the link and the look at what was written, a publisher takes the marker into the file."""
    where = SwitchFolder.of(folder)
    sync = atomic._sync_folder

    def sync_and_be_overtaken(path: Path) -> None:
        sync(path)
        monkeypatch.setattr(atomic, "_sync_folder", sync)
        publish(where)

    monkeypatch.setattr(atomic, "_sync_folder", sync_and_be_overtaken)
    write_marker(where, Kill("k-1", "agent:a", "halt", "me", 1, "r"))
    assert ids(folder) == ["k-1"]
    assert list(where.kills.glob("*.json")) == []
