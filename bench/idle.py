"""What a collector costs while nothing happens: share of one core, with 1,000 files, by file events and by polling."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = 1_000
FOR_S = 15.0
_LINE = b'{"session_id":"s","span_id":"n%d","kind":"tool","time":1790000000,"tool":{"name":"look"}}\n'


def cpu_s(pid: int) -> float:
    """User and system time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        logs = Path(name) / "logs"
        logs.mkdir()
        for number in range(FILES):
            (logs / f"{number}.jsonl").write_bytes(_LINE % number)
        for way, options in (("file events", []), ("polling", ["--poll"])):
            command = [sys.executable, "-m", "console.cli.main", "collect", str(logs), *options]
            command += ["--store", f"{name}/store", "--config", f"{name}/config"]
            collector = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            time.sleep(5)  # it starts and reads
            before_s, began_s = cpu_s(collector.pid), time.monotonic()
            time.sleep(FOR_S)
            share = (cpu_s(collector.pid) - before_s) / (time.monotonic() - began_s)
            collector.terminate()
            collector.wait()
            print(f"idle, {FILES:,} files, {way}: {share:.2%} of a core")


if __name__ == "__main__":
    main()
