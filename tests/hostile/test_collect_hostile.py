"""A whole collector over the worst files: it ends, memory is bounded, each bad line is counted, each good one read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import line, lines, rejects, stored
from tests.unit.format_files import DATA, needs_data

MIB = 1 << 20
MOST_RESIDENT_BYTES = 160 * MIB


# In between, because a child's peak begins with what its parent held when it was made.
_MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


def collect(folder: StoreFolder, *arguments: str) -> tuple[dict[str, Any], int]:
    """The summary of `andon collect --once --json`, and the most memory that the process held, in bytes."""
    command = [sys.executable, "-m", "console.cli.main", "collect", "--once", "--json", "--store", str(folder.path)]
    done = subprocess.run([sys.executable, "-c", _MEASURE, *command, *arguments], capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()
    return json.loads(done.stdout), int(done.stderr.split()[-1]) * 1024


def test_a_line_of_100_mb_a_bomb_and_depth_stop_nothing(folder: StoreFolder, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    with (logs / "long.jsonl").open("wb") as file:
        file.write(line(0) + b'{"x": "')
        for _ in range(100):
            file.write(b"y" * MIB)
        file.write(b'"}\n' + line(1))
    deep = b'{"session_id": "s1", "kind": "tool", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    (logs / "deep.jsonl").write_bytes(line(2) + deep + line(3))
    (logs / "deep.json").write_bytes(b"[" * 100_000)
    (logs / "deeper.json").write_bytes(b'{"resourceSpans":' + b"[" * 400_000 + b"]" * 400_000 + b"}")
    (logs / "bomb.log.gz").write_bytes(gzip.compress(lines(4, 30)) + gzip.compress(b"\0" * (300 * MIB)))
    (logs / "nothing.jsonl").write_bytes(b"\0" * (8 * MIB))
    (logs / "endless.jsonl").write_bytes(b"z" * (64 * MIB))
    summary, resident_bytes = collect(folder, str(logs))
    assert stored(folder) == set(range(30))
    assert summary["spans"] == 30
    assert {str(found[2]).partition(" ")[0] for found in rejects(folder)} == {"longer", "nested"}
    assert any("unpacks" in message for message in summary["messages"])
    assert resident_bytes < MOST_RESIDENT_BYTES
    with Reader(folder) as reader:
        assert reader.recount().exact


@needs_data
@pytest.mark.parametrize("form", ["andon", "claude-code", "otlp", "langfuse"])
def test_every_damaged_json_between_good_lines(folder: StoreFolder, tmp_path: Path, form: str) -> None:
    """Each file of the test suite as a line of a log, by whatever format: the good lines around it are all read."""
    log = tmp_path / "log.jsonl"
    files = sorted(path for path in (DATA / "bad-json").rglob("*.json"))
    with log.open("wb") as file:
        for number, path in enumerate(files):
            file.write(line(number) if form == "andon" else b'{"type": "summary"}\n')
            file.write(path.read_bytes().replace(b"\n", b" ") + b"\n")
    summary, _ = collect(folder, "--format", form, str(log))
    blank = sum(not path.read_bytes().strip(b" \t\r\n\0") for path in files)
    assert summary["lines"] == 2 * len(files) - blank
    if form == "andon":
        assert stored(folder) == set(range(len(files)))
    assert summary["rejected"] + summary["records"] + sum(summary["unknown_types"].values()) <= summary["lines"]
    assert not any("the parser failed" in message for message in summary["messages"])


@needs_data
@pytest.mark.parametrize("form", [None, "andon"])
def test_the_log_corpora(folder: StoreFolder, form: str | None) -> None:
    """Logs of other programs: named as no format of ours, or every line of them is a reject with its place."""
    summary, _ = collect(folder, *(["--format", form] if form else []), str(DATA / "log-corpora"))
    if form is None:
        assert set(summary["by_format"]) <= {"unknown", "otlp"}
    else:
        assert summary["spans"] == 0
        assert summary["rejected"] == summary["lines"] > 100
    with Reader(folder) as reader:
        assert reader.recount().exact
