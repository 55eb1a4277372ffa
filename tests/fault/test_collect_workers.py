"""Worker processes change how fast a backlog is read, and nothing else: the same rows, totals, rejects and offsets."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collectors import reading
from collectors.collect import Collector
from collectors.summary import Summary
from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import append, following, lines, sources, stored
from tests.unit.format_files import DATA, PI_FILE, VIEWER, needs_data

BROKEN = b'{"session_id": "s1", "kind": "tool"}\nnot json\n\n'


@pytest.fixture(autouse=True)
def _everything_is_a_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BACKLOG_BYTES", 0)
    monkeypatch.setattr(reading, "_GIVEN_BYTES", 32 << 10)


def contents(folder: StoreFolder) -> dict[str, Any]:
    """Everything that must not depend on who did the work."""
    with closing(sqlite3.connect(folder.telemetry)) as connection, Reader(folder) as reader:
        names = [
            row[1] for row in connection.execute("PRAGMA table_info(span)") if row[1] not in ("no", "block", "parts")
        ]
        spans = connection.execute(f"SELECT {', '.join(names)} FROM span ORDER BY namespace, span_id").fetchall()
        keys = connection.execute("SELECT namespace, span_id FROM span").fetchall()
        return {
            "spans": spans,
            "parts": {key: reader.parts(*key) for key in keys},
            "runs": connection.execute("SELECT * FROM run ORDER BY 1, 2").fetchall(),
            "minutes": connection.execute("SELECT * FROM minute ORDER BY 1, 2").fetchall(),
            "rejects": connection.execute(
                "SELECT offset, length, reason, line_hash, sample FROM reject ORDER BY 1"
            ).fetchall(),
            "unknown": connection.execute("SELECT * FROM unknown_type ORDER BY 1").fetchall(),
            "sources": [
                (one.path, one.offset, one.head_hash, one.tail_hash, one.parser_state, one.lines, one.rejected)
                for one in sources(folder)
            ],
            "exact": reader.recount().exact,
        }


def collect(folder: StoreFolder, path: Path, workers: int) -> Summary:
    return Collector(folder, [path], workers=workers).run_once()


def started(collector: Collector) -> None:
    assert collector.summary.files, "it did not run"


@needs_data
@pytest.mark.parametrize("path", [VIEWER, PI_FILE, DATA / "codex"], ids=["claude-code", "pi", "codex"])
def test_workers_come_to_the_same_store(tmp_path: Path, path: Path) -> None:
    # one redaction key, or no token would be the same
    alone, helped = StoreFolder(tmp_path / "alone").prepare(), StoreFolder(tmp_path / "helped").prepare()
    first = collect(alone, path, 0)
    helped.redact_key.write_bytes(alone.redact_key.read_bytes())
    helped.redact_key.chmod(0o600)
    second = collect(helped, path, 2)
    assert contents(alone) == contents(helped)
    assert contents(alone)["exact"]
    assert (first.lines, first.records, first.spans, first.sessions, first.by_format, first.unknown_types) == (
        second.lines, second.records, second.spans, second.sessions, second.by_format, second.unknown_types,
    )  # fmt: skip


def test_rejects_and_long_lines_keep_their_place(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    for start in range(0, 4000, 1000):
        append(log, lines(start, start + 1000) + BROKEN + b'{"x": "' + b"y" * (1 << 21) + b'"}\n')
    alone, helped = StoreFolder(tmp_path / "alone").prepare(), StoreFolder(tmp_path / "helped").prepare()
    helped.redact_key.write_bytes(b"k" * 32)
    alone.redact_key.write_bytes(b"k" * 32)
    collect(alone, log, 0)
    collect(helped, log, 3)
    assert contents(alone) == contents(helped)
    assert stored(helped) == set(range(4000))
    assert len(contents(helped)["rejects"]) == 12


def worker_processes() -> list[int]:
    """The forked workers of this process: children of its child."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                grandparent = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if grandparent == os.getpid() and "collectors.worker" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found


def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path, folder: StoreFolder) -> None:
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 30_000))
    killed = threading.Event()

    def kill_one() -> None:
        while not killed.is_set():
            for process in worker_processes()[:1]:
                os.kill(process, signal.SIGKILL)
                killed.set()
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one)
    killer.start()
    summary = collect(folder, log, 2)
    killed.set()
    killer.join()
    assert stored(folder) == set(range(30_000))
    assert (summary.spans, summary.duplicates, summary.rejected) == (30_000, 0, 0)
    assert any("a worker process ended" in message for message in summary.messages)
    assert worker_processes() == []


def test_a_file_that_is_followed_goes_from_backlog_to_live_and_back(tmp_path: Path, folder: StoreFolder) -> None:
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 5_000))
    with following(Collector(folder, [log], workers=2), folder) as follower:
        follower.until_stored(set(range(5_000)))
        for start in range(5_000, 5_100, 10):
            append(log, lines(start, start + 10))
            follower.until_stored(set(range(start + 10)))
        append(log, lines(5_100, 9_000))
        follower.until_stored(set(range(9_000)))
        os.rename(log, log.with_suffix(".1"))  # noqa: PTH104 - a rotation
        append(log, lines(9_000, 12_000))
        follower.until_stored(set(range(12_000)))
    assert sum(written.duplicates for written in follower.written) == 0


def test_a_collector_that_is_killed_over_a_backlog_goes_on_exactly(tmp_path: Path, folder: StoreFolder) -> None:
    log = tmp_path / "a.jsonl"
    append(log, b"".join(json.dumps(row).encode() + b"\n" for row in _chat(20_000)))
    code = (
        "import sys; from pathlib import Path; from collectors import reading; "
        "from collectors.collect import Collector; "
        "from store.folder import StoreFolder; reading._BACKLOG_BYTES = 0; reading._GIVEN_BYTES = 32 << 10; "
        "Collector(StoreFolder(Path(sys.argv[1])), [sys.argv[2]], workers=2).run_once()"
    )
    for wait_s in (0.9, 1.2, 1.6, 2.2):
        process = subprocess.Popen([sys.executable, "-c", code, str(folder.path), str(log)])
        time.sleep(wait_s)
        process.kill()
        process.wait()
    collect(folder, log, 2)
    fresh = StoreFolder(tmp_path / "fresh").prepare()
    fresh.redact_key.write_bytes(folder.redact_key.read_bytes())
    collect(fresh, log, 0)
    assert contents(folder) == contents(fresh)
    assert contents(folder)["exact"]


def _chat(count: int) -> list[dict[str, Any]]:
    """A transcript whose every line depends on those before it."""
    rows: list[dict[str, Any]] = [{"type": "session", "id": "s1", "timestamp": "2026-01-31T02:14:00Z"}]
    for number in range(count):
        at = f"2026-01-31T02:{number // 600 % 60:02d}:{number // 10 % 60:02d}.{number % 10}00Z"
        user = {"role": "user", "content": f"question {number}"}
        answer = {"role": "assistant", "content": [{"type": "text", "text": "ok"}], "stopReason": "stop", "model": "m"}
        message = user if number % 2 == 0 else answer
        rows.append({"type": "message", "id": f"m{number}", "timestamp": at, "message": message})
    return rows
