"""Pi sessions: one JSON object a line, in `~/.pi/agent/sessions/<folder>/<time>_<id>.jsonl`.

Two clocks: a message's inner `timestamp` (epoch ms) is when it was begun, the row's outer one (ISO) is when the
line was written. So a model call runs from inner to outer. Namespace `session:<id>`: newer rows carry an id that
is unique in its session; older ones carry none and are known by a hash of their line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import msgspec

from collectors.formats.base import SourceFacts
from collectors.formats.blocks import blocks_of, payload_text
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_object,
    digest,
    iso_ns,
    message_of,
    number_ns,
    text_of,
    token_count,
    type_name,
    usd_nano,
    word,
)
from collectors.formats.row_parser import RowParser
from store.record.span import Rank, Span

# Rows and roles that are known and carry no span.
SILENT_TYPES = frozenset(
    [
        "branch_summary",
        "compaction",
        "custom",
        "custom_message",
        "label",
        "model_change",
        "session_info",
        "thinking_level_change",
    ]
)
SILENT_ROLES = frozenset(["bashExecution", "branchSummary", "compactionSummary", "custom", "hookMessage", "system"])
_ROLES = frozenset({"user", "assistant", "toolResult"})
_STATUS = {
    "stop": "ok",
    "toolUse": "ok",
    "end_turn": "ok",
    "length": "capped",
    "error": "error",
    "aborted": "aborted",
}
_API_TYPE = re.compile(r'"type"\s*:\s*"([a-z_]{3,40}_error)"')
_MAX_CALLS = 48


class Call(msgspec.Struct, array_like=True):
    """A tool call without a result so far."""

    name: str | None
    parent: str
    run: str | None
    started_ns: int
    abandoned: bool = False


class State(msgspec.Struct, array_like=True):
    """Ids and times, never text of the log."""

    session: str | None = None
    run: str | None = None
    run_open: bool = False
    last_ns: int | None = None
    calls: dict[str, Call] = {}


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class Pi:
    """The format itself."""

    name = "pi"
    namespace = "session"
    whole = False

    def recognises(self, head: list[bytes]) -> bool:
        own = hits = 0
        for data in head:
            try:
                row, _ = decode_object(data)
            except UnreadableError:
                continue
            kind, message = word(row.get("type")), row.get("message")
            if kind == "session" and "id" in row and "timestamp" in row:
                own, hits = own + 1, hits + 1
            elif kind == "message" and isinstance(message, dict) and isinstance(message.get("role"), str):
                own += "stopReason" in message or message["role"] == "toolResult"
                hits += 1
            else:
                hits += kind in SILENT_TYPES
        return own > 0 and hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> PiParser:
        return PiParser(facts, state)


class PiParser(RowParser):
    """Reads one session file in order."""

    def __init__(self, facts: SourceFacts, state: bytes = b"") -> None:
        self._agent = facts.agent or Pi.name
        self._stem = cap(PurePath(facts.path).stem)
        super().__init__(Pi.name)
        try:
            self._state = _decode_state(state) if state else State()
        except msgspec.MsgspecError:  # written by another version of this program
            self._state = State()

    def state(self) -> bytes:
        return _encode_state(self._state)

    def _row(self, data: bytes) -> None:
        row, mended = decode_object(data)
        kind, message = word(row.get("type")), row.get("message")
        if kind == "session":
            self._state.session = text_of(row.get("id"))
            return
        if kind in SILENT_TYPES:
            return
        if kind != "message":
            self._unknown(type_name(kind))
            return
        if not isinstance(message, dict):
            raise UnreadableError("message is not an object")
        role = word(message.get("role"))
        if role in SILENT_ROLES:
            return
        if role not in _ROLES:
            self._unknown(f"message-{type_name(role)}")
            return
        outer, inner = _iso(row.get("timestamp")), _number(message.get("timestamp"))
        written = outer if outer is not None else inner
        if written is None:
            raise UnreadableError("no timestamp that can be read")
        begun = written if inner is None else min(inner, written)
        key = text_of(row.get("id")) or digest(data)
        if role == "user":
            self._user(message, key, begun, mended)
        elif role == "assistant":
            self._assistant(message, key, begun if inner is not None else None, written, mended)
        else:
            self._result(message, key, begun)
        self._state.last_ns = written

    def _span(self, span_id: str, kind: str, **fields: Any) -> Span:
        session = self._state.session or self._stem
        span = Span(
            namespace=f"session:{session}",
            span_id=span_id,
            kind=kind,
            session=session,
            format=Pi.name,
            agent=self._agent,
            **fields,
        )
        self._out.spans.append(span)
        return span

    # --- runs

    def _user(self, message: dict[str, Any], key: str, at_ns: int, mended: set[str]) -> None:
        self._abandon(at_ns, lambda _: True)
        state = self._state
        if state.run_open:  # a prompt that came before the answer to the one before
            self._run(Rank.ABANDONED, ended_ns=state.last_ns, status="unknown")
        state.run, state.run_open = key, True
        span = self._run(Rank.STARTED, started_ns=at_ns)
        if text := payload_text(message.get("content")):
            span.parts["input"] = text
        if mended:
            span.flags = ",".join(sorted(mended))

    def _run(self, rank: Rank, **fields: Any) -> Span:
        run = self._state.run
        return self._span(f"run:{run}", "run", run_id=run, rank=rank, **fields)

    # --- the model

    def _assistant(
        self, message: dict[str, Any], key: str, begun_ns: int | None, ended_ns: int, mended: set[str]
    ) -> None:
        state = self._state
        if begun_ns is None:  # no inner clock: the model was called when the line before was written
            begun_ns = ended_ns if state.last_ns is None else min(state.last_ns, ended_ns)
        self._abandon(ended_ns, lambda call: call.parent != key)
        blocks = blocks_of(message.get("content"))
        stop = message.get("stopReason")
        status = "ok" if stop is None else _STATUS.get(stop, "unknown") if isinstance(stop, str) else "unknown"
        span = self._span(
            key,
            "llm",
            run_id=state.run,
            parent_id=None if state.run is None else f"run:{state.run}",
            started_ns=begun_ns,
            ended_ns=ended_ns,
            status=status,
            model=text_of(message.get("model")),
            provider=text_of(message.get("provider")),
        )
        flags = set(mended)
        _add_usage(span, message.get("usage"), flags)
        if isinstance(said := message.get("errorMessage"), str) and said:
            named = _API_TYPE.search(said)
            span.error_type = "aborted" if status == "aborted" else named[1] if named else "api_error"
            span.error_message = message_of(said)
        self._blocks(blocks, span, ended_ns)
        if flags:
            span.flags = ",".join(sorted(flags))
        if status in ("error", "aborted"):
            self._abandon(ended_ns, lambda call: call.parent == key)  # Pi does not make the calls of a broken answer
        calls = any(one.get("type") == "toolCall" for one in blocks)
        if state.run is not None and (status != "ok" or (stop != "toolUse" and not calls)):
            self._run(Rank.ENDED, ended_ns=ended_ns, status=status, error_type=span.error_type)
            state.run_open = False

    def _blocks(self, blocks: list[dict[str, Any]], span: Span, at_ns: int) -> None:
        for number, block in enumerate(blocks):
            kind = word(block.get("type"))
            if kind == "text":
                if isinstance(said := block.get("text"), str) and said:
                    span.parts[f"output:{number:02d}"] = said
            elif kind == "thinking":
                thought = self._span(
                    f"{span.span_id}:thinking:{number}",
                    "reasoning",
                    run_id=span.run_id,
                    parent_id=span.span_id,
                    started_ns=span.started_ns,
                    ended_ns=at_ns,
                    status="ok",
                )
                if isinstance(said := block.get("thinking"), str) and said:
                    thought.parts["output"] = said
            elif kind == "toolCall":
                self._call(block, span, number, at_ns)
            else:
                self._unknown(f"block-{type_name(kind)}")

    def _call(self, block: dict[str, Any], span: Span, number: int, at_ns: int) -> None:
        calls, name = self._state.calls, text_of(block.get("name"))
        call_id = text_of(block.get("id")) or f"{span.span_id}:tool:{number}"
        calls.pop(call_id, None)
        calls[call_id] = Call(name, span.span_id, span.run_id, at_ns)
        if len(calls) > _MAX_CALLS:
            oldest = next(iter(calls))
            gone = calls.pop(oldest)
            if not gone.abandoned:
                self._end_of_call(oldest, gone, Rank.ABANDONED, at_ns, "unknown")
        opened = self._span(
            call_id,
            "tool",
            run_id=span.run_id,
            parent_id=span.span_id,
            tool=name,
            name=name,
            started_ns=at_ns,
            rank=Rank.STARTED,
        )
        if (given := block.get("arguments")) is not None:
            opened.parts["input"] = canonical(given)

    # --- tools

    def _result(self, message: dict[str, Any], key: str, at_ns: int) -> None:
        call_id = text_of(message.get("toolCallId")) or f"{key}:result"
        call = self._state.calls.pop(call_id, None)
        name = text_of(message.get("toolName"))
        failed = message.get("isError") is True
        status = "error" if failed else "ok"
        if call is None:
            span = self._span(
                call_id, "tool", run_id=self._state.run, tool=name, name=name, ended_ns=at_ns, status=status
            )
        else:
            call.name = call.name or name
            span = self._end_of_call(call_id, call, Rank.ENDED, at_ns, status)
        text = payload_text(message["content"]) if message.get("content") is not None else ""
        span.parts["output"] = text
        if message.get("details") is not None:
            span.parts["details"] = canonical(message["details"])
        if failed:
            span.error_type, span.error_message = "tool_error", message_of(text)

    def _end_of_call(self, call_id: str, call: Call, rank: Rank, ended_ns: int, status: str) -> Span:
        return self._span(
            call_id,
            "tool",
            run_id=call.run,
            parent_id=call.parent,
            tool=call.name,
            name=call.name,
            started_ns=call.started_ns,
            ended_ns=max(ended_ns, call.started_ns),
            rank=rank,
            status=status,
        )

    def _abandon(self, at_ns: int, which: Callable[[Call], bool]) -> None:
        """The log went on without an answer to these calls. An answer that comes later still wins."""
        for call_id, call in self._state.calls.items():
            if not call.abandoned and which(call):
                call.abandoned = True
                self._end_of_call(call_id, call, Rank.ABANDONED, at_ns, "unknown")


def _iso(value: object) -> int | None:
    return iso_ns(value) if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return number_ns(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _add_usage(span: Span, usage: object, flags: set[str]) -> None:
    """Tokens of Pi's dialect (`input` is fresh only) and its own price. A broken call that counted none is unknown."""
    if not isinstance(usage, dict):
        return
    names = ("input", "output", "cacheRead", "cacheWrite")
    counts = {name: token_count(usage.get(name)) for name in names}
    flags.update(name for name in names if counts[name] is None and usage.get(name) is not None)
    if span.status in ("error", "aborted") and not any(counts.values()):
        return
    span.tokens_input, span.tokens_output = counts["input"], counts["output"]
    span.tokens_cache_read, span.tokens_cache_write_5m = counts["cacheRead"], counts["cacheWrite"]
    total = token_count(usage.get("totalTokens"))
    if total is not None and total != sum(one or 0 for one in counts.values()):
        flags.add("totalTokens")
    read_in = (counts["input"], counts["cacheRead"], counts["cacheWrite"])
    if any(one is not None for one in read_in):
        span.context_tokens = sum(one or 0 for one in read_in)
    cost = usage.get("cost")
    if isinstance(cost, dict) and cost.get("total") is not None:
        span.cost_nano = usd_nano(cost["total"])
        if span.cost_nano is None:
            flags.add("cost")
        else:
            span.cost_basis = "reported"
