"""Spans a second: Andon end to end, against the bare decode and insert of the same columns, in one run.

Andon: tail, decode, normalise, price, redact, compress, totals, commit. Bare: msgspec decode and one executemany.
`ANDON_BENCH_SPANS` sets the size (default 50,000).
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from bench.generate import write_log
from collectors.collect import Collector
from store.folder import StoreFolder
from store.telemetry.reader import Reader

SPANS = int(os.environ.get("ANDON_BENCH_SPANS", "50000"))


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
    """Seconds to decode the log and insert it, with the same index on the key."""
    began = time.perf_counter()
    rows = [msgspec.structs.astuple(line) for line in msgspec.json.Decoder(Line).decode_lines(log.read_bytes())]
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    columns = ", ".join(Line.__struct_fields__)
    connection.execute(f"CREATE TABLE span ({columns})")
    connection.execute("CREATE UNIQUE INDEX span_key ON span (session_id, span_id)")
    marks = ", ".join("?" * len(Line.__struct_fields__))
    encode = msgspec.json.encode
    for start in range(0, len(rows), 20_000):
        batch = [(*row[:13], encode(row[13]), encode(row[14])) for row in rows[start : start + 20_000]]
        with connection:
            connection.executemany(f"INSERT INTO span VALUES ({marks})", batch)
    connection.close()
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "agents.jsonl"
        spans = write_log(log, SPANS)
        size = log.stat().st_size
        bare_s = bare(log, Path(home) / "bare.db")
        folder = StoreFolder(Path(home) / "store")
        began = time.perf_counter()
        Collector(folder, [log]).run_once()
        andon_s = time.perf_counter() - began
        disk = sum(path.stat().st_size for path in folder.path.glob("telemetry.db*"))
        with Reader(folder) as reader:
            exact = reader.recount().exact
    print(f"{spans:,} spans of {size / spans:,.0f} bytes")
    print(f"bare decode and insert  {spans / bare_s:>9,.0f} spans/s")
    print(f"andon end to end        {spans / andon_s:>9,.0f} spans/s   {bare_s / andon_s:.2f} of bare")
    print(f"store                   {disk / spans:>9,.0f} bytes a span, totals {'exact' if exact else 'NOT EXACT'}")


if __name__ == "__main__":
    main()
