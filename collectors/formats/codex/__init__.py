"""Codex CLI rollouts: one JSON object a line, in `~/.codex/sessions/<year>/<month>/<day>/rollout-<time>-<id>.jsonl`.

Four generations: rows without an envelope (2025-09); `{timestamp, type, payload}` with usage on `turn.completed`
(0.50 to 0.52); the same with cumulative `token_count` events (0.53 on); and 0.146 with ids on items.
docs/formats.md has the whole mapping.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.codex.parser import CodexParser
from collectors.formats.codex.spans import NAME
from collectors.formats.decode import UnreadableError, decode_object, time_ns, word

_ROWS = frozenset(
    [
        "compacted",
        "event_msg",
        "inter_agent_communication_metadata",
        "response_item",
        "session_meta",
        "turn_context",
        "world_state",
    ]
)
_BARE_KEYS = frozenset(
    [
        "arguments",
        "call_id",
        "content",
        "created_at",
        "function",
        "message",
        "model",
        "name",
        "result",
        "role",
        "text",
        "timestamp",
        "type",
    ]
)
_BARE_TYPES = frozenset(["error", "function_call", "function_result", "tool_call", "tool_result"])


class Codex:
    """The format itself."""

    name = NAME
    namespace = "session"
    whole = False

    def recognises(self, head: list[bytes]) -> bool:
        enveloped = messages = bare = 0
        for data in head:
            try:
                row, _ = decode_object(data)
            except UnreadableError:
                continue
            if word(row.get("type")) in _ROWS and isinstance(row.get("payload"), dict) and "timestamp" in row:
                enveloped += 1
            else:
                messages += _is_bare_message(row)
                bare += _is_bare(row)
        if enveloped * 2 > len(head):
            return True
        return messages > 0 and (enveloped + bare) == len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> CodexParser:
        return CodexParser(facts, state)


def _is_bare(row: dict[str, Any]) -> bool:
    """A row of the oldest generation. Other logs have rows much like it, so nothing else may be in it."""
    if not row.keys() <= _BARE_KEYS or time_ns(row.get("timestamp", row.get("created_at"))) is None:
        return False
    return _is_bare_message(row) or word(row.get("type")) in _BARE_TYPES


def _is_bare_message(row: dict[str, Any]) -> bool:
    said = row.get("content", row.get("message"))
    return row.get("role") in ("user", "assistant") and isinstance(said, str) and "type" not in row
