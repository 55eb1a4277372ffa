"""Files for the collector to read, a collector that follows them, and what the store then holds."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from collectors.collect import Collector
from store.folder import StoreFolder
from store.record.batch import Source, Written

DEADLINE_S = 30.0


def row(number: int, **more: object) -> dict[str, object]:
    return {
        "session_id": "s1",
        "span_id": f"n{number}",
        "kind": "tool",
        "time": 1_790_000_000 + number,
        "agent": "feeder",
        "tool": {"name": "look"},
        **more,
    }


def line(number: int, **more: object) -> bytes:
    """One line of Andon NDJSON whose span id is `n<number>`."""
    return json.dumps(row(number, **more)).encode() + b"\n"


def lines(start: int, stop: int) -> bytes:
    return b"".join(line(number) for number in range(start, stop))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def ask(folder: StoreFolder, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder.telemetry)) as connection:
        return connection.execute(sql).fetchall()


def stored(folder: StoreFolder) -> set[int]:
    """The numbers of the lines in the store. Each span is one row, by the store's key."""
    try:
        return {int(str(found[0])[1:]) for found in ask(folder, "SELECT span_id FROM span WHERE span_id LIKE 'n%'")}
    except sqlite3.OperationalError:
        return set()  # not made yet


def gaps(folder: StoreFolder) -> list[tuple[object, ...]]:
    return ask(folder, "SELECT path, lost_bytes, reason FROM gap")


def rejects(folder: StoreFolder) -> list[tuple[object, ...]]:
    return ask(folder, "SELECT offset, length, reason, line_hash, sample FROM reject ORDER BY offset")


def sources(folder: StoreFolder) -> list[Source]:
    names = ", ".join(Source.__struct_fields__)
    found = ask(folder, f"SELECT {names} FROM source ORDER BY path")
    return [Source(**dict(zip(Source.__struct_fields__, one, strict=True))) for one in found]  # type: ignore[arg-type]


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for a condition, and fail by name after DEADLINE_S."""
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.005)


class Follower:
    """A collector that follows in a thread of its own."""

    def __init__(self, collector: Collector, folder: StoreFolder) -> None:
        self.collector = collector
        self.folder = folder
        self.written: list[Written] = []
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.collector.follow(self._stop, self.written.append)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.error = error

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the collector did not stop"
        if self.error is not None:
            raise self.error

    def until_stored(self, wanted: set[int]) -> None:
        until(lambda: self.error is not None or stored(self.folder) >= wanted, f"{len(wanted)} lines in the store")
        assert self.error is None, self.error
        assert stored(self.folder) == wanted


@contextmanager
def following(collector: Collector, folder: StoreFolder) -> Iterator[Follower]:
    follower = Follower(collector, folder)
    follower.start()
    try:
        yield follower
    finally:
        follower.stop()
