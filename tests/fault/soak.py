"""The long versions of the fault tests: `make soak`. Two lanes at a time, a fixed time, a summary of what was done."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEQUENCES = 10_000
LIVE_SEQUENCES = 400
KILLS = 1_000
_LIVE_FROM = 1_000_000  # seeds that no other part uses


@dataclass(frozen=True)
class Part:
    """One command of the soak. `share`: of the time of its lane, where it takes what it is given."""

    name: str
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    share: float | None = None


def sequences(first: int, count: int, seconds: float, *, live: bool) -> int:
    """Run sequences of T42 until `count` or the time is reached; 1 where one of them failed."""
    from tests.fault.test_tail_model import run

    memory = Path("/dev/shm")
    where = Path(tempfile.mkdtemp(prefix="andon-soak-", dir=memory if memory.is_dir() else None))
    end_s = time.monotonic() + seconds
    done = 0
    try:
        while done < count and time.monotonic() < end_s:
            seed = first + done
            run(where, seed, live=live, poll=live and seed % 4 > 1)
            shutil.rmtree(where / str(seed))
            done += 1
    finally:
        shutil.rmtree(where, ignore_errors=True)
        print(f"{done:,} of {count:,} sequences of 30 actions were exact")
    return 0


def lanes() -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """What runs beside what: each lane keeps about one core busy."""
    test = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", "-q", "--timeout", "0"]
    own = [sys.executable, "-m", "tests.fault.soak"]
    faults = "tests/fault/test_store_"
    return (
        (
            Part("T42 restarts", [*own, "--sequences", str(SEQUENCES)], share=0.82),
            Part("T42 processes", [*own, "--sequences", str(LIVE_SEQUENCES), "--live"], share=0.18),
        ),
        (
            Part(f"D1 {KILLS:,} kills", [*test, f"{faults}kill.py", "-k", "d1_killed"], {"ANDON_KILLS": str(KILLS)}),
            Part("D12, D18", [*test, f"{faults}kill.py", "-k", "d12 or d18"]),
            Part("D2 every call", [*test, f"{faults}kill.py", "-k", "d2"], {"ANDON_KILL_EVERY": "1"}),
            Part("D3, D4", [*test, f"{faults}full.py"]),
            Part("D6, D7, D13", [*test, f"{faults}readers.py"], {"ANDON_BUSY_S": "60"}),
        ),
    )


def run_lane(parts: tuple[Part, ...], seconds: float) -> list[tuple[str, str, bool]]:
    """(part, what it came to, ended well) of each part; what does not fit into the time is said not to have run."""
    began_s = time.monotonic()
    came_to: list[tuple[str, str, bool]] = []
    for part in parts:
        left_s = seconds - (time.monotonic() - began_s)
        if left_s <= 0:
            came_to.append((part.name, "not run: no time was left", True))
            continue
        command = part.command if part.share is None else [*part.command, "--seconds", str(seconds * part.share)]
        at_s = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **part.settings}, capture_output=True, text=True, check=False
        )
        well = done.returncode == 0
        output = done.stdout.strip() or done.stderr.strip()
        last = output.splitlines()[-1] if output else "nothing was said"
        came_to.append((part.name, f"{last} ({time.monotonic() - at_s:.0f} s)", well))
        if not well:
            print(f"--- {part.name}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}", flush=True)
    return came_to


def main() -> int:
    """0 where everything held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--sequences", type=int, help="run only so many sequences of T42")
    parser.add_argument("--live", action="store_true", help="with a collector in a process of its own")
    asked = parser.parse_args()
    if asked.sequences is not None:
        first = _LIVE_FROM if asked.live else 10_000
        return sequences(first, asked.sequences, asked.seconds, live=asked.live)
    with ThreadPoolExecutor(2) as both:
        results = [one for lane in both.map(lambda parts: run_lane(parts, asked.seconds), lanes()) for one in lane]
    print(f"soak of {asked.seconds:.0f} s")
    for name, came_to, well in results:
        print(f"  {'ok  ' if well else 'FAIL'} {name}: {came_to}")
    return 0 if all(well for _, _, well in results) else 1


if __name__ == "__main__":
    sys.exit(main())
