"""Lines of Codex rollouts, made for tests."""

from __future__ import annotations

from typing import Any

from tests.unit.format_files import Rows, lines_from, merged, of_kind, parse, parse_with_restarts, rejected

T_NS = 1_769_825_640_000_000_000  # 2026-01-31T02:14:00Z
META = {"id": "s-1", "cli_version": "0.104.0", "model_provider": "openai"}


def row(at_s: float, kind: str, **payload: Any) -> dict[str, Any]:
    seconds = 14 * 60 + at_s
    stamp = f"2026-01-31T02:{int(seconds // 60):02d}:{seconds % 60:06.3f}Z"
    return {"timestamp": stamp, "type": kind, "payload": payload}


def event(at_s: float, kind: str, **payload: Any) -> dict[str, Any]:
    return row(at_s, "event_msg", type=kind, **payload)


def item(at_s: float, kind: str, **payload: Any) -> dict[str, Any]:
    return row(at_s, "response_item", type=kind, **payload)


def said(at_s: float, role: str, text: str) -> dict[str, Any]:
    return item(at_s, "message", role=role, content=[{"type": "input_text", "text": text}])


def usage(given: int, cached: int, out: int, thought: int = 0, total: int | None = None) -> dict[str, int]:
    return {
        "input_tokens": given,
        "cached_input_tokens": cached,
        "output_tokens": out,
        "reasoning_output_tokens": thought,
        "total_tokens": given + out if total is None else total,
    }


def count(at_s: float, total: dict[str, int] | None, last: dict[str, int] | None = None) -> dict[str, Any]:
    info = {"total_token_usage": total, "last_token_usage": last, "model_context_window": 1000}
    return event(at_s, "token_count", info=None if total is None and last is None else info, rate_limits={})


def call(at_s: float, call_id: str = "c1", **payload: Any) -> dict[str, Any]:
    return item(at_s, "function_call", **{"name": "shell", "arguments": '{"a":1}', "call_id": call_id, **payload})


def result(at_s: float, output: object, call_id: str = "c1") -> dict[str, Any]:
    return item(at_s, "function_call_output", call_id=call_id, output=output)


def rows_of(*rows: object, meta: dict[str, Any] | None = None) -> Rows:
    lines = lines_from(row(0, "session_meta", **(META if meta is None else meta)), *rows)
    parsed = parse("codex", lines)
    assert not parsed.bad, rejected(parsed)
    pieces = parse_with_restarts("codex", lines)
    assert merged(pieces.spans) == merged(parsed.spans)
    return merged(parsed.spans)


def only(rows: Rows, kind: str) -> dict[str, Any]:
    (one,) = of_kind(rows, kind)
    return one
