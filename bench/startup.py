"""How long `andon --help` takes, and the first board of a small store: CPU seconds, the best of five."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.generate import write_log


def cpu_s(*arguments: str) -> float:
    """CPU seconds of one `andon` process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "console.cli.main", *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "agents.jsonl"
        write_log(log, 5000)
        store = ("--store", f"{home}/store", "--config", f"{home}/config")
        cpu_s("collect", "--once", *store, str(log))
        for name, arguments in (
            ("andon --help", ("--help",)),
            ("andon status, 5,000 spans", ("status", "--as-of", "latest", *store)),
        ):
            print(f"{name:28} {min(cpu_s(*arguments) for _ in range(5)):.3f} s of CPU")


if __name__ == "__main__":
    main()
