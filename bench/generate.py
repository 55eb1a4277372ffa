"""A log of agents at work, as Andon NDJSON: about 1.1 KB a span, 12 spans a session with a heavy tail."""

from __future__ import annotations

import json
import random
from pathlib import Path

START_NS = 1_760_000_000_000_000_000
_WORDS = ["invoice", "refund", "customer", "ledger", "shipment", "address", "contract", "renewal", "quota", "payload"]
_MODELS = ("claude-sonnet-4-5", "gpt-4o-mini", "gemini-2.5-flash", "claude-haiku-4-5")


def write_log(path: Path, spans: int, seed: int = 1) -> int:
    """Write about `spans` spans, a line each; the number written."""
    rng = random.Random(seed)
    written = 0
    at_ns = START_NS
    with path.open("w", encoding="utf-8") as file:
        while written < spans:
            session = f"s-{rng.getrandbits(48):012x}"
            agent = f"agent-{rng.randrange(50)}"
            for step in range(min(400, max(2, int(rng.paretovariate(1.4) * 5)))):
                at_ns += rng.randrange(1_000_000, 400_000_000)
                file.write(json.dumps(_span(rng, session, agent, step, at_ns)) + "\n")
                written += 1
    return written


def _span(rng: random.Random, session: str, agent: str, step: int, at_ns: int) -> dict[str, object]:
    tool = step % 2 == 1
    took_ms = rng.randrange(20, 9000)
    row: dict[str, object] = {
        "session_id": session,
        "run_id": f"{session}-r",
        "span_id": f"{session}-{step}",
        "kind": "tool" if tool else "llm",
        "agent": agent,
        "agent_version": "2026.11",
        "environment": "prod",
        "tenant_id": f"tenant-{rng.randrange(100)}",
        "user_id": f"u-{rng.randrange(5000)}",
        "started_at": (at_ns - took_ms * 1_000_000) // 1_000_000,
        "ended_at": at_ns // 1_000_000,
        "status": "error" if rng.random() < 0.03 else "ok",
    }
    text = " ".join(rng.choice(_WORDS) for _ in range(70))
    if tool:
        name = f"tool_{rng.randrange(200)}"
        row["tool"] = {"name": name, "call_id": f"c-{step}", "args": {"query": text[:200]}, "result": text[:360]}
    else:
        row["model"] = rng.choice(_MODELS)
        row["tokens"] = {"input": rng.randrange(4000), "cache_read": rng.randrange(60000), "output": rng.randrange(900)}
        row["input"], row["output"] = text[:300], text[:260]
    return row
