"""What the fields of a Gemini CLI chat mean: token counts, texts, and how a tool call ended."""

from __future__ import annotations

import re
from typing import Any

from collectors.formats.decode import canonical, token_count, word
from store.record.span import Span

# Messages of the program to the user: known, and no step of the agent.
SILENT_TYPES = frozenset(["about", "compression", "quit", "stats", "tool_group", "tool_stats", "warning"])
_STATUS: dict[str, tuple[str, str | None]] = {
    "success": ("ok", None),
    "error": ("error", "tool_error"),
    "cancelled": ("cancelled", "cancelled"),
}
# The shell tool reports success for a command that ran, whatever its exit code; some versions escape newlines twice.
_EXIT_CODE = re.compile(r"(?:^|\n|\\n)Exit Code: (-?\d{1,10})(?=\n|\\n|$)")


def said_by(message: dict[str, Any]) -> str:
    """The text of a message: a text, a list of parts, or the parts of older versions. Bytes of images are left out."""
    content = message.get("content")
    if content is None or content == "":
        content = message.get("parts")
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return ""
    return "\n".join(one for one in map(_part_text, content) if one)


def is_tool_answer(message: dict[str, Any]) -> bool:
    """True for a user's message that holds results of tools alone: no person wrote it."""
    parts = message.get("content")
    return (
        isinstance(parts, list) and bool(parts) and all(isinstance(p, dict) and "functionResponse" in p for p in parts)
    )


def thought_text(thought: dict[str, Any]) -> str:
    said = [thought.get(name) for name in ("subject", "description")]
    return "\n".join(one for one in said if isinstance(one, str) and one)


def add_tokens(span: Span, tokens: object, flags: set[str]) -> None:
    """`input` includes `cached`; `thoughts` are apart from `output`; `tool` is input that tools made."""
    if not isinstance(tokens, dict):
        return
    names = ("input", "output", "cached", "thoughts", "tool", "total")
    counts = {name: token_count(tokens.get(name)) for name in names}
    flags.update(f"tokens.{name}" for name in names if counts[name] is None and tokens.get(name) is not None)
    given, output, cached = counts["input"], counts["output"], counts["cached"]
    thoughts, made = counts["thoughts"] or 0, counts["tool"] or 0
    if given is not None:
        span.context_tokens = given + made
        if (cached or 0) <= given:
            span.tokens_input = given - (cached or 0) + made
        else:
            span.tokens_input = given + made
            flags.add("total_tokens")
    span.tokens_cache_read = cached
    span.tokens_reasoning = counts["thoughts"]
    if output is not None:
        span.tokens_output = output + thoughts
    total = counts["total"]
    if total is not None and total != (given or 0) + (output or 0) + thoughts + made:
        flags.add("total_tokens")


def call_outcome(call: dict[str, Any]) -> tuple[str | None, str | None]:
    """(status, error type) of a tool call; no status while it runs or waits."""
    status, error_type = _STATUS.get(word(call.get("status")), (None, None))
    if status == "ok":
        codes = _EXIT_CODE.findall(_response_text(call.get("result")))
        if codes and int(codes[-1]) != 0:
            return "error", "exit_code"
    return status, error_type


def _response_text(result: object) -> str:
    """What the tool told the model."""
    parts = result if isinstance(result, list) else [result]
    texts = []
    for part in parts:
        inner = part.get("functionResponse") if isinstance(part, dict) else None
        response = inner.get("response") if isinstance(inner, dict) else None
        if isinstance(response, dict) and isinstance(response.get("output"), str):
            texts.append(response["output"])
    return "\n".join(texts)


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    inline = part.get("inlineData")
    if isinstance(inline, dict) and isinstance(data := inline.get("data"), str):
        return canonical({**part, "inlineData": {**inline, "data": f"({len(data)} characters of base64)"}})
    return canonical(part)
