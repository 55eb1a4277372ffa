"""Doing a job: wait as long as its calls take, and log each one's start and end in Andon NDJSON."""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from console.demo.script import CONTEXT_LIMIT, Call, Job, Profile

NS_PER_MS = 1_000_000


class Clock(Protocol):
    def now_ns(self) -> int: ...

    def wait_ms(self, duration_ms: float) -> None: ...


class RealClock:
    """Real time; waits are `speed` times shorter."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed

    def now_ns(self) -> int:
        return time.time_ns()

    def wait_ms(self, duration_ms: float) -> None:
        time.sleep(duration_ms / 1000 / self._speed)


class PastClock:
    """A time in the past that only waiting moves: an hour of history takes no time to write."""

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def wait_ms(self, duration_ms: float) -> None:
        self._now_ns += int(duration_ms * NS_PER_MS)


class LogFile:
    """Appends whole lines, each with one write, to a file of mode 0600."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)

    def write(self, line: bytes) -> None:
        os.write(self._descriptor, line)

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Permit:
    """The number the guard gave this call, for the log: a call numbered after a stop is a leak."""

    instance: str
    action: int


Gate = Callable[[Job, Call], AbstractContextManager[Permit | None]]
"""Asked before every call. It may raise: what `denied_by` names refuses this call, `stopped_by` ends the run."""


@contextlib.contextmanager
def no_gate(_job: Job, _call: Call) -> Iterator[None]:
    yield None


class Player:
    """Plays jobs of one agent. `starts=False` leaves start lines out: nothing past is still in flight."""

    def __init__(
        self,
        profile: Profile,
        clock: Clock,
        write: Callable[[bytes], None],
        rng: random.Random,
        gate: Gate = no_gate,
        *,
        stopped_by: tuple[type[BaseException], ...] = (),
        denied_by: tuple[type[Exception], ...] = (),
        starts: bool = True,
    ) -> None:
        self._profile = profile
        self._clock = clock
        self._write = write
        self._ids = rng
        self._gate = gate
        self._stopped_by = stopped_by
        self._denied_by = denied_by
        self._starts = starts

    def play(self, job: Job) -> None:
        """Log the whole run. Where the gate raises, it is logged as aborted and the exception goes on."""
        run_id = self._new_id()
        common = self._common(job, run_id)
        run: dict[str, object] = common | {
            "kind": "run",
            "span_id": run_id,
            "input": {"task": job.title, "question": job.question},
        }
        began_ns = self._start(run)
        outcome: dict[str, object] = {"status": "error", "error_type": "crashed"}
        try:
            self._calls(job, common | {"parent_id": run_id})
            outcome = {"status": job.status, "error_type": job.error_type, "output": job.answer}
        except self._stopped_by as stop:
            outcome = {"status": "aborted", "error_type": "halted", "error_message": str(stop)}
            raise
        finally:
            self._end(run, began_ns, **outcome)

    def _calls(self, job: Job, common: dict[str, object]) -> None:
        previous: tuple[Call, str] | None = None
        for call in job.calls:
            span_id = self._new_id()
            line = common | _opening(call, span_id)
            if call.attempt > 1 and previous is not None:
                line |= {"attempt": call.attempt, "retry_of": previous[1]}
            try:
                with self._gate(job, call) as permit:
                    if permit is not None:
                        line["guard"] = {"instance": permit.instance, "action": permit.action}
                    began_ns = self._start(line)
                    self._clock.wait_ms(call.duration_ms)
                    self._end(line, began_ns, **_closing(call, span_id))
            except self._denied_by as denied:
                self._refused(line, denied)
            previous = (call, span_id)

    def _common(self, job: Job, run_id: str) -> dict[str, object]:
        profile = self._profile
        return {
            "session_id": job.session,
            "run_id": run_id,
            "agent": profile.name,
            "agent_version": profile.version,
            "environment": "demo",
            "user_id": job.user,
            "tenant_id": job.tenant,
            "prompt_hash": job.prompt_hash,
            "tools_hash": profile.tools_hash,
        }

    def _refused(self, line: dict[str, object], denied: Exception) -> None:
        """The call was not made; the model is told why and goes on."""
        line = {key: value for key, value in line.items() if key != "effect"}
        self._clock.wait_ms(1)
        self._end(line, self._clock.now_ns(), status="refused", error_type="denied", error_message=str(denied))

    def _start(self, line: dict[str, object]) -> int:
        now_ns = self._clock.now_ns()
        if self._starts:
            self._emit(line | {"started_at": stamp(now_ns)})
        return now_ns

    def _end(self, line: dict[str, object], began_ns: int, **more: object) -> None:
        now_ns = self._clock.now_ns()
        times = {
            "started_at": stamp(began_ns),
            "ended_at": stamp(now_ns),
            "duration_ms": round((now_ns - began_ns) / NS_PER_MS, 3),
        }
        self._emit(line | times | {key: value for key, value in more.items() if value is not None})

    def _emit(self, line: dict[str, object]) -> None:
        self._write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def _new_id(self) -> str:
        return f"{self._ids.getrandbits(64):016x}"


def _named(call: Call, span_id: str) -> dict[str, object]:
    return {"name": call.name, "call_id": f"call_{span_id}", "args": call.args}


def _opening(call: Call, span_id: str) -> dict[str, object]:
    line: dict[str, object] = {"kind": call.kind, "span_id": span_id}
    if call.kind == "llm":
        return line | {"model": call.model, "provider": call.provider, "context_limit": CONTEXT_LIMIT}
    line["tool"] = _named(call, span_id)
    if call.effect is not None:
        line["effect"] = call.effect | {"status": "sent", "external_id": None}
    return line


def _closing(call: Call, span_id: str) -> dict[str, object]:
    more: dict[str, object] = {
        "status": call.status,
        "error_type": call.error_type,
        "error_message": call.error_message,
        "effect": call.effect,
    }
    if call.kind == "llm":
        return more | {
            "tokens": call.tokens,
            "context_tokens": call.context_tokens,
            "ttft_ms": call.ttft_ms,
            "output": call.output,
        }
    return more | {"tool": _named(call, span_id) | {"result": call.result}}


def stamp(ns: int) -> str:
    """ns -> ISO 8601, UTC, microseconds."""
    seconds, rest = divmod(ns // 1000, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:06d}Z"
