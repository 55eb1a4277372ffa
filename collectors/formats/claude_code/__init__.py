"""Claude Code transcripts: one JSON object a line, in `~/.claude/projects/<folder>/<session>.jsonl`.

One model call is written as several lines that each repeat `usage`: all lines of a message become versions of
one `llm` span, and the last line wins. Namespace `global`, because a continued session repeats old messages
under a new session id. docs/formats.md has the whole mapping.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.claude_code import rows
from collectors.formats.claude_code.keys import NAMESPACE
from collectors.formats.claude_code.parser import NAME, ClaudeCodeParser
from collectors.formats.decode import UnreadableError, decode_object, word


class ClaudeCode:
    """The format itself."""

    name = NAME
    namespace = NAMESPACE
    whole = False

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                row, _ = decode_object(data)
            except UnreadableError:
                continue
            hits += _looks_like(row)
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> ClaudeCodeParser:
        return ClaudeCodeParser(facts, state)


def _looks_like(row: dict[str, Any]) -> bool:
    kind, message = word(row.get("type")), row.get("message")
    if isinstance(message, dict) and kind in ("user", "assistant", ""):
        usage = message.get("usage")
        return "sessionId" in row or (isinstance(usage, dict) and "input_tokens" in usage) or not message
    if kind == "summary":
        return "leafUuid" in row
    return "sessionId" in row and (kind in rows.SILENT_TYPES or kind in ("system", "user", "assistant"))
