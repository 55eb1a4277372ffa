"""The command line on real logs: shapes, exit codes, and one clear line for every bad input."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from console.cli import schemas
from console.cli.main import COMMANDS, run
from store.folder import StoreFolder
from store.liveness import CollectorLock
from store.record.batch import Batch
from store.record.span import NS_PER_S, Span
from store.telemetry.writer import Writer

NOW_NS = 1_700_000_200_000_000_000
AGENTS_TOML = """
[agents.bot]
owner = "payments"
on_call = "@payments"
runbook = "runaway-loop"
[agents.bot.tools.send]
tier = "high"
reversible = "no"
system = "email"
[agents.bot.tools.look]
tier = "read"
[systems.email]
owner = "@mail"
"""


@pytest.fixture
def store(folder: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    """A small store and its registry, named by the environment."""
    own: dict[str, Any] = {"namespace": "n", "session": "s1", "agent": "bot", "started_ns": NOW_NS}
    spans = [
        Span(**own, span_id="r", kind="run", ended_ns=NOW_NS + 9 * NS_PER_S, status="ok"),
        Span(
            **own,
            span_id="l",
            parent_id="r",
            kind="llm",
            ended_ns=NOW_NS + 4 * NS_PER_S,
            status="ok",
            tokens_input=5,
            tokens_output=7,
            cost_nano=1_500_000_000,
            cost_basis="reported",
        ),
        Span(
            **own | {"started_ns": NOW_NS + 5},
            span_id="t",
            parent_id="r",
            kind="tool",
            tool="send",
            ended_ns=NOW_NS + 6 * NS_PER_S,
            status="error",
            error_type="Timeout",
        ),
        Span(**own | {"started_ns": NOW_NS + 6}, span_id="u", parent_id="r", kind="tool", tool="mystery", rank=0),
    ]
    with Writer(folder) as writer:
        writer.write(Batch(spans=spans), NOW_NS + 10_000_000_000)
    config = tmp_path / "config"
    config.mkdir()
    (config / "agents.toml").write_text(AGENTS_TOML)
    monkeypatch.setenv("ANDON_STORE", str(folder.path))
    monkeypatch.setenv("ANDON_CONFIG", str(config))
    return folder


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def check_shape(shape: Any, value: Any) -> None:
    """The answer has exactly the keys that the schema has."""
    fields = TypeAdapter(shape).core_schema and shape.model_fields
    assert list(value) == list(fields)


def test_status_has_its_shape_and_its_figures(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "status", "--as-of", "latest")
    check_shape(schemas.StatusShape, found)
    agent = found["agents"][0]
    check_shape(schemas.AgentShape, agent)
    assert (agent["agent"], agent["runs"], agent["p50_ms"], agent["success_rate"]) == ("bot", 1, 9000.0, 1.0)
    assert (agent["errors"], agent["cost_usd"], agent["lamp"]) == (1, 1.5, "ok")
    assert found["as_of"] == "2023-11-14T22:16:49.000Z"


def test_sessions_have_their_shape(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (session,) = answer(capsys, "sessions", "--as-of", "latest")
    check_shape(schemas.SessionShape, session)
    assert session["tokens"] == {"input": 5, "cache_read": 0, "cache_write": 0, "output": 7, "reasoning": 0}
    assert (session["status"], session["cost_basis"], session["tool_calls"]) == ("ok", "reported", 2)
    assert answer(capsys, "sessions", "--tool", "nobody") == []
    assert len(answer(capsys, "sessions", "--text", "TIMEOUT", "--error-type", "Timeout", "--status", "ok")) == 1


def test_a_moment_inside_a_session_shows_it_as_it_was(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (session,) = answer(capsys, "sessions", "--as-of", "2023-11-14T22:16:45Z")
    assert (session["status"], session["tokens"]["output"], session["errors"]) == ("running", 7, 0)
    assert answer(capsys, "sessions", "--as-of", "2023-11-14T22:00:00Z") == []


def test_trace_is_a_tree_and_an_end_that_never_came_is_unknown(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "trace", "s1")
    check_shape(schemas.TraceShape, found)
    check_shape(schemas.SpanShape, found["spans"][0])
    assert [(span["span"], span["status"]) for span in found["spans"]] == [
        ("r", "ok"),
        ("l", "ok"),
        ("t", "error"),
        ("u", "unknown"),
    ]


def test_blast_tells_writes_from_reads_from_what_nobody_declared(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "blast", "agent:bot", "--as-of", "latest")
    check_shape(schemas.BlastShape, found)
    (system,) = found["systems"]
    check_shape(schemas.SystemShape, system)
    check_shape(schemas.EffectShape, system["effects"][0])
    assert (system["system"], system["owner"], system["effects"][0]["status"]) == ("email", "@mail", "failed")
    assert found["unmapped_tools"] == [{"tool": "mystery", "agent": "bot", "calls": 1}]


def test_kill_switches_and_arm_have_their_shapes(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = answer(capsys, "kill", "agent:bot", "--reason", "loop", "--wait", "0")
    check_shape(schemas.StopShape, stopped)
    assert (stopped["scope"], stopped["state"], stopped["reason"]) == ("agent:bot", "written", "loop")
    listed = answer(capsys, "switches")
    check_shape(schemas.SwitchesShape, listed)
    assert [row["kill_id"] for row in listed["switches"]] == [stopped["kill_id"]]
    assert answer(capsys, "status", "--as-of", "latest")["agents"][0]["lamp"] == "stopped"
    (armed,) = answer(capsys, "arm", "agent:bot", "--reason", "mended")
    assert armed["state"] == "rearmed"
    rows = answer(capsys, "audit")
    check_shape(schemas.AuditShape, rows)
    assert [row["action"] for row in rows["rows"]] == ["kill", "rearm"]
    verified = answer(capsys, "audit", "verify")
    check_shape(schemas.AuditVerifyShape, verified)
    assert verified["ok"] is True


def test_arming_what_does_not_stand_is_refused(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["switches", "init"]) == 0
    assert run(["arm", "agent:bot", "--reason", "x"]) == 1
    assert capsys.readouterr().err.startswith("andon: ")


def test_a_scope_that_nothing_matches_is_a_warning_and_a_stop(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["kill", "agent:bott", "--reason", "x", "--wait", "0"]) == 0
    assert "did you mean bot?" in capsys.readouterr().err
    assert run(["kill", "all", "--reason", "x", "--wait", "0"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_bundle_is_exported_and_one_changed_byte_is_refused(
    store: StoreFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "evidence.zip"
    made = answer(capsys, "export", "agent:bot", "-o", str(out), "--as-of", "latest")
    check_shape(schemas.ExportShape, made)
    found = answer(capsys, "verify", str(out))
    check_shape(schemas.VerifyShape, found)
    assert found["ok"] is True
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 1
    out.write_bytes(data)
    assert answer(capsys, "verify", str(out), code=1)["ok"] is False


def test_doctor_has_its_shape_and_proves_the_totals(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "doctor", "--recount", code=1)  # nobody collects
    check_shape(schemas.DoctorShape, found)
    areas = {check["area"]: check["ok"] for check in found["checks"]}
    assert areas["recount"] is True
    assert areas["collector"] is False


def test_collect_once_answers_with_its_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANDON_STORE", str(tmp_path / "new"))
    monkeypatch.setenv("ANDON_CONFIG", str(tmp_path / "none"))
    log = tmp_path / "a.jsonl"
    log.write_text(
        '{"session_id":"s","span_id":"1","kind":"llm","agent":"a","time":"2026-01-01T00:00:00Z","status":"ok"}\n'
        '{"session_id":"s","kind":"tool"}\n'
    )
    found = answer(capsys, "collect", "--once", str(log))
    check_shape(schemas.CollectSummary, found)
    assert (found["files"], found["lines"], found["spans"], found["rejected"]) == (1, 2, 1, 1)
    again = answer(capsys, "collect", "--once", str(log))
    assert (again["lines"], again["spans"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["status", "--as-of", "yesterday-ish"], 2, "is not a time"),
        (["status", "--window", "02:00..01:00"], 2, "is not a time"),
        (["status", "--window", "1h..2h"], 2, "ends before it starts"),
        (["status", "--window", "99999999w"], 2, "out of range"),
        (["status", "--as-of", "0001-01-01"], 2, "out of range"),
        (["status", "--as-of", "9999-12-31T23:59:59-14:00"], 2, "out of range"),
        (["status", "--as-of", "999999999d"], 2, "out of range"),
        (["sessions", "--since", "0001-01-01T00:00:00+14:00"], 2, "out of range"),
        (["status", "--tz", "Mars/Base"], 2, "is no time zone"),
        (["blast", "planet:earth"], 2, "is not a kind of scope"),
        (["trace", "nobody"], 1, "no session"),
        (["verify", "/does/not/exist"], 1, ""),
        (["collect", "--once", "/does/not/exist"], 1, ""),
        (["collect", "--once", "--format", "nonsense", "/tmp"], 2, "is no format"),
        (["kill", "agent:bot"], 2, "--reason"),
        (["--read-only", "kill", "agent:bot", "--reason", "x"], 2, "--read-only"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_bad_input_is_one_clear_line(
    store: StoreFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert says in captured.err
    assert "Traceback" not in captured.err + captured.out


def test_a_bad_registry_names_its_key(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(os.environ["ANDON_CONFIG"]) / "agents.toml"
    path.write_text("[agents.bot]\nownr = 'x'\n")
    assert run(["blast", "all"]) == 2
    assert "unknown key agents.bot.ownr" in capsys.readouterr().err


def test_no_store_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "sessions"):
        assert run([command, "--store", str(tmp_path / "none")]) == 2
        assert "collect something first" in capsys.readouterr().err


def test_a_store_of_a_newer_andon_is_read_with_a_message(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(store.telemetry) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    assert run(["sessions", "--as-of", "latest"]) == 0
    captured = capsys.readouterr()
    assert "s1" in captured.out
    assert "written by a newer Andon" in captured.err
    assert run(["collect", "--once", "/dev/null"]) == 2
    assert "written by a newer Andon" in capsys.readouterr().err


def test_a_locked_store_is_one_clear_line(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with CollectorLock(store):
        assert run(["collect", "--once", "/dev/null"]) == 2
    assert "another collector" in capsys.readouterr().err


def test_log_text_cannot_reach_the_terminal_raw(store: StoreFolder, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]52;c;ZXZpbA==\x07\x1b[2Jx\u202e"
    span = Span(namespace="n", span_id="e", session=evil, kind="tool", agent=evil, tool=evil, ended_ns=NOW_NS)
    span.status, span.error_type = "error", evil
    with Writer(store) as writer:
        writer.write(Batch(spans=[span]), NOW_NS)
    for arguments in (["status"], ["sessions"], ["trace", evil], ["blast", "all"]):
        assert run([*arguments, "--as-of", "latest"]) == 0
        out = capsys.readouterr().out
        assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from console.cli.main import run; run(['--help']); "
        "sys.exit(any(name in sys.modules for name in ('textual', 'pydantic', 'sqlite_utils', 'httpx')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout
