"""One demo agent: a real process that asks the guard before every call and exits when it is halted.

`python -m console.demo.agent --name billing-bot --log FILE --switches FOLDER`. It ends with code 3 when it
was halted, and at once when its standard input closes: an agent never outlives the demo that started it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from andon_guard import Denied, Guard, Halted

from console.demo.faults import faulty_job
from console.demo.jobs import healthy_job
from console.demo.play import LogFile, Permit, Player, RealClock
from console.demo.script import AGENTS, PROFILES, Call, Job, seeded

EXIT_HALTED = 3
LONGEST_PAUSE_MS = 2_500  # an idle agent asks the guard again soon


def main(arguments: list[str] | None = None) -> int:
    """Work until halted or told to end."""
    options = _options(arguments)
    if options.watch_stdin:
        threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()
    guard = Guard(agent=options.name, folder=options.switches)
    clock = RealClock(options.speed)
    log = LogFile(options.log)
    rng = seeded(options.seed, options.name, "live")

    @contextlib.contextmanager
    def ask(job: Job, call: Call) -> Iterator[Permit]:
        asked = guard.check(
            call.kind,
            session=job.session,
            tool=call.name if call.kind == "tool" else None,
            user=job.user,
            tenant=job.tenant,
        )
        with asked as permit:
            yield Permit(permit.instance, permit.action)

    player = Player(PROFILES[options.name], clock, log.write, rng, ask, stopped_by=(Halted,), denied_by=(Denied,))
    healthy_left = options.healthy_first
    try:
        clock.wait_ms(rng.random() * 1_500)
        while True:
            fault = faulty_job(options.name, rng) if healthy_left <= 0 else None
            healthy_left = options.healthy_first if fault else healthy_left - 1
            job = fault or healthy_job(options.name, rng)
            try:
                player.play(job)
            except Halted as halted:
                if not _only_this_session(halted, job):
                    raise
                print(f"{options.name}: run ended: {halted}", file=sys.stderr)
            clock.wait_ms(min(job.pause_ms, LONGEST_PAUSE_MS))
    except Halted as halted:
        print(f"{options.name}: halted: {halted}", file=sys.stderr)
        return EXIT_HALTED
    finally:
        log.close()


def _only_this_session(halted: Halted, job: Job) -> bool:
    """A stop of one session ends its run; every other stop ends the process."""
    return halted.scope is not None and f"session:{job.session}" in halted.scope.split("+")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="console.demo.agent", description=__doc__)
    parser.add_argument("--name", required=True, choices=AGENTS)
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--switches", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--speed", type=float, default=1.0, help="waits are this many times shorter")
    parser.add_argument("--healthy-first", type=int, default=1, help="jobs without a fault before each with one")
    parser.add_argument("--watch-stdin", action="store_true", help="end when standard input closes")
    return parser.parse_args(arguments)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
