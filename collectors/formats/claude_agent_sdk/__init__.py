"""Claude Agent SDK streams: what `claude -p --output-format stream-json` writes, or the wire with both directions.

One message a line, a JSON array of them, or a recording `{metadata, messages: [{direction, message}]}`. Hardly any
message has a time: only results of tools do, in some versions. What has none is stored without one. Namespace
`global`, and model calls and tools have the keys that a transcript of the same session gives them: where both are
read they are one span, and the transcript's figures stand.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.claude_agent_sdk.parser import NAME, ClaudeAgentSdkParser, message_in
from collectors.formats.claude_agent_sdk.rows import SILENT_TYPES
from collectors.formats.claude_code.keys import NAMESPACE
from collectors.formats.decode import UnreadableError, decode_value, word


class ClaudeAgentSdk:
    """The format itself."""

    name = NAME
    namespace = NAMESPACE
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        own = hits = lines = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                lines += 1
                continue
            rows = _rows_of(value)[:40]
            lines += len(rows) or 1
            for row in rows:
                message = message_in(row)
                if message is not None and "sessionId" not in message:
                    is_own = _is_own(message)
                    own += is_own
                    hits += is_own or _may_be_own(message)
        return own > 0 and hits * 2 > lines

    def parser(self, facts: SourceFacts, state: bytes = b"") -> ClaudeAgentSdkParser:
        return ClaudeAgentSdkParser(facts, state)


def _rows_of(value: object) -> list[Any]:
    if isinstance(value, dict) and isinstance(messages := value.get("messages"), list):
        return messages if all(isinstance(one, dict) and "direction" in one for one in messages[:40]) else []
    return value if isinstance(value, list) else [value]


def _may_be_own(message: dict[str, Any]) -> bool:
    kind = word(message.get("type"))
    return kind in SILENT_TYPES or (kind == "system" and {"subtype", "session_id"} <= message.keys())


def _is_own(message: dict[str, Any]) -> bool:
    """True for a message that no other log has."""
    kind = word(message.get("type"))
    if kind in ("control_request", "control_response"):
        inner = message.get("request" if kind == "control_request" else "response")
        return isinstance(inner, dict) and isinstance(inner.get("subtype"), str)
    if not isinstance(message.get("session_id"), str):
        return False
    if kind == "result":
        return "subtype" in message and bool({"duration_api_ms", "num_turns", "total_cost_usd"} & message.keys())
    if kind == "system":
        names = {"apiKeySource", "claude_code_version", "mcp_servers", "permissionMode"}
        return message.get("subtype") == "init" and bool(names & message.keys())
    return (
        kind in ("assistant", "user") and "parent_tool_use_id" in message and isinstance(message.get("message"), dict)
    )
