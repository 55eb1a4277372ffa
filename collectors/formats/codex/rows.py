"""What the fields of a Codex rollout mean: token counts, texts of items, and how a tool call ended."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from collectors.formats.blocks import payload_text
from collectors.formats.codex.state import Counts
from collectors.formats.decode import canonical, text_of, token_count
from store.record.span import Span

# Rows, events and items that are known and carry no span: settings, or what another row says as well.
SILENT_ROWS = frozenset(["compacted", "inter_agent_communication_metadata", "world_state"])
SILENT_EVENTS = frozenset(
    [
        "account/rateLimits/updated",
        "agent_message",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "agent_reasoning_section_break",
        "background_event",
        "codex/event/raw_item",
        "collab_agent_interaction_end",
        "collab_agent_spawn_end",
        "collab_close_end",
        "collab_resume_end",
        "collab_waiting_end",
        "context_compacted",
        "dynamic_tool_call_request",
        "entered_review_mode",
        "exited_review_mode",
        "guardian_assessment",
        "image_generation_end",
        "item_completed",
        "plan_update",
        "sub_agent_activity",
        "thread_goal_updated",
        "thread_name_updated",
        "thread_rolled_back",
        "thread_settings_applied",
        "turn_diff",
        "undo_completed",
        "view_image_tool_call",
        "web_search_end",
    ]
)
SILENT_ITEMS = frozenset(["compaction", "compaction_summary", "context_compaction", "ghost_snapshot", "other"])
CALL_ITEMS = frozenset(["function_call", "custom_tool_call", "tool_search_call", "local_shell_call", "tool_call"])
RESULT_ITEMS = frozenset(
    ["function_call_output", "custom_tool_call_output", "tool_search_output", "tool_result", "function_result"]
)
HOSTED_ITEMS = {"web_search_call": "web_search", "image_generation_call": "image_generation"}  # begun and ended at once
# Texts that Codex itself puts before the user's own words.
_CONTEXT = (
    "# AGENTS.md instructions",
    "<INSTRUCTIONS>",
    "<environment_context>",
    "<permissions instructions>",
    "<skill>",
    "<subagent_notification>",
    "<turn_aborted>",
    "<user_instructions>",
    "<user_shell_command>",
)
_EXIT_CODE = re.compile(r"^(?:Exit code:|Process exited with code) (-?\d{1,10})$", re.MULTILINE)
_HEADER_CHARS = 1000  # what the tool itself says of a command stands before the command's output
_REJECTED = ("exec command rejected by user", "patch rejected by user", "rejected by user")
_ABORTED = ("aborted by user", "command aborted by user")
_FAILED = (
    "apply_patch verification failed",
    "exec_command failed",
    "execution error",
    "failed to parse function arguments",
    "tool call error",
    "unsupported call",
    "unsupported custom tool call",
)
_COUNT_FIELDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "total_tokens",
)
_OLD_COUNT_FIELDS = ("prompt", "", "", "completion", "", "")
_decode = msgspec.json.Decoder().decode


def counts_of(usage: object, flags: set[str]) -> Counts | None:
    """A usage object -> its counts (None where it has none); a field that is no count is flagged by its name."""
    if not isinstance(usage, dict):
        return None
    names = _COUNT_FIELDS if usage.keys() & set(_COUNT_FIELDS) else _OLD_COUNT_FIELDS
    counts = [token_count(usage.get(name)) if name else None for name in names]
    flags.update(f"tokens.{name}" for name, one in zip(names, counts, strict=True) if one is None and usage.get(name))
    return Counts(*counts) if any(one is not None for one in counts) else None


def increase(now: Counts, before: Counts | None, last: Counts | None) -> Counts | None:
    """What was used since the totals `before`; None where nothing was: each snapshot is written about twice.

    Totals that fell belong to a new count: then it is what the last response used, where the log says so.
    """
    if before is None:
        return now
    pairs = list(zip(msgspec.structs.astuple(now), msgspec.structs.astuple(before), strict=True))
    if any((new or 0) < (old or 0) for new, old in pairs):
        return last or now
    grown = Counts(*(None if new is None else new - (old or 0) for new, old in pairs))
    return grown if any(msgspec.structs.astuple(grown)) else None


def add_counts(span: Span, counts: Counts, flags: set[str]) -> None:
    """Put an increase into a span: fresh input = input - cached - written. What does not add up is flagged."""
    read, written = counts.cached or 0, counts.cache_write or 0
    fresh = counts.input
    if fresh is not None:
        if read + written <= fresh:
            fresh -= read + written
        else:
            flags.add("total_tokens")
    span.tokens_input, span.tokens_output = fresh, counts.output
    span.tokens_cache_read, span.tokens_cache_write_5m = counts.cached, counts.cache_write
    span.tokens_reasoning = counts.reasoning
    if counts.total is not None and counts.total != (counts.input or 0) + (counts.output or 0):
        flags.add("total_tokens")


def is_context(text: str) -> bool:
    """True for a user message that Codex wrote itself."""
    return text.startswith(_CONTEXT)


def item_text(item: dict[str, Any]) -> str:
    """What a message or reasoning item says, in any of its shapes."""
    for name in ("content", "message", "text"):
        if (value := item.get(name)) is not None:
            return joined_text(value)
    return ""


def joined_text(value: object) -> str:
    """A text, or a list of `{type, text}` joined; all else as JSON."""
    if isinstance(value, list) and value:
        texts = [one.get("text") if isinstance(one, dict) else None for one in value]
        said = [one for one in texts if isinstance(one, str)]
        if len(said) == len(texts):
            return "\n".join(said)
    if isinstance(value, dict) and isinstance(value.get("text"), str) and "type" in value:
        return str(value["text"])
    return payload_text(value)


def reasoning_text(item: dict[str, Any]) -> str:
    """The summary of the model's thoughts, and the thoughts themselves where they are not encrypted."""
    said = [joined_text(item[name]) for name in ("summary", "content") if item.get(name)]
    return "\n".join(one for one in said if one)


