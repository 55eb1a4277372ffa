"""What single rows and blocks of a Claude Code transcript say; pure functions of one decoded line."""

from __future__ import annotations

import re
from typing import Any

from collectors.formats.blocks import text_in
from collectors.formats.decode import message_of, text_of, token_count, usd_nano
from store.record.span import Span

# Rows that are known and carry no span. A type in neither this list nor the parser is counted as unknown.
SILENT_TYPES = frozenset(
    [
        "agent-name",
        "ai-title",
        "attachment",
        "custom-title",
        "file-history-snapshot",
        "frame-link",
        "last-prompt",
        "mode",
        "permission-mode",
        "pr-link",
        "progress",
        "queue-operation",
        "relocated",
        "result",
        "started",
        "summary",
        "tag",
        "turn_end",
        "worktree-state",
    ]
)
TOOL_USE = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
THINKING = frozenset({"thinking", "redacted_thinking"})
SYNTHETIC = "<synthetic>"

_NOISE = (
    "<local-command-stdout",
    "<local-command-stderr",
    "<local-command-caveat",
    "<bash-input",
    "<bash-stdout",
    "<bash-stderr",
    "Caveat: The messages below",
)
_COMMAND = ("<command-name", "<command-message")
_INTERRUPTED = "[Request interrupted by user"
_REJECTED = ("The user doesn't want to proceed with this tool use", "User rejected")
_ABORTED = ("Permission prompt was aborted", _INTERRUPTED)
_TOOL_ERROR = "<tool_use_error>"
_API_FAILED = re.compile(
    r"API Error|(?:usage|session|weekly|rate) limit|limit reached|Invalid API key|Credit balance|Prompt is too long",
    re.IGNORECASE,
)
_API_STATUS = re.compile(r"API Error:? \(?(\d{3})")
_API_TYPE = re.compile(r'"type"\s*:\s*"([a-z_]{3,40}_error)"')
_STATUS_NAMES = {400: "invalid_request", 401: "authentication", 403: "permission", 413: "too_large", 429: "rate_limit"}
_STOPS = {"max_tokens": "capped", "model_context_window_exceeded": "capped", "refusal": "refused"}
_GOES_ON = frozenset({"tool_use", "pause_turn"})


def prompt_kind(row: dict[str, Any], blocks: list[dict[str, Any]]) -> str:
    """What a user row is: `prompt`, `command`, `meta`, `interrupt`, `noise` or `result`."""
    if any(str(one.get("type")).endswith("tool_result") for one in blocks):
        return "result"
    text = text_in(blocks).lstrip()
    if text.startswith(_INTERRUPTED):
        return "interrupt"
    if row.get("isCompactSummary") is True or text.startswith(_NOISE):
        return "noise"
    if row.get("isMeta") is True:
        return "meta"
    if text.startswith(_COMMAND):
        return "command"
    return "prompt" if blocks else "noise"


def add_usage(span: Span, usage: dict[str, Any], flags: set[str]) -> None:
    """Tokens of the Anthropic dialect: `input_tokens` is fresh input only, cache writes are split by life time."""
    counts: dict[str, int | None] = {}
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        counts[name] = token_count(usage.get(name))
        if counts[name] is None and usage.get(name) is not None:
            flags.add(name)
    write = counts["cache_creation_input_tokens"]
    split = usage.get("cache_creation")
    split = split if isinstance(split, dict) else {}
    short, long = (token_count(split.get(f"ephemeral_{life}_input_tokens")) for life in ("5m", "1h"))
    if (short or 0) + (long or 0) == 0 and write:
        short, long = write, None  # no split: the default life time is five minutes
    elif write is not None and (short or 0) + (long or 0) != write:
        flags.add("cache_creation")
        short = max(short or 0, write - (long or 0))
    span.tokens_input = counts["input_tokens"]
    span.tokens_output = counts["output_tokens"]
    span.tokens_cache_read = counts["cache_read_input_tokens"]
    span.tokens_cache_write_5m = short if short is not None else write
    span.tokens_cache_write_1h = long
    read_in = (span.tokens_input, span.tokens_cache_read, span.tokens_cache_write_5m, span.tokens_cache_write_1h)
    if any(one is not None for one in read_in):
        span.context_tokens = sum(one or 0 for one in read_in)
    _flag_other_prices(usage, flags)


def _flag_other_prices(usage: dict[str, Any], flags: set[str]) -> None:
    """Name what is billed apart from tokens or at another rate, so that the price is not taken for whole."""
    searches = usage.get("server_tool_use")
    if isinstance(searches, dict) and token_count(searches.get("web_search_requests")):
        flags.add("server_tool_use")
    if usage.get("speed") not in (None, "standard"):
        flags.add("speed")
    if usage.get("service_tier") not in (None, "standard", "default"):
        flags.add("service_tier")


def add_outcome(span: Span, row: dict[str, Any], message: dict[str, Any], text: str) -> None:
    """Status of a model call; an API error is told by its flag, and on a synthetic message by its text."""
    if is_api_error(row, message, text):
        span.status, span.error_type, span.error_message = "error", _error_type(row, text), message_of(text)
    elif row.get("isAbortedMidStream") is True:
        span.status, span.error_type = "aborted", "interrupted"
    else:
        stop = message.get("stop_reason")
        span.status = _STOPS.get(stop, "ok") if isinstance(stop, str) else "ok"
    if row.get("costUSD") is not None and (cost := usd_nano(row["costUSD"])) is not None:
        span.cost_nano, span.cost_basis = cost, "reported"


def is_api_error(row: dict[str, Any], message: dict[str, Any], text: str) -> bool:
    if row.get("isApiErrorMessage") is True:
        return True
    return message.get("model") == SYNTHETIC and (row.get("error") is not None or bool(_API_FAILED.search(text)))


def _error_type(row: dict[str, Any], text: str) -> str:
    if isinstance(name := row.get("error"), str) and name:
        return text_of(name) or "api_error"
    found = _API_STATUS.search(text)
    status = row.get("apiErrorStatus") if isinstance(row.get("apiErrorStatus"), int) else found and int(found[1])
    if isinstance(status, int):
        return _STATUS_NAMES.get(status) or ("overloaded" if status == 529 else f"http_{status}"[:16])
    named = _API_TYPE.search(text)
    return named[1] if named else "api_error"


def is_final(message: dict[str, Any], has_tool: bool, has_text: bool) -> bool:
    """True where this row may be a run's last word. Before 2.1 `stop_reason` is null nearly always: text decides."""
    stop = message.get("stop_reason")
    if isinstance(stop, str):
        return stop not in _GOES_ON
    return has_text and not has_tool


def result_outcome(row: dict[str, Any], block: dict[str, Any], text: str) -> tuple[str, str | None]:
    """(status, error type) of a tool call by its result."""
    if block.get("is_error") is not True and not text.startswith(_TOOL_ERROR):
        return "ok", None
    if row.get("toolDenialKind") is not None or text.startswith(_REJECTED):
        return "cancelled", "rejected"
    if text.startswith(_ABORTED):
        return "aborted", "interrupted"
    return "error", "tool_use_error" if text.startswith(_TOOL_ERROR) else "tool_error"
