"""What an operator types raw is found under its token; only the switch folder knows the raw value."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from andon_guard import Guard, Halted

from collectors.collect import Collector
from console.actions import Actions
from console.cli.main import run
from console.context import Context
from store.folder import StoreFolder
from store.telemetry.views import SessionFilter
from tests.fault.feeding import ask, line

ANN, BOB, BOT, TOOL = "ann@example.org", "bob@example.org", "bot@corp.example", "mail-ops@corp.example"


@pytest.fixture
def where(folder: StoreFolder, tmp_path: Path) -> list[str]:
    log = tmp_path / "a.jsonl"
    own = {"session_id": ANN, "user_id": BOB, "tenant_id": f"tenant {BOB}", "agent": BOT}
    effect = {"system": "crm", "operation": "write", "status": "sent"}
    log.write_bytes(
        line(1, **own, tool={"name": TOOL, "args": {"to": BOB}}, effect=effect)
        + line(2, **own, parent_id="n1", error_message=f"no mailbox {BOB}", status="error")
        + line(3, session_id="other", user_id="u-1", agent="other")
    )
    Collector(folder, [log]).run_once()
    assert "example.org" not in str(ask(folder, "SELECT * FROM span"))
    return ["--store", str(folder.path), "--config", str(tmp_path)]


def answer(capfd: pytest.CaptureFixture[str], *command: str) -> Any:
    capfd.readouterr()
    assert run([*command, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


@pytest.mark.parametrize(
    "typed",
    [
        ("--user", BOB),
        ("--user", BOB.upper()),
        ("--agent", BOT),
        ("--tool", TOOL),
        ("--text", BOB),
        ("--tenant", f"tenant {BOB}"),
    ],
)
def test_sessions(where: list[str], capfd: pytest.CaptureFixture[str], typed: tuple[str, str]) -> None:
    (row,) = answer(capfd, "sessions", *typed, *where)
    assert row["session"].startswith("<email:")


def test_a_token_may_be_typed_as_well(where: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    (row,) = answer(capfd, "sessions", "--user", BOB, *where)
    assert answer(capfd, "trace", row["session"], *where) == answer(capfd, "trace", ANN, *where)
    assert len(answer(capfd, "trace", ANN, *where)["spans"]) == 2


@pytest.mark.parametrize("scope", [f"user:{BOB}", f"session:{ANN}", f"agent:{BOT}", f"agent:{BOT}+tool:{TOOL}"])
def test_blast_and_export(where: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], scope: str) -> None:
    found = answer(capfd, "blast", scope, *where)
    assert [one["system"] for one in found["systems"]] == ["crm"]
    made = answer(capfd, "export", scope, "-o", str(tmp_path / "out.zip"), *where)
    assert made["spans"] >= 1
    assert "example" not in json.dumps([found, made]).replace(str(tmp_path), "")


@pytest.mark.parametrize("scope", [f"session:{ANN}", f"user:{BOB}"])
def test_a_stop_holds_by_the_raw_value_and_is_shown_by_its_token(
    where: list[str], folder: StoreFolder, capfd: pytest.CaptureFixture[str], scope: str
) -> None:
    assert run(["switches", "init", *where]) == 0
    with contextlib.closing(Guard(agent="worker", folder=folder.switches)) as guard:
        _stop_and_arm(guard, where, folder, capfd, scope)


def _stop_and_arm(
    guard: Guard, where: list[str], folder: StoreFolder, capfd: pytest.CaptureFixture[str], scope: str
) -> None:
    guard.check("llm", session=ANN, user=BOB)
    stopped = answer(capfd, "kill", scope, "--reason", "r", "--wait", "0", *where)
    assert "@example" not in json.dumps(stopped)
    assert scope in (folder.switches / "switches.json").read_text()
    for name in ("telemetry.db", "control.db"):
        assert b"@example.org" not in (folder.path / name).read_bytes()
    with pytest.raises(Halted):
        guard.check("llm", session=ANN, user=BOB)
    guard.check("llm", session="other", user="u-1")
    (shown,) = answer(capfd, "switches", *where)["switches"]
    assert shown["scope"] == stopped["scope"]
    assert len(answer(capfd, "arm", scope, "--reason", "r", *where)) == 1
    guard.check("llm", session=ANN, user=BOB)


def test_the_consoles_filter(where: list[str], folder: StoreFolder) -> None:
    actions = Actions(Context(store=folder))
    assert where
    wanted = actions.stored_filter(SessionFilter(user=BOB, session=ANN, limit=7))
    assert wanted.limit == 7
    assert ask(folder, "SELECT DISTINCT user_id, session FROM span WHERE user_id LIKE '<%'") == [
        (wanted.user, wanted.session)
    ]
    assert actions.stored_filter(wanted) == wanted


def test_a_stop_is_written_though_the_users_rules_are_wrong(
    where: list[str], folder: StoreFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "andon.toml").write_text('[redact]\nrules = "mine.toml"\n')
    (tmp_path / "mine.toml").write_text("[[rule]]\nname = 'mine'\nclass = 'ab'\npattern = '('\n")
    assert run(["switches", "init", *where]) == 0
    assert run(["kill", f"user:{BOB}", "--reason", "r", "--wait", "0", *where]) == 0
    assert "rule 1 (mine)" in capfd.readouterr().err
    assert f"user:{BOB}" in (folder.switches / "switches.json").read_text()
    assert BOB.encode() not in (folder.path / "control.db").read_bytes()
    assert run(["sessions", "--user", BOB, *where]) == 2