def call_input(item: dict[str, Any]) -> str | None:
    """The arguments of a call: a JSON text inside the JSON in most versions, an object in some."""
    for name in ("arguments", "input", "action"):
        if (value := item.get(name)) is not None:
            return canonical(value)
    return None


def call_name(item: dict[str, Any], kind: str) -> str | None:
    """The tool's name; an MCP tool's with its server in front, as in other agents' logs."""
    function = item.get("function")
    name = text_of(item.get("name")) or (text_of(function.get("name")) if isinstance(function, dict) else None)
    space = text_of(item.get("namespace"))
    if name and space and space.startswith("mcp__") and not name.startswith("mcp__"):
        return text_of(f"{space.rstrip('_')}__{name.lstrip('_')}")
    return name or {"tool_search_call": "tool_search", "local_shell_call": "local_shell"}.get(kind)


def result_of(item: dict[str, Any]) -> tuple[str, str, str | None]:
    """(text, status, error type) of a call's result. The exit code is inside the text in most versions."""
    output = next((item[name] for name in ("output", "result", "tools") if item.get(name) is not None), None)
    code, failed = None, False
    if isinstance(output, dict):
        code, failed = _exit_in(output), output.get("success") is False
        inner = output.get("content") if "content" in output else output
        text = joined_text(inner)
    else:
        text = joined_text(output) if output is not None else ""
    if isinstance(output, str) and output.startswith("{") and '"metadata"' in output:
        try:
            wrapped = _decode(output)
        except (msgspec.DecodeError, RecursionError):
            wrapped = None
        if isinstance(wrapped, dict) and isinstance(metadata := wrapped.get("metadata"), dict):
            code = _exit_in(metadata)
            text = joined_text(wrapped.get("output", output))
    if code is None and (found := _EXIT_CODE.search(_header(text))):
        code = int(found[1])
    return (text, *_outcome(text, code, failed))


def event_failed(kind: str, event: dict[str, Any]) -> bool | None:
    """Whether the event that ends a call says it failed; None for an event that ends none."""
    if kind == "exec_command_end":
        code = event.get("exit_code")
        return isinstance(code, int) and code != 0
    if kind in ("patch_apply_end", "dynamic_tool_call_response"):
        return event.get("success") is False
    if kind == "mcp_tool_call_end":
        result = event.get("result")
        if not isinstance(result, dict):
            return False
        inner = result.get("Ok")
        return "Err" in result or (isinstance(inner, dict) and inner.get("isError") is True)
    return None


def event_tool(kind: str, event: dict[str, Any]) -> tuple[str, object]:
    """The tool of an event that ends a call, and its arguments, for a call that no item tells of."""
    if kind == "mcp_tool_call_end":
        invocation = event.get("invocation")
        if isinstance(invocation, dict):
            server, tool = text_of(invocation.get("server")), text_of(invocation.get("tool"))
            return text_of(f"mcp__{server or 'unknown'}__{tool or 'unknown'}") or "mcp", invocation.get("arguments")
        return "mcp", None
    if kind == "patch_apply_end":
        return "apply_patch", event.get("changes")
    if kind == "dynamic_tool_call_response":
        return text_of(event.get("tool")) or "dynamic_tool", event.get("arguments")
    return "exec_command", event.get("command")


def error_of(event: dict[str, Any]) -> tuple[str, str]:
    """(type, message) of an error row of any generation."""
    inner = event.get("error")
    body = inner if isinstance(inner, dict) else event
    kind: object = body.get("kind") or event.get("codex_error_info")
    if isinstance(kind, dict) and kind:
        kind = next(iter(kind))
    said = next((body[name] for name in ("message", "text") if isinstance(body.get(name), str)), None)
    if said is None:
        said = inner if isinstance(inner, str) else canonical(body)
    return text_of(kind) or "error", said


def _exit_in(row: dict[str, Any]) -> int | None:
    for name in ("exit_code", "exitCode"):
        code = row.get(name)
        if isinstance(code, int) and not isinstance(code, bool):
            return code
    return None


def _header(text: str) -> str:
    head, marker, _ = text[:_HEADER_CHARS].partition("\nOutput:")
    return head if marker else "\n".join(head.split("\n")[:3])


def _outcome(text: str, code: int | None, failed: bool) -> tuple[str, str | None]:
    start = text[:64].lower()
    if start.startswith(_REJECTED):
        return "cancelled", "rejected"
    if start.startswith(_ABORTED) and code is None:
        return "aborted", "interrupted"
    if code:
        return "error", "exit_code"
    if failed or (code is None and start.startswith(_FAILED)):
        return "error", "tool_error"
    return "ok", None
