"""A log of agents at work, as Andon NDJSON: about 1.1 KB a span, 12 spans a session with a heavy tail."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
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
    text = " ".join(rng.choice(_WORDS) for _ in range(80))
    if tool:
        name = f"tool_{rng.randrange(200)}"
        row["tool"] = {"name": name, "call_id": f"c-{step}", "args": {"query": text[:260]}, "result": text[:440]}
    else:
        row["model"] = rng.choice(_MODELS)
        row["tokens"] = {"input": rng.randrange(4000), "cache_read": rng.randrange(60000), "output": rng.randrange(900)}
        row["input"], row["output"] = text[:380], text[:320]
    return row


def write_claude_code(path: Path, calls: int, seed: int = 1) -> int:
    """A Claude Code transcript: prompt, answer with a tool call, result, answer; the number of lines."""
    rng = random.Random(seed)
    at_ns, parent, number = START_NS, None, 0
    with path.open("w", encoding="utf-8") as file:

        def put(kind: str, message: dict[str, object], **more: object) -> None:
            nonlocal parent, number, at_ns
            number, at_ns = number + 1, at_ns + rng.randrange(10_000_000, 3_000_000_000)
            uuid = f"{rng.getrandbits(128):032x}"
            row = {
                "parentUuid": parent, "isSidechain": False, "userType": "external", "cwd": "/home/dev/project",
                "sessionId": "0f9e6a3c-5d2b-4c1e-9b7a-2f1d8e4c6a5b", "version": "2.0.14", "gitBranch": "main",
                "type": kind, "message": message, "uuid": uuid, "timestamp": iso(at_ns), **more,
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
            parent = uuid

        for call in range(calls):
            text = " ".join(rng.choice(_WORDS) for _ in range(60))
            if call % 10 == 0:
                put("user", {"role": "user", "content": text})
            use = f"toolu_{rng.getrandbits(96):024x}"
            usage = {"input_tokens": 4, "cache_creation_input_tokens": rng.randrange(4000),
                     "cache_read_input_tokens": rng.randrange(90000), "output_tokens": rng.randrange(900)}  # fmt: skip
            answer = {
                "id": f"msg_{rng.getrandbits(96):024x}", "type": "message", "role": "assistant", "usage": usage,
                "model": "claude-sonnet-4-5-20250929", "stop_reason": None,
            }  # fmt: skip
            request = f"req_{rng.getrandbits(96):024x}"
            put("assistant", {**answer, "content": [{"type": "text", "text": text[:200]}]}, requestId=request)
            tool = {"type": "tool_use", "id": use, "name": "Bash", "input": {"command": f"grep -rn {text[:20]} ."}}
            put("assistant", {**answer, "content": [tool]}, requestId=request)
            result = {"tool_use_id": use, "type": "tool_result", "content": text[:300]}
            put("user", {"role": "user", "content": [result]}, toolUseResult={"stdout": text[:300]})
    return number


def write_otlp(path: Path, spans: int, seed: int = 1) -> int:
    """OTLP JSON, a request of 100 spans a line, in the GenAI vocabulary; the number of spans."""
    rng = random.Random(seed)
    at_ns = START_NS
    with path.open("w", encoding="utf-8") as file:
        for _ in range(spans // 100):
            trace, root = f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(64):016x}"
            rows = []
            for step in range(100):
                at_ns += rng.randrange(1_000_000, 90_000_000)
                said: dict[str, object] = {
                    "gen_ai.operation.name": "chat" if step % 2 else "execute_tool",
                    "gen_ai.conversation.id": trace[:12],
                    "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": rng.randrange(9000),
                    "gen_ai.usage.output_tokens": rng.randrange(900), "gen_ai.tool.name": "search",
                    "gen_ai.output.messages": " ".join(rng.choice(_WORDS) for _ in range(60)),
                }  # fmt: skip
                rows.append({
                    "traceId": trace, "spanId": root if step == 0 else f"{rng.getrandbits(64):016x}",
                    "parentSpanId": "" if step == 0 else root, "name": "step", "kind": 1,
                    "startTimeUnixNano": str(at_ns), "endTimeUnixNano": str(at_ns + 70_000_000), "status": {},
                    "attributes": [{"key": key, "value": _any(value)} for key, value in said.items()],
                })  # fmt: skip
            file.write(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": rows}]}]}) + "\n")
    return spans // 100 * 100


def iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _any(value: object) -> dict[str, str]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}
