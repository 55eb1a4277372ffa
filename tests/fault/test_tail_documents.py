"""Files that are one JSON value: read whole, every version anew, once by their keys, and never half."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from collectors.collect import Collector
from collectors.tail import document
from store.folder import StoreFolder
from tests.fault.feeding import ask, following, gaps, line, rejects, sources, until


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder / "chat.json"


def runs(count: int) -> dict[str, Any]:
    """A LangSmith export of so many runs."""
    return {
        "post": [
            {
                "id": f"r{number}",
                "trace_id": "t1",
                "run_type": "tool",
                "name": "look",
                "dotted_order": f"20260131T021400{number:06d}Zr{number}",
                "start_time": "2026-01-31T02:14:00Z",
                "end_time": "2026-01-31T02:14:01Z",
                "outputs": {"number": number},
            }
            for number in range(count)
        ]
    }


def pretty(count: int) -> bytes:
    return json.dumps(runs(count), indent=2).encode()


def spans(folder: StoreFolder) -> set[object]:
    try:
        return {found[0] for found in ask(folder, "SELECT span_id FROM span WHERE kind = 'tool'")}
    except sqlite3.OperationalError:
        return set()  # not made yet


def collected(folder: StoreFolder) -> bool:
    try:
        return bool(sources(folder))
    except sqlite3.OperationalError:
        return False


def ids(count: int) -> set[object]:
    return {f"r{number}" for number in range(count)}


@pytest.mark.parametrize("poll", [False, True], ids=["events", "polling"])
def test_a_document_is_read_when_it_is_whole_and_again_when_it_grew(
    folder: StoreFolder, chat: Path, *, poll: bool
) -> None:
    chat.write_bytes(pretty(3)[:200])
    with following(Collector(folder, [chat.parent], poll=poll), folder) as follower:
        until(lambda: collected(folder), "the file is known")
        assert spans(folder) == set()
        chat.write_bytes(pretty(3))
        until(lambda: spans(folder) == ids(3), "three runs")
        chat.write_bytes(pretty(5))
        until(lambda: spans(folder) == ids(5), "five runs")
        replacement = chat.with_suffix(".tmp")
        replacement.write_bytes(pretty(7))
        replacement.replace(chat)
        until(lambda: spans(folder) == ids(7), "seven runs")
        chat.write_bytes(pretty(8)[:-40])  # in the middle of being written
        chat.write_bytes(pretty(8))
        until(lambda: spans(folder) == ids(8), "eight runs")
        chat.unlink()
        until(lambda: follower.error is not None or not chat.exists(), "it went")
    assert gaps(folder) == []
    assert rejects(folder) == []
    assert len(sources(folder)) == 1, "a document that is written anew stays one source"


def test_a_document_that_says_the_same_is_not_read_again(folder: StoreFolder, chat: Path) -> None:
    chat.write_bytes(pretty(3))
    first = Collector(folder, [chat]).run_once()
    assert (first.files, first.lines, first.spans, first.by_format["langsmith"]["lines"]) == (1, 1, 3, 1)
    again = Collector(folder, [chat]).run_once()
    assert (again.lines, again.records, again.gaps) == (0, 0, 0)
    os.utime(chat)
    assert Collector(folder, [chat]).run_once().records == 0
    copy = chat.with_suffix(".new")
    copy.write_bytes(pretty(4))
    copy.replace(chat)
    grown = Collector(folder, [chat]).run_once()
    assert (grown.lines, grown.spans, grown.duplicates, grown.gaps) == (1, 1, 3, 0)
    assert [(source.whole, source.offset) for source in sources(folder)] == [(1, len(pretty(4)))]


def test_a_document_that_never_gets_whole_is_a_reject(folder: StoreFolder, chat: Path) -> None:
    chat.write_bytes(pretty(3))
    assert Collector(folder, [chat]).run_once().spans == 3
    chat.write_bytes(pretty(4)[:-9])
    summary = Collector(folder, [chat]).run_once()
    assert (summary.spans, summary.rejected) == (0, 1)
    assert [found[2] for found in rejects(folder)] == ["not one whole JSON value"]
    Collector(folder, [chat]).run_once()
    assert len(rejects(folder)) == 1, "the same damage is one reject"
    chat.write_bytes(pretty(4))
    assert Collector(folder, [chat]).run_once().spans == 1


def test_a_document_that_becomes_lines_is_read_as_lines(folder: StoreFolder, chat: Path) -> None:
    chat.write_bytes(json.dumps(runs(2)).encode())
    assert Collector(folder, [chat]).run_once().spans == 2
    assert sources(folder)[0].whole
    with chat.open("ab") as file:
        file.write(b"\n" + json.dumps(runs(5)).encode() + b"\n")
    summary = Collector(folder, [chat]).run_once()
    assert (summary.spans, summary.gaps, summary.rejected) == (3, 0, 0)
    with following(Collector(folder, [chat]), folder):
        with chat.open("ab") as file:
            file.write(json.dumps(runs(6)).encode() + b"\n")
        until(lambda: spans(folder) == ids(6), "the sixth run")


def test_a_document_past_the_limit_is_one_reject(
    folder: StoreFolder, chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.write_bytes(pretty(3))
    assert Collector(folder, [chat]).run_once().spans == 3
    monkeypatch.setattr(document, "MAX_DOCUMENT_BYTES", 4000)
    chat.write_bytes(pretty(50))
    assert Collector(folder, [chat]).run_once().rejected == 1
    assert "longer than" in str(rejects(folder)[0][2])
    assert Collector(folder, [chat]).run_once().rejected == 0


def test_another_file_at_the_same_place_or_inode_is_told_apart(folder: StoreFolder, chat: Path) -> None:
    chat.write_bytes(pretty(3))
    assert Collector(folder, [chat.parent]).run_once().spans == 3
    chat.unlink()
    (chat.parent / "other.jsonl").write_bytes(line(1) + line(2))  # ext4 gives the inode again at once
    summary = Collector(folder, [chat.parent]).run_once()
    assert (summary.spans, summary.gaps, summary.by_format["andon"]["records"]) == (2, 0, 2)
    chat.write_bytes(b'{"session_id": "s", "kind": "run", "time": "2026-01-31T02:14:00Z"}\n')
    assert Collector(folder, [chat.parent]).run_once().rejected <= 1


def test_a_collector_that_is_stopped_between_versions_goes_on(folder: StoreFolder, chat: Path) -> None:
    for count in (2, 4, 6):
        chat.write_bytes(pretty(count))
        with following(Collector(folder, [chat]), folder):
            until(lambda count=count: spans(folder) == ids(count), f"{count} runs")  # type: ignore[misc]
    assert ask(folder, "SELECT count(*) FROM source") == [(1,)]
