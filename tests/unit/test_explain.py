"""`andon collect --explain`: what it says of a record lets one mend a mapping, and it writes and leaks nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from collectors.explain import Explained, explain_file
from collectors.explain.model import FieldRow
from collectors.formats import by_name
from collectors.formats.own_json import OwnJson
from collectors.formats.own_mapping import own_mapping
from console.cli import schemas
from console.cli.main import run
from tests.unit.format_files import DATA, PI_FILE, needs_data
from tests.unit.test_cli import check_shape

T = "2026-01-31T02:14:00Z"
ROWS: list[Any] = [
    {
        "conv": "c1",
        "event": "llm_call",
        "ts": T,
        "usage": {"in": 1200, "cached": 1000},
        "out": "failed",
        "region": "eu",
    },
    {"conv": "c1", "event": "heartbeat", "ts": T},
    {"conv": "c2", "event": "llm_call", "ts": "soon"},
    {"event": "llm_call", "ts": T},
    "not an object",
]
CONFIG = """
[[source]]
path = "{path}"
format = "json"
agent = "bot"
input_includes_cache = true
[source.fields]
session_id = "conv"
kind = {{path = "event", map = {{llm_call = "llm"}}}}
time = "ts"
status = "out"
provider = "vendor.name"
tokens.input = "usage.in"
tokens.cache_read = "usage.cached"
"""


def log_of(tmp_path: Path, rows: list[Any]) -> Path:
    path = tmp_path / "own.log"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mapped(path: Path, **fields: Any) -> Explained:
    base = {"session_id": "conv", "kind": {"path": "event", "map": {"llm_call": "llm"}}, "time": "ts"}
    mapping = own_mapping(base | fields, input_includes_cache=True)
    return explain_file(path, form=OwnJson(mapping), known_by="a test", records=10)


def field(explained: Explained, record: int, name: str) -> FieldRow:
    (span,) = explained.records[record].spans
    return next(row for row in span.fields if row.field == name)


def test_each_field_has_its_path_its_value_and_what_it_became(tmp_path: Path) -> None:
    explained = mapped(
        log_of(tmp_path, ROWS),
        **{"tokens.input": "usage.in", "tokens.cache_read": "usage.cached", "status": "out", "provider": "vendor.name"},
    )
    assert [one.outcome for one in explained.records] == ["span", "passed_over", "rejected", "rejected", "rejected"]
    assert field(explained, 0, "session_id") == FieldRow("session_id", "conv", '"c1"', "c1")
    assert field(explained, 0, "kind") == FieldRow("kind", "event", '"llm_call"', "llm")
    assert field(explained, 0, "time") == FieldRow("time", "ts", f'"{T}"', "2026-01-31T02:14:00.000Z")
    fresh = field(explained, 0, "tokens.input")
    assert (fresh.raw, fresh.became, fresh.why) == ("1200", "200", "1200 less 1000 cached")
    status = field(explained, 0, "status")
    assert (status.raw, status.became) == ('"failed"', None)
    assert "give it a map" in status.why
    assert field(explained, 0, "provider").why == "the record has no 'vendor'"
    assert explained.records[0].unused == ['region = "eu"']
    missing = mapped(
        log_of(tmp_path, ROWS), **{"model": "Region", "tokens.output": "usage.inn", "host": "nothing.like"}
    )
    assert field(missing, 0, "model").why == "the record has no 'Region' (is it region?)"
    assert field(missing, 0, "tokens.output").why == "usage has no 'inn' (is it in?)"
    assert field(missing, 0, "host").why == "the record has no 'nothing'"
    kind = field(explained, 1, "kind")
    assert (kind.became, kind.why[:26]) == (None, "no kind: add it to the map")
    time = field(explained, 2, "time")
    assert (time.raw, time.why) == ('"soon"', "not ISO 8601, or not between 1973 and 2200")
    assert explained.records[3].reason == "no session_id: nothing at conv"
    assert explained.records[4].reason == "not a JSON object"


def test_the_whole_file_is_summed_up(tmp_path: Path) -> None:
    explained = mapped(log_of(tmp_path, ROWS * 3), provider="vendor.name", status="out")
    totals = explained.totals
    assert (totals.lines, totals.records, totals.spans, totals.sessions) == (15, 3, 1, 1)
    assert totals.rejected == {
        "no time: what is at ts cannot be read as time": 3,
        "no session_id: nothing at conv": 3,
        "not a JSON object": 3,
    }
    assert totals.rejected_at["no session_id: nothing at conv"] == 4
    assert totals.unknown_types == {"json/heartbeat": 3}
    assert totals.never == [("provider", "vendor.name")]
    assert totals.flags == {"status": 1}
    assert totals.kinds == {"llm": 1}


def test_what_is_likely_wrong_is_said(tmp_path: Path) -> None:
    rows = [{"conv": f"c{n}", "event": "llm_call", "ts": T, "id": n % 2} for n in range(12)]
    said = mapped(log_of(tmp_path, rows)).hints
    assert "every span is a session of its own" in said[0]
    assert "no span has both its start and its end" in said[1]
    same = [row | {"conv": "c", "took": 10**9} for row in rows]
    said = mapped(log_of(tmp_path, same), span_id="id", duration_ms="took").hints
    assert "12 records are only 2 spans" in said[0]
    assert "lasts more than a week" in said[1]


def test_what_is_passed_over_a_thousand_times_is_shown_once(tmp_path: Path) -> None:
    beats = [{"conv": "c", "event": "heartbeat", "ts": T}] * 50
    explained = mapped(log_of(tmp_path, [*beats, *["x"] * 20, *ROWS[:1] * 3]))
    assert [(one.number, one.outcome) for one in explained.records] == [
        (1, "passed_over"),
        (51, "rejected"),
        (71, "span"),
        (72, "span"),
        (73, "span"),
    ]


def test_a_document_is_explained_element_by_element(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(ROWS, indent=2))
    explained = mapped(path)
    assert explained.document
    assert [one.outcome for one in explained.records] == ["span", "passed_over", "rejected", "rejected", "rejected"]


def test_nothing_secret_is_shown_in_any_place(tmp_path: Path) -> None:
    mail, key = "bob@example.org", "AKIAIOSFODNN7EXAMPLE"
    row = {"conv": mail, "event": "llm_call", "ts": T, mail: 1, "note": key, "nested": {"who": [mail]}}
    path = log_of(tmp_path, [row, row | {"ts": mail}, row | {"event": key}])
    for explained in (
        mapped(path, user_id="nested.who.0", error_message="note"),
        explain_file(path),
        explain_file(log_of(tmp_path, [{"session_id": mail, "kind": "llm", "time": T, "error_message": key}])),
    ):
        said = repr(explained)
        assert mail not in said
        assert key not in said


def test_nothing_in_a_file_stops_it(tmp_path: Path) -> None:
    good = json.dumps(ROWS[0]).encode()
    odd = [b"[" * depth + b"]" * depth for depth in (60, 500, 900, 990, 20_000)]
    lines = [b'{"conv": "c", "event": "llm_call", "ts": "%s", "deep": %s}' % (T.encode(), one) for one in odd]
    lines += [*odd, b"\xff\xfe", b"\0\0", b"x" * 2_000_000, b"", b'{"ts": 1e999, "conv": "\\ud800"}', good]
    path = tmp_path / "odd.log"
    for ending in (b"", b"\n"):
        path.write_bytes(b"\n".join(lines) + ending)
        explained = mapped(path, output="deep.0.0")
        assert explained.totals.spans >= 3
        assert "longer than 1,048,576 bytes" in explained.totals.rejected
        assert explain_file(path, form=by_name("andon"), known_by="a test").totals.rejected
        explain_file(path)
    path.write_bytes(b"")
    assert explain_file(path).known_by == "it has no whole line"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        explain_file(tmp_path / "pipe")


def test_a_packed_file_is_explained_as_its_bytes_are(tmp_path: Path) -> None:
    plain = log_of(tmp_path, ROWS)
    packed = tmp_path / "own.log.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert mapped(packed).totals == mapped(plain).totals


# --- any format


@needs_data
def test_the_paths_of_a_real_format_are_found_by_asking_its_parser() -> None:
    """Pi: what the file says at these paths is looked up in it by plain json."""
    explained = explain_file(PI_FILE, records=40)
    rows = PI_FILE.read_bytes().splitlines()
    found = 0
    for record in explained.records:
        own = json.loads(rows[record.number - 1])
        for span in record.spans:
            for one in span.fields:
                if one.field == "model":
                    assert (one.path, one.became) == ("message.model", own["message"]["model"])
                    found += 1
                elif one.field == "tokens_output":
                    assert (one.path, one.became) == ("message.usage.output", str(own["message"]["usage"]["output"]))
                    found += 1
                elif one.field == "status" and span.kind == "llm":
                    assert one.path == "message.stopReason"
                    found += 1
    assert found > 30
    assert explained.totals.spans == 933


@needs_data
def test_every_real_file_can_be_explained() -> None:
    for folder in sorted(one for one in DATA.iterdir() if one.is_dir() and one.name != "LICENSES"):
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size < 400_000]
        for path in paths[:: max(1, len(paths) // 4)]:
            explained = explain_file(path, records=2)
            assert explained.known_by, path
            if explained.format is None:
                assert not explained.records
            else:
                assert explained.totals.lines > 0, path


def test_a_file_of_no_known_format_shows_what_it_holds(tmp_path: Path) -> None:
    path = log_of(tmp_path, [{"conversation": {"id": "c"}, "created_at": T, "type": "x"}])
    explained = explain_file(path)
    assert explained.format is None
    assert explained.sample == [("conversation.id", '"c"'), ("created_at", f'"{T}"'), ("type", '"x"')]


# --- the command


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["collect", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("ANDON_CONFIG", str(folder))
    monkeypatch.setenv("ANDON_STORE", str(tmp_path / "no-store"))
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def test_the_command_prints_at_80_columns_and_writes_no_store(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*ROWS, {"conv": "\u001b[31m" + "x" * 200, "event": "llm_call", "ts": T, "y" * 99: ["z" * 300]}]
    path = log_of(tmp_path, rows)
    (config / "andon.toml").write_text(CONFIG.format(path=path))
    code, out, _ = command(capsys, "--explain", str(path), "--records", "9")
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "\x1b" not in out
    said = " ".join(out.split())
    for words in (
        "by the mapping of [[source]] number 1 of",
        "1200 less 1000 cached",
        "the record has no 'vendor': provider",
        "REJECTED: no session_id: nothing at conv",
        "passed over: a type that is not read: json/heartbeat",
        "never provider: nothing was ever at vendor.name",
        "6 lines, 2 records, 2 spans in 2 sessions, 3 rejected, 1 passed over",
    ):
        assert words in said, words
    assert not (tmp_path / "no-store").exists()


def test_json_has_its_schema(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_of(tmp_path, ROWS)
    (config / "andon.toml").write_text(CONFIG.format(path=path))
    code, out, _ = command(capsys, "--explain", str(path), "--json")
    assert code == 0
    found = json.loads(out)
    check_shape(schemas.ExplainShape, found)
    assert found["totals"]["never"] == [{"field": "provider", "path": "vendor.name"}]
    assert found["records"][2]["spans"][0]["fields"][2]["why"] == "not ISO 8601, or not between 1973 and 2200"
    assert json.loads(out)["totals"]["first"] == "2026-01-31T02:14:00.000Z"
    unknown = log_of(tmp_path, [{"a": 1}])
    (config / "andon.toml").unlink()
    code, out, _ = command(capsys, "--explain", str(unknown), "--json")
    assert (code, json.loads(out)["sample"]) == (1, [{"path": "a", "value": "1"}])


def test_a_mapping_is_found_by_path_or_is_the_only_one(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log_of(tmp_path, ROWS)
    (config / "andon.toml").write_text(CONFIG.format(path="/elsewhere/*.log"))
    assert command(capsys, "--explain", str(path))[0] == 1  # nobody says how to read it
    code, out, _ = command(capsys, "--explain", str(path), "--format", "json")
    assert code == 0
    assert "whose path does not find this file" in " ".join(out.split())
    (config / "andon.toml").write_text(CONFIG.format(path="/elsewhere/*.log") + CONFIG.format(path="/there/*.log"))
    code, _, err = command(capsys, "--explain", str(path), "--format", "json")
    assert (code, "none of the 2 sources" in err) == (2, True)
    (config / "andon.toml").unlink()
    code, _, err = command(capsys, "--explain", str(path), "--format", "json")
    assert (code, 'no [[source]] with format = "json"' in err) == (2, True)
    code, _, err = command(capsys, "--explain", str(path), "--format", "jason")
    assert (code, "'jason' is no format: use andon" in err) == (2, True)


def test_the_suggestion_is_a_mapping_that_can_be_started_from(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"meta": {"conversation_id": "c"}, "event": "call", "created_at": T, "n": 1}]
    path = log_of(tmp_path, rows)
    code, out, _ = command(capsys, "--explain", str(path))
    assert code == 1
    toml = "\n".join(line[2:] for line in out[out.index("  [[source]]") :].splitlines() if line.startswith("  "))
    (config / "andon.toml").write_text(toml.replace("…", "call"))
    code, out, _ = command(capsys, "--explain", str(path))
    assert (code, "1 span in 1 session" in out) == (0, True)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('format = "json"', 'format = "json" needs [source.fields]'),
        ('format = "pi"\ntime_format = "s"', 'time_format: only with format = "json"'),
        ('format = "json"\ncost_units = "usd"', "unknown key source.0.cost_units"),
        ('format = "json"\n[source.fields]\nsession_id = "a"\nkind = "b"\ntim = "c"', "unknown key fields.tim"),
        ('format = "json"\n[source.fields]\nsession_id = "a"\nkind = "b"', "fields has no time"),
    ],
)
def test_a_config_that_cannot_be_used_says_which_key(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], toml: str, said: str
) -> None:
    path = log_of(tmp_path, ROWS)
    (config / "andon.toml").write_text(f'[[source]]\npath = "{path}"\n{toml}\n')
    for arguments in (("--once",), ("--explain", str(path))):
        code, _, err = command(capsys, *arguments)
        assert (code, said in err) == (2, True), err
        assert err.count("\n") == 1


def test_collect_once_reads_own_json_by_config_and_by_name(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_of(tmp_path, ROWS)
    (config / "andon.toml").write_text(CONFIG.format(path=path))
    for arguments in (("--once",), ("--once", str(path), "--format", "json")):
        monkeypatch.setenv("ANDON_STORE", str(tmp_path / f"store-{len(arguments)}"))
        code, out, _ = command(capsys, *arguments, "--json")
        summary = json.loads(out)
        assert (code, summary["spans"], summary["rejected"]) == (0, 1, 3)
        ((name, counts),) = summary["by_format"].items()
        assert re.fullmatch(r"json:[0-9a-f]{8}", name)
        assert counts["files"] == 1


def test_what_is_no_file_is_one_line(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, _, err = command(capsys, "--explain", str(tmp_path / "pipe"))
    assert (code, err) == (2, f"andon: {tmp_path / 'pipe'}: it is no regular file\n")
    assert command(capsys, "--explain", str(tmp_path))[0] == 2
    assert command(capsys, "--explain", str(tmp_path / "nothing"))[0] == 2
