"""The hour before the demo began, so that its percentiles and costs mean something at once."""

from __future__ import annotations

from pathlib import Path

from console.demo.faults import OLD_LOOP_REFUND, runaway
from console.demo.jobs import healthy_job
from console.demo.play import LogFile, PastClock, Player
from console.demo.script import PROFILES, seeded

NS_PER_S = 1_000_000_000
HISTORY_S = 3600
LOOP_AT_S = 2_100  # into the hour: one loop that its step cap ended, long before the one you are about to see
LOOP_ROUNDS = 41


def write_history(agent: str, path: Path, seed: int, until_ns: int, length_s: float = HISTORY_S) -> int:
    """Append `length_s` seconds of finished jobs that end before `until_ns`; returns the number of lines."""
    rng = seeded(seed, agent, "history")
    start_ns = until_ns - int(length_s * NS_PER_S)
    clock = PastClock(start_ns)
    lines: list[bytes] = []
    player = Player(PROFILES[agent], clock, lines.append, rng, starts=False)
    looped = agent != "billing-bot"
    clock.wait_ms(rng.random() * 5_000)
    log = LogFile(path)
    written = 0
    try:
        while True:
            if not looped and clock.now_ns() - start_ns > LOOP_AT_S * NS_PER_S:
                job, looped = runaway(rng, OLD_LOOP_REFUND, LOOP_ROUNDS), True
            else:
                job = healthy_job(agent, rng)
            player.play(job)
            if clock.now_ns() >= until_ns:  # it would end in the future: it did not happen
                return written
            log.write(b"".join(lines))
            written += len(lines)
            lines.clear()
            clock.wait_ms(job.pause_ms)
    finally:
        log.close()
