"""Spans a second: Andon end to end, and what else could take in the same file, in one run on one machine.

Andon: tail, decode, normalise, price, classify, redact, compress, totals, commit. Bare: msgspec decode of the same
columns and `executemany`, which does none of that. Others are measured where they can be: `sqlite-utils insert --nl`
from this environment; DuckDB, Arize Phoenix and MLflow from an environment of their own, whose Python is named by
ANDON_BENCH_PEERS (`pip install duckdb arize-phoenix mlflow opentelemetry-exporter-otlp-proto-http`). ANDON_BENCH_SPANS
sets the size (default 50,000; docs/performance.md has a million).
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.generate import write_claude_code, write_log, write_otlp
from collectors.collect import Collector
from store.folder import StoreFolder
from store.telemetry.reader import Reader

SPANS = int(os.environ.get("ANDON_BENCH_SPANS", "50000"))
PEERS = os.environ.get("ANDON_BENCH_PEERS")


class Line(msgspec.Struct):
    session_id: str
    run_id: str
    span_id: str
    kind: str
    agent: str
    agent_version: str
    environment: str
    tenant_id: str
    user_id: str
    started_at: int
    ended_at: int
    status: str
    model: str | None = None
    tool: dict[str, Any] | None = None
    tokens: dict[str, int] | None = None


def bare(log: Path, database: Path) -> float:
    """Seconds to decode the log and insert it, with the same index on the key, 16 MiB of it at a time."""
    began = time.perf_counter()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    columns = ", ".join(Line.__struct_fields__)
    connection.execute(f"CREATE TABLE span ({columns})")
    connection.execute("CREATE UNIQUE INDEX span_key ON span (session_id, span_id)")
    marks = ", ".join("?" * len(Line.__struct_fields__))
    encode, decoder = msgspec.json.encode, msgspec.json.Decoder(Line)
    with log.open("rb") as file:
        while lines := file.readlines(16 << 20):
            rows = [msgspec.structs.astuple(line) for line in decoder.decode_lines(b"".join(lines))]
            with connection:
                connection.executemany(
                    f"INSERT INTO span VALUES ({marks})",
                    [(*row[:13], encode(row[13]), encode(row[14])) for row in rows],
                )
    connection.close()
    return time.perf_counter() - began


def andon(log: Path, store: Path) -> tuple[float, int]:
    """Seconds, and the most memory that the collector and its workers held at once (proportional set size, bytes)."""
    with _memory() as most:
        began = time.perf_counter()
        Collector(StoreFolder(store), [log]).run_once()
        took_s = time.perf_counter() - began
    return took_s, most[0]


@contextmanager
def _memory() -> Iterator[list[int]]:
    most, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            most[0] = max(most[0], sum(map(_pss, _family())))

    thread = threading.Thread(target=look)
    thread.start()
    yield most
    done.set()
    thread.join()


def _family() -> list[int]:
    """This process and all below it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return list(family)


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def sqlite_utils(log: Path, database: Path) -> float:
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("sqlite-utils")), "insert", str(database), "span", str(log), "--nl"]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def peer(name: str, *arguments: str) -> tuple[int, float] | None:
    """(spans, seconds) of a peer, as bench/peers.py measured it; None where it is not there."""
    if PEERS is None:
        return None
    command = [PEERS, str(Path(__file__).with_name("peers.py")), name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    spans, seconds = done.stdout.split()[-2:]
    return int(spans), float(seconds)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "agents.jsonl"
        spans = write_log(log, SPANS)
        size = log.stat().st_size
        bare_s = bare(log, Path(home) / "bare.db")
        andon_s, most_bytes = andon(log, Path(home) / "store")
        disk = sum(path.stat().st_size for path in (Path(home) / "store").glob("telemetry.db*"))
        with Reader(StoreFolder(Path(home) / "store")) as reader:
            exact = reader.recount().exact
        print(f"{spans:,} spans of {size / spans:,.0f} bytes, {os.cpu_count()} cores")
        _line("andon, end to end", spans, andon_s, bare_s)
        _line("bare decode and insert", spans, bare_s, bare_s)
        _line("sqlite-utils insert --nl", spans, sqlite_utils(log, Path(home) / "utils.db"), bare_s)
        if found := peer("duckdb", str(log), str(Path(home) / "duck.db")):
            _line("duckdb read_json", spans, found[1], bare_s)
        print(f"andon: {disk / spans:,.0f} bytes a span, {most_bytes / 1e6:,.0f} MB held at most, "
              f"totals {'exact' if exact else 'NOT EXACT'}")  # fmt: skip
        for name in ("phoenix", "mlflow"):
            if found := peer(name, "3000"):
                _line(f"{name} over OTLP, 3,000", found[0], found[1], bare_s / spans * found[0])
        log.unlink()
        for name, write in (("claude code", write_claude_code), ("otlp json", write_otlp)):
            other = Path(home) / f"{name}.jsonl"
            write(other, SPANS // 3 if name == "claude code" else SPANS)
            folder = StoreFolder(Path(home) / name)
            began = time.perf_counter()
            stored = Collector(folder, [other]).run_once().spans
            print(f"andon, {name:18} {stored / (time.perf_counter() - began):>9,.0f} spans/s   ({stored:,} spans)")


def _line(name: str, spans: int, took_s: float, bare_s: float) -> None:
    print(f"{name:26} {spans / took_s:>9,.0f} spans/s   {bare_s / took_s:.2f} of bare")


if __name__ == "__main__":
    main()
