"""From a line written to its row visible to a reader: a collector follows, each line is looked for. p50, p99, worst."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path

from collectors.collect import Collector
from store.folder import StoreFolder
from store.record.scope import Scope
from store.telemetry.outcome import percentile
from store.telemetry.reader import Reader

LINES = 200


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "agent.jsonl"
        log.write_text(_line("first"), encoding="utf-8")
        folder = StoreFolder(Path(home) / "store")
        Collector(folder, [log]).run_once()
        for name, poll in (("file events", False), ("polling", True)):
            stop = threading.Event()
            thread = threading.Thread(target=Collector(folder, [log], poll=poll).follow, args=(stop,))
            thread.start()
            time.sleep(1.0)
            waits = _measure(folder, log, name)
            stop.set()
            thread.join()
            parts = [(percentile(waits, q) or 0) / 1e6 for q in (0.5, 0.99, 1.0)]
            print(f"line to row, {name:12} p50 {parts[0]:6.1f} ms   p99 {parts[1]:6.1f} ms   worst {parts[2]:6.1f} ms")


def _measure(folder: StoreFolder, log: Path, name: str) -> list[int]:
    waits = []
    with Reader(folder) as reader, log.open("a", encoding="utf-8") as file:
        for number in range(LINES):
            session = f"{name}-{number}"
            file.write(_line(session))
            file.flush()
            began_ns = time.perf_counter_ns()
            while not reader.knows(Scope.of(session=session)):
                time.sleep(0.0005)
            waits.append(time.perf_counter_ns() - began_ns)
            time.sleep(0.013)
    return sorted(waits)


def _line(session: str) -> str:
    row = {"session_id": session, "span_id": "1", "kind": "tool", "agent": "a", "time": "2026-01-01T00:00:00Z"}
    return json.dumps(row) + "\n"


if __name__ == "__main__":
    main()
