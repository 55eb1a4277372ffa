"""D6, D7 and D13: readers, consoles and a backup at work while a collector writes, and files that vanish under it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from store.folder import StoreFolder
from store.record.scope import Scope
from store.record.tools import ToolMap
from store.record.window import Window
from store.telemetry import wal
from store.telemetry.reader import Reader
from store.telemetry.views import SessionFilter
from tests.fault.feeding import append, gaps, lines, rejects, stored, until
from tests.fault.workers import Worker, follow

FOR_S = float(os.environ.get("ANDON_BUSY_S", "4"))
_FROM_NS = 1_790_000_000 * 10**9
_HOUR_NS = 3600 * 10**9


def follow_with_small_log(ready: Connection, store: str, log: str) -> None:
    """A collector whose write-ahead log may come to one megabyte."""
    wal.MAX_WAL_BYTES = 1 << 20
    follow(ready, store, [log])


def collect_refused(ready: Connection, store: str, log: str) -> None:
    """Exit code 7 where a second collector is refused."""
    from store.folder import StoreError

    try:
        follow(ready, store, [log])
    except StoreError as error:
        raise SystemExit(7 if "another collector" in str(error) else 1) from None


def look(folder: StoreFolder, end_s: float, asked: list[int], problems: list[BaseException]) -> None:
    """A console: every question, again and again."""
    try:
        with Reader(folder, limit_s=2.0) as reader:
            while time.monotonic() < end_s:
                window = Window(_FROM_NS, _FROM_NS + 24 * _HOUR_NS, "24 h")
                reader.board(window, _FROM_NS + 24 * _HOUR_NS, _FROM_NS)
                reader.sessions(SessionFilter(), _FROM_NS + 24 * _HOUR_NS)
                reader.trace("s1", _FROM_NS + 24 * _HOUR_NS, 200)
                reader.effects(Scope(), _FROM_NS + 24 * _HOUR_NS, ToolMap())
                asked.append(1)
    except BaseException as error:  # noqa: BLE001 - handed to the test
        problems.append(error)


def back_up(folder: StoreFolder, target: Path, end_s: float, done: list[int], problems: list[BaseException]) -> None:
    try:
        while time.monotonic() < end_s:
            with closing(sqlite3.connect(folder.telemetry)) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy, pages=500)
                assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                rows, offset = copy.execute(
                    "SELECT (SELECT count(*) FROM span), (SELECT coalesce(sum(offset), 0) FROM source)"
                ).fetchall()[0]
                assert offset == len(lines(0, rows)), "rows and offset are of one moment"
                done.append(rows)
    except BaseException as error:  # noqa: BLE001 - handed to the test
        problems.append(error)


def test_d6_consoles_a_backup_and_two_more_collectors_disturb_nothing(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 100))
    worker = Worker.following(folder, log)
    until(lambda: len(stored(folder)) == 100, "the first lines")
    end_s = time.monotonic() + FOR_S
    asked: list[int] = []
    backups: list[int] = []
    problems: list[BaseException] = []
    threads = [threading.Thread(target=look, args=(folder, end_s, asked, problems)) for _ in range(5)]
    threads.append(threading.Thread(target=back_up, args=(folder, tmp_path / "copy.db", end_s, backups, problems)))
    for thread in threads:
        thread.start()
    number = 100
    refused = [Worker(collect_refused, str(folder.path), str(log)) for _ in range(2)]
    while time.monotonic() < end_s:
        append(log, lines(number, number + 50))
        number += 50
        until(lambda: len(stored(folder)) >= number - 500, "it keeps up")  # noqa: B023 - used at once
    for thread in threads:
        thread.join()
    until(lambda: len(stored(folder)) == number, "all lines")
    assert worker.stop() == 0
    assert [one.wait() for one in refused] == [7, 7]
    assert problems == []
    assert len(asked) > 5
    assert backups
    assert (rejects(folder), gaps(folder)) == ([], [])


def test_d7_a_reader_that_stays_keeps_the_log_within_its_bounds(folder: StoreFolder, tmp_path: Path) -> None:
    """A suspended `sqlite3` shell, say. The collector waits, nothing is lost, and it goes on when the reader ends."""
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 100))
    worker = Worker(follow_with_small_log, str(folder.path), str(log))
    until(lambda: len(stored(folder)) == 100, "the first lines")
    wal_path = folder.telemetry.with_name("telemetry.db-wal")
    number = 100
    with closing(sqlite3.connect(folder.telemetry, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM span").fetchone() == (100,)
        while wal_path.stat().st_size < 1 << 20:
            append(log, lines(number, number + 200))
            number += 200
            until(lambda: len(stored(folder)) == number, "a batch")  # noqa: B023 - used at once
        full_bytes = wal_path.stat().st_size
        at_limit = number
        for _ in range(5):
            append(log, lines(number, number + 200))
            number += 200
        end_s = time.monotonic() + 1.0
        until(lambda: time.monotonic() > end_s, "a while")
        assert wal_path.stat().st_size == full_bytes
        assert len(stored(folder)) == at_limit
        assert worker.exit_code is None
        reader.execute("ROLLBACK")
    until(lambda: len(stored(folder)) == number, "it caught up alone")
    assert wal_path.stat().st_size < full_bytes
    assert worker.stop() == 0


def test_d7_a_question_that_takes_too_long_is_given_up(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 20_000))
    worker = Worker.following(folder, log)
    until(lambda: len(stored(folder)) == 20_000, "all lines")
    assert worker.stop() == 0
    with Reader(folder, limit_s=0.0) as reader, pytest.raises(sqlite3.OperationalError, match="interrupted"):
        reader.recount()
    with Reader(folder) as reader:
        assert reader.recount().exact


@pytest.mark.parametrize("suffixes", [("-wal", "-shm"), ("-wal",), ("-shm",)])
def test_d13_the_log_files_are_deleted_under_a_running_collector(
    folder: StoreFolder, tmp_path: Path, suffixes: tuple[str, ...]
) -> None:
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 500))
    worker = Worker.following(folder, log)
    until(lambda: len(stored(folder)) == 500, "the first lines")
    number = 500
    for _ in range(4):
        for suffix in suffixes:
            folder.telemetry.with_name("telemetry.db" + suffix).unlink(missing_ok=True)
        append(log, lines(number, number + 300))
        number += 300
        until(lambda: len(stored(folder)) == number, "everybody sees all lines again")  # noqa: B023 - used at once
    assert worker.stop() == 0
    with Reader(folder) as reader:
        assert reader.recount().exact
        assert reader.check() == "ok"


def test_d13_deleted_and_then_killed_is_read_again(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    append(log, lines(0, 500))
    worker = Worker.following(folder, log)
    until(lambda: len(stored(folder)) == 500, "the first lines")
    for suffix in ("-wal", "-shm"):
        folder.telemetry.with_name("telemetry.db" + suffix).unlink()
    worker.kill()
    append(log, lines(500, 600))
    worker = Worker.following(folder, log)
    until(lambda: len(stored(folder)) == 600, "all lines")
    assert worker.stop() == 0
    with Reader(folder) as reader:
        assert reader.recount().exact
