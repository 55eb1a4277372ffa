"""Bundles: whole, reproducible, private, harmless to open, and any one changed byte is found."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import stat
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from runbooks.incidents.bundle import BundleError, ExportResult, default_name, export_bundle
from runbooks.incidents.container import ContainerError, ContainerWriter
from runbooks.incidents.text import code, plain
from runbooks.incidents.verify import verify_bundle, verify_file
from store.control import Actor, Control, Incident
from store.folder import StoreError, StoreFolder
from store.record.batch import Batch
from store.record.scope import Scope, ScopeError
from store.record.span import NS_PER_S, Rank, Span
from store.record.window import Window
from store.registry.model import Agent, Registry, System, Tool
from store.telemetry.writer import Writer

T0 = 1_700_000_000 * NS_PER_S
AS_OF = T0 + 3600 * NS_PER_S
ME = Actor(uid=1000, user="sre", login_uid=1000, host="bastion-1")
REGISTRY = Registry(
    agents={"bot": Agent(owner="payments", on_call="@payments", tools={"send": Tool(tier="high", system="email")})},
    systems={"email": System(owner="@mail")},
)
MEMBERS = (
    "spans.ndjson",
    "effects.json",
    "timeline.json",
    "incident.json",
    "audit.json",
    "report.md",
    "manifest.json",
    "manifest.sha256",
)


def span(number: int, kind: str = "tool", **more: object) -> Span:
    values: dict[str, object] = {
        "namespace": "session:s1",
        "span_id": f"sp-{number:04d}",
        "session": "s1",
        "run_id": "r1",
        "kind": kind,
        "agent": "bot",
        "user_id": "u-1",
        "started_ns": T0 + number * NS_PER_S,
        "ended_ns": T0 + number * NS_PER_S + 5,
        "status": "ok",
        "tool": "send" if kind == "tool" else None,
    }
    return Span(**(values | more))  # type: ignore[arg-type]


def fill(folder: StoreFolder, spans: list[Span]) -> None:
    with Writer(folder) as writer:
        writer.write(Batch(spans=spans), AS_OF)


def small(folder: StoreFolder) -> None:
    fill(
        folder,
        [
            span(1, "run", ended_ns=T0 + 60 * NS_PER_S, status="aborted", error_type="halted"),
            span(2, "llm", model="m", tokens_input=10, tokens_output=5, cost_nano=1_500_000, cost_basis="computed"),
            span(3, parts={"input": '{"to":"<email:6f2a91c04be7>"}', "output": "done"}),
            span(4, rank=Rank.STARTED, ended_ns=None, status=None),
            span(5, tool="export_csv"),
            span(6, "llm", tokens_input=10, status="error", error_type="overloaded"),
        ],
    )


def export(folder: StoreFolder, out: Path, scope: str = "agent:bot", **more: object) -> ExportResult:
    given: dict[str, object] = {"registry": REGISTRY, "as_of_ns": AS_OF, "actor": ME}
    return export_bundle(folder, scope, out, **(given | more))  # type: ignore[arg-type]


def content(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.read(name).decode()


def incident(folder: StoreFolder) -> Incident:
    with Control(folder) as control:
        opened = control.open_incident(ME, scope="agent:bot", severity="SEV1", title="a loop", runbook="runaway-loop")
        control.tick(opened.id, 1, ME)
        control.note(opened.id, "jane.doe@acme.example saw it", ME)
        control.audit(ME, "kill", "session:s1", {"kill_id": "k-1", "reason": "loop"})
        control.audit(ME, "kill", "agent:other", {"kill_id": "k-2", "reason": "not ours"})
        return opened


def test_a_bundle_holds_what_is_known_of_a_scope(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    result = export(folder, tmp_path / "b.zip")
    assert result.members == MEMBERS
    assert (result.spans, result.effects, result.sessions) == (6, 2, 1)
    assert result.sha256 == hashlib.sha256(result.path.read_bytes()).hexdigest()
    assert stat.S_IMODE(result.path.stat().st_mode) == 0o600
    checked = verify_bundle(result.path)
    assert (checked.ok, checked.problems, checked.members) == (True, (), MEMBERS)
    assert checked.manifest_sha256 == result.manifest_sha256
    spans = [json.loads(line) for line in content(result.path, "spans.ndjson").splitlines()]
    assert [row["span_id"] for row in spans] == [f"sp-{number:04d}" for number in range(1, 7)]
    assert spans[2]["parts"] == {"input": '{"to":"<email:6f2a91c04be7>"}', "output": "done"}
    assert "ended_ns" not in spans[3]
    effects = json.loads(content(result.path, "effects.json"))
    assert [system["system"] for system in effects["systems"]] == ["email"]
    assert [tool["tool"] for tool in effects["unmapped_tools"]] == ["export_csv"]
    timeline = json.loads(content(result.path, "timeline.json"))
    assert [entry["at_ns"] for entry in timeline] == sorted(entry["at_ns"] for entry in timeline)
    assert {"run started", "run ended: aborted", "llm: error"} <= {entry["what"] for entry in timeline}


def test_every_span_comes_back_as_the_record_it_was(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    export(folder, tmp_path / "b.zip")
    rows = [json.loads(line) for line in content(tmp_path / "b.zip", "spans.ndjson").splitlines()]
    copy = StoreFolder(tmp_path / "copy").prepare()
    fill(copy, [Span(**row) for row in rows])
    export(copy, tmp_path / "again.zip")
    assert content(tmp_path / "again.zip", "spans.ndjson") == content(tmp_path / "b.zip", "spans.ndjson")


def test_the_report_says_what_when_cost_touched_done_and_unknown(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    opened = incident(folder)
    export(folder, tmp_path / "b.zip", f"incident:{opened.id}", as_of_ns=time.time_ns())
    text = content(tmp_path / "b.zip", "report.md")
    for part in (
        "# Andon report: `incident:1`",
        "incident 1, SEV1: `a loop`",
        "## What happened",
        "agent `bot`: owner `payments`, on call `@payments`",
        "## When",
        "## What it cost",
        "0.0015 $, without 1 model call that no price is known for",
        "## What it touched",
        "2 writes to 1 system: 1 unknown",
        "tool `export_csv`, 1x",
        "## What was done",
        "`step.done incident:1` by `sre@bastion-1`: `step: 1`",
        "`kill session:s1` by `sre@bastion-1`: `kill_id: k-1, reason: loop`",
        "## What is not known",
        "Writes whose outcome nobody logged: 1.",
        "Spans that started and have no end: 1.",
    ):
        assert part in text
    assert "k-2" not in text


def test_an_incident_brings_its_steps_notes_and_the_audit_rows_that_concern_it(
    folder: StoreFolder, tmp_path: Path
) -> None:
    small(folder)
    opened = incident(folder)

    def redact(text: str) -> str:
        return text.replace("jane.doe@acme.example", "<email:aaaaaaaaaaaa>")

    now_ns = time.time_ns()
    export(folder, tmp_path / "b.zip", f"incident:{opened.id}", as_of_ns=now_ns, redact=redact)
    raw = (tmp_path / "b.zip").read_bytes()
    decided = json.loads(content(tmp_path / "b.zip", "incident.json"))
    assert decided["incident"]["title"] == "a loop"
    assert [step["step"] for step in decided["steps"]] == [1]
    assert [note["text"] for note in decided["notes"]] == ["<email:aaaaaaaaaaaa> saw it"]
    rows = json.loads(content(tmp_path / "b.zip", "audit.json"))
    assert [row["action"] for row in rows] == ["incident.open", "step.done", "note", "kill"]
    assert all("jane.doe" not in content(tmp_path / "b.zip", name) for name in MEMBERS)
    assert b"jane.doe" not in raw
    manifest = json.loads(content(tmp_path / "b.zip", "manifest.json"))
    assert (manifest["operator_text_redacted"], manifest["audit_head"]["seq"]) == (True, 5)


def test_the_export_is_an_audit_row(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    result = export(folder, tmp_path / "b.zip")
    with Control(folder) as control:
        row = control.audit_rows()[-1]
        assert control.verify_audit() is None
    assert (row.action, row.subject, row.by) == ("export", "agent:bot", "sre@bastion-1")
    assert row.detail["sha256"] == result.sha256
    assert row.detail["manifest_sha256"] == result.manifest_sha256


def test_the_same_moment_gives_the_same_bytes(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    incident(folder)
    one = export(folder, tmp_path / "one.zip", "all")
    two = export(folder, tmp_path / "two.zip", "all")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert export(folder, tmp_path / "three.zip", "all", as_of_ns=AS_OF + 1).sha256 != one.sha256


def test_a_window_and_a_moment_narrow_it(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    window = Window(T0 + 2 * NS_PER_S, T0 + 4 * NS_PER_S, "2 s")
    assert export(folder, tmp_path / "w.zip", window=window).spans == 2
    assert export(folder, tmp_path / "m.zip", as_of_ns=T0 + 3 * NS_PER_S).spans == 3
    assert "Nothing is stored in this scope" in content(export(folder, tmp_path / "n.zip", "user:no").path, "report.md")


def test_what_is_left_out_or_was_pruned_is_said(
    folder: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(folder)
    with sqlite3.connect(folder.telemetry) as connection:
        connection.execute("DELETE FROM payload")
    connection.close()
    assert "Payloads that retention had already removed: 2." in content(
        export(folder, tmp_path / "p.zip").path, "report.md"
    )
    monkeypatch.setattr("store.telemetry.evidence.MOST_SPANS", 2)
    result = export(folder, tmp_path / "b.zip")
    spans = [json.loads(line)["span_id"] for line in content(result.path, "spans.ndjson").splitlines()]
    assert spans == ["sp-0005", "sp-0006"]
    assert json.loads(content(result.path, "manifest.json"))["counts"]["spans_left_out"] == 4
    assert "not in the bundle: 4." in content(result.path, "report.md")


def test_what_operators_named_in_an_incident_is_redacted_everywhere(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    with Control(folder) as control:
        opened = control.open_incident(ME, scope="agent:bot", severity="SEV2", title="ask jane.doe@acme.example")
    redact = {"ask jane.doe@acme.example": "ask <email:aaaaaaaaaaaa>"}
    out = tmp_path / "b.zip"
    export(folder, out, f"incident:{opened.id}", as_of_ns=time.time_ns(), redact=lambda text: _swapped(text, redact))
    assert "<email:aaaaaaaaaaaa>" in content(out, "report.md")
    assert not [name for name in MEMBERS if "jane.doe" in content(out, name)]


def _swapped(text: str, swaps: dict[str, str]) -> str:
    for old, new in swaps.items():
        text = text.replace(old, new)
    return text


def test_a_damaged_control_db_is_said_and_does_not_stop_the_export(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    folder.control.write_bytes(b"not a database at all" * 100)
    result = export(folder, tmp_path / "b.zip")
    assert verify_bundle(result.path).ok
    assert len(result.warnings) == 2
    assert "What people did could not be read" in content(result.path, "report.md")


@pytest.mark.parametrize("text", ["incident:x", "incident:", "agent", "planet:x", "incident:-1"])
def test_what_is_no_scope_leaves_no_file(folder: StoreFolder, tmp_path: Path, text: str) -> None:
    small(folder)
    with pytest.raises(ScopeError):
        export(folder, tmp_path / "b.zip", text)
    assert not (tmp_path / "b.zip").exists()


def test_an_incident_that_is_not_there_or_no_store_leaves_no_file(folder: StoreFolder, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        export(folder, tmp_path / "b.zip")
    small(folder)
    incident(folder)
    with pytest.raises(StoreError, match="there is no incident 7"):
        export(folder, tmp_path / "b.zip", "incident:7")
    assert not (tmp_path / "b.zip").exists()


# --- H35: where it is written ---


def test_it_never_writes_over_or_through_something(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    there = tmp_path / "there.zip"
    there.write_text("keep me")
    with pytest.raises(BundleError, match="already there"):
        export(folder, there)
    assert there.read_text() == "keep me"
    target = tmp_path / "target.txt"
    (tmp_path / "link.zip").symlink_to(target)
    with pytest.raises(BundleError, match="already there"):
        export(folder, tmp_path / "link.zip")
    assert not target.exists()
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    with pytest.raises(BundleError, match="symbolic link"):
        export(folder, tmp_path / "linked" / "b.zip")
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(BundleError, match="anyone may replace files"):
        export(folder, tmp_path / "real" / "b.zip")
    with pytest.raises(BundleError, match="cannot be written"):
        export(folder, tmp_path / "absent" / "b.zip")
    assert list((tmp_path / "real").iterdir()) == []


def test_the_key_of_the_redaction_is_never_in_it(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    folder.redact_key.write_bytes(b"0123456789abcdef0123456789abcdef")
    result = export(folder, tmp_path / "b.zip", "all")
    assert all("0123456789abcdef" not in content(result.path, name) for name in MEMBERS)


# --- H33: names ---


@pytest.mark.parametrize(
    "text",
    ["../../x", "/etc/passwd", "a\0b", "x" * 300, "CON", "-rf", "a\nb", "", "agent:\udc80", "agent:a b", ".", "ＣＯＮ"],
)
def test_a_name_made_of_a_scope_stays_a_name(text: str) -> None:
    name = default_name(text, T0)
    assert name == Path(name).name
    assert name.isascii()
    assert name.startswith("andon-")
    assert len(name) < 100
    assert all(char.isalnum() or char in "-." for char in name)


def test_names_of_different_scopes_differ() -> None:
    assert default_name("agent:a b", T0) != default_name("agent:a-b", T0)
    assert default_name("agent:bot", T0).startswith("andon-agent-bot-")
    assert default_name("agent:bot", T0).endswith("-20231114T221320Z.zip")


# --- H32: what is in it does nothing ---

HOSTILE = (
    "![beacon](http://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "<img src=http://evil.example/x>",
    "<script>alert(1)</script>",
    "```\n# fence\n```",
    "`` ` ``` ````",
    "`",
    "x` ![b](http://evil.example) `y",
    "http://evil.example https://evil.example www.evil.example a@evil.example",
    "# head\n\n- [ ] list\n\n> quote\n\n| a | b |\n|---|---|",
    "[ref]: http://evil.example\n\n[ref]",
    "\x1b]52;c;AAAA\x07\x1b[2J",
    "\x9b31m \u202egnp.exe \u200b \u2028",
    "---\nfront: matter\n---",
    " lead and trail ",
    "\\`\\![x](y)",
    "&lt;img&gt; &#x60;",
    "</code></pre><img src=x>",
)
LIVE = {"image", "link_open", "html_inline", "html_block", "fence", "code_block", "blockquote_open", "table_open"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_code_and_nothing_else(text: str) -> None:
    document = f"- said: {code(text)} and {code(text[::-1])}, then `ours`\n"
    inline = [token for token in MarkdownIt("commonmark", {"html": True}).parse(document) if token.type == "inline"]
    assert len(inline) == 1
    spans = [child.content for child in inline[0].children or [] if child.type == "code_inline"]
    assert len(spans) == 3
    assert spans[2] == "ours"
    assert not {child.type for child in inline[0].children or []} & LIVE
    assert all(char.isprintable() for char in code(text))


def test_a_report_full_of_hostile_text_has_nothing_live(folder: StoreFolder, tmp_path: Path) -> None:
    spans = []
    for number, text in enumerate(HOSTILE):
        spans.append(
            span(
                number,
                agent=text,
                session=text,
                namespace=f"session:{number}",
                tool=text,
                user_id=text,
                tenant_id=text,
                status="error",
                error_type=text,
                effect_system=text,
                effect_operation=text,
                effect_resource=text,
                effect_status="confirmed",
                effect_idempotency_key=text,
                effect_external_id=text,
            )
        )
    fill(folder, spans)
    with Control(folder) as control:
        opened = control.open_incident(ME, scope="all", severity="SEV1", title=HOSTILE[0])
        for text in HOSTILE:
            control.note(opened.id, text, ME)
    result = export(folder, tmp_path / "b.zip", f"incident:{opened.id}", as_of_ns=time.time_ns())
    text = content(result.path, "report.md")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    types = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or []}
    assert not types & LIVE
    for name in MEMBERS:
        assert all(char == "\n" or char.isprintable() for char in content(result.path, name)), name
        if name != "report.md":
            assert content(result.path, name).isascii()


def test_text_is_cut_and_what_is_hidden_is_shown() -> None:
    assert plain("a\x1b\u202e\n\U000e0041b") == "a\\x1b\\u202e \\U000e0041b"
    assert plain("x" * 500, 10) == "x" * 10 + "…"
    assert (code(None), code(""), code("\n")) == ("(not known)", "(empty)", "(empty)")


# --- any one changed byte ---


def bundle_bytes(folder: StoreFolder, tmp_path: Path) -> bytes:
    small(folder)
    return export(folder, tmp_path / "whole.zip").path.read_bytes()


@pytest.mark.slow
def test_every_changed_byte_is_found(folder: StoreFolder, tmp_path: Path) -> None:
    data = bundle_bytes(folder, tmp_path)
    assert verify_file(io.BytesIO(data), len(data)).ok
    unseen = []
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            if verify_file(io.BytesIO(changed), len(changed)).ok:
                unseen.append((position, bit))
    assert unseen == []


def test_every_cut_and_every_addition_is_found(folder: StoreFolder, tmp_path: Path) -> None:
    data = bundle_bytes(folder, tmp_path)
    for size in [*range(0, len(data), 97), len(data) - 1]:
        assert not verify_file(io.BytesIO(data[:size]), size).ok
    for more in (data + b"\0", b"\0" + data, data + data):
        assert not verify_file(io.BytesIO(more), len(more)).ok


def test_a_swap_of_members_or_a_changed_member_with_mended_sums_is_found(folder: StoreFolder, tmp_path: Path) -> None:
    """Who changes the manifest too is found by its own sum, and who mends that as well has another identity."""
    small(folder)
    result = export(folder, tmp_path / "b.zip")
    with zipfile.ZipFile(result.path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["report.md"] = b"nothing happened\n"
    problem = verify_bundle(rebuilt(tmp_path / "one.zip", parts)).problems[0]
    assert "report.md" in problem
    manifest = json.loads(parts["manifest.json"])
    manifest["made_by"] = "nobody"
    parts["manifest.json"] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    assert "manifest.sha256" in verify_bundle(rebuilt(tmp_path / "two.zip", parts)).problems[0]


def rebuilt(path: Path, parts: dict[str, bytes]) -> Path:
    with path.open("w+b") as file:
        writer = ContainerWriter(file)
        for name, data in parts.items():
            writer.add(name, [data], packed=not name.startswith("manifest"))
        writer.finish()
    return path


# --- H34: files that are no bundle ---


def stored(name: str, data: bytes = b"x", *, size: int | None = None) -> bytes:
    raw = name.encode()
    header = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0x21, zlib.crc32(data), len(data), size or len(data), len(raw), 0
    )
    return header + raw + data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no member"),
        (b"PK\x05\x06" + b"\0" * 18, "no member"),
        (b"hello world, this is no zip file at all", "no member"),
        (stored("../../etc/passwd"), "no name"),
        (stored("/etc/passwd"), "no name"),
        (stored("a\nb.json"), "no name"),
        (stored("a.json") + stored("a.json"), "twice"),
        (stored("a.json", size=2**31), "may hold"),
        (stored("a.json")[:-1], "cut off"),
        (b"".join(stored(f"a{number}.json") for number in range(65)), "may hold"),
        (stored("a.json") + b"PK\x01\x02", "no bundle"),
    ],
)
def test_files_that_are_no_bundle_are_refused_in_words(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    checked = verify_bundle(path)
    assert not checked.ok
    assert said in checked.problems[0]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = pack.compress(b"\0" * 300_000_000) + pack.flush()
    name = b"manifest.json"
    header = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 0x21, 1, len(packed), 10, len(name), 0)
    data = stored("a.json") + header + name + packed + stored("manifest.sha256") + b"PK\x01\x02"
    (tmp_path / "x.zip").write_bytes(data)
    began = time.process_time()
    assert not verify_bundle(tmp_path / "x.zip").ok
    assert time.process_time() - began < 0.5


def test_an_ordinary_zip_and_one_with_a_symlink_member_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("report.md")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert not verify_bundle(tmp_path / "x.zip").ok


def test_paths_that_cannot_be_read_are_problems_and_never_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link.zip").symlink_to(tmp_path / "fifo")
    for path in (tmp_path / "none.zip", tmp_path, tmp_path / "fifo", tmp_path / "link.zip", Path("/dev/zero")):
        checked = verify_bundle(path)
        assert not checked.ok
        assert len(checked.problems) == 1


def test_a_member_name_that_is_no_name_is_not_written() -> None:
    with pytest.raises(ContainerError):
        ContainerWriter(io.BytesIO()).add("../x", [b""])


def test_a_scope_is_exported_canonically(folder: StoreFolder, tmp_path: Path) -> None:
    small(folder)
    export(folder, tmp_path / "b.zip", " tool:send+agent:bot ")
    manifest = json.loads(content(tmp_path / "b.zip", "manifest.json"))
    assert manifest["scope"] == str(Scope.of(agent="bot", tool="send"))
