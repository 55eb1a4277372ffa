"""Reads one Claude Agent SDK stream in order.

The only clock is the time that results of tools carry. A span that lies beside such a line takes its time, flagged
`time`: an answer ends no later than the next time that is told, and a request no earlier than the last one, with the
length that its result states. Where no line of a request has a time, its spans have none: they are in the totals of
their session, and in no window.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import msgspec

from collectors.formats.base import BadLine, Line, SourceFacts
from collectors.formats.blocks import blocks_of, payload_text
from collectors.formats.claude_agent_sdk.rows import (
    SILENT_TYPES,
    Totals,
    add_result,
    context_of,
    figures_of,
    outcome_of,
)
from collectors.formats.claude_code.keys import NAMESPACE, unique
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_value,
    digest,
    iso_ns,
    message_of,
    text_of,
    token_count,
    type_name,
    word,
)
from collectors.formats.row_parser import RowParser
from store.record.span import NS_PER_MS, Rank, Span

NAME = "claude-agent-sdk"
_SYNTHETIC = "<synthetic>"
_UNKNOWN_SESSION = "default"  # what a client sends before it knows
_MAX_OPEN = 48


class Open(msgspec.Struct, array_like=True):
    """An answer or a call whose end no line has told yet."""

    kind: str
    parent: str | None
    started_ns: int | None
    name: str | None = None
    model: str | None = None
    context: int | None = None
    error: str | None = None
    blocks: int = 0


class State(msgspec.Struct, array_like=True):
    """Ids, times and counts, never text of the log."""

    session: str | None = None
    version: str | None = None
    model: str | None = None
    run: str | None = None
    runs: int = 0
    is_answered: bool = False
    first_ns: int | None = None  # the first and the last time that a line of the open run told
    last_ns: int | None = None
    totals_session: str | None = None
    totals: Totals = msgspec.field(default_factory=Totals)
    open: dict[str, Open] = {}


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


def message_in(row: object) -> dict[str, Any] | None:
    """The message of a row, which may be wrapped with the direction that it went."""
    if isinstance(row, dict) and "direction" in row:
        row = row.get("message")
    return row if isinstance(row, dict) else None


class ClaudeAgentSdkParser(RowParser):
    """Reads lines in order, or a recording as a whole."""

    def __init__(self, facts: SourceFacts, state: bytes = b"") -> None:
        super().__init__(NAME)
        self._agent = facts.agent or NAME
        self._stem = cap(PurePath(facts.path).stem)
        self._mended: set[str] = set()
        try:
            self._state = _decode_state(state) if state else State()
        except (msgspec.MsgspecError, UnicodeDecodeError):  # written by another version of this program
            self._state = State()

    def state(self) -> bytes:
        return _encode_state(self._state)

    def _row(self, data: bytes) -> None:
        value, self._mended = decode_value(data)
        if isinstance(value, dict) and isinstance(messages := value.get("messages"), list):
            self._recording(messages)
        elif isinstance(value, list):
            self._recording(value)
        elif (message := message_in(value)) is None:
            raise UnreadableError("not a message")
        else:
            self._message(message, data)

    def _recording(self, rows: list[Any]) -> None:
        """A bad message costs the others nothing. A prompt is read after the `init` that names its run."""
        self._state = State()
        for row in _in_order(rows):
            data = canonical(row).encode("utf-8", "replace")
            try:
                if (message := message_in(row)) is None:
                    raise UnreadableError("not a message")
                self._message(message, data)
            except UnreadableError as error:
                self._out.bad.append(BadLine(Line(0, data), str(error)))

    def _message(self, message: dict[str, Any], data: bytes) -> None:
        kind = word(message.get("type"))
        if kind in SILENT_TYPES:
            return
        if kind not in ("assistant", "result", "system", "user"):
            self._unknown(type_name(kind))
            return
        self._tell_session(message)
        self._tell_time(message)
        if kind == "system":
            if message.get("subtype") == "init":
                self._init(message)
        elif kind == "result":
            self._result(message, data)
        else:
            inner = message.get("message")
            if not isinstance(inner, dict):
                raise UnreadableError("message is not an object")
            if kind == "user":
                self._user(message, inner, data)
            else:
                self._answer(message, inner, data)

    def _tell_session(self, message: dict[str, Any]) -> None:
        session = text_of(message.get("session_id"))
        if session and session not in (_UNKNOWN_SESSION, self._state.session):
            self._state.session = session

    def _tell_time(self, message: dict[str, Any]) -> None:
        """A line that has a time: answers before it are over, and so far the run has lasted at least until then."""
        value, state = message.get("timestamp"), self._state
        at_ns = iso_ns(value) if isinstance(value, str) else None
        if at_ns is None:
            return
        state.first_ns = at_ns if state.first_ns is None else min(state.first_ns, at_ns)
        state.last_ns = at_ns if state.last_ns is None else max(state.last_ns, at_ns)
        self._end_answers(state.last_ns)

    def _end_answers(self, at_ns: int | None) -> None:
        for key, own in [(key, own) for key, own in self._state.open.items() if own.kind == "llm"]:
            del self._state.open[key]
            if at_ns is not None:
                self._llm(key, own, at_ns)

    def _span(self, span_id: str, kind: str, **fields: Any) -> Span:
        state = self._state
        span = Span(
            namespace=NAMESPACE,
            span_id=span_id,
            kind=kind,
            session=state.session,
            format=NAME,
            agent=self._agent,
            agent_version=state.version,
            run_id=state.run,
            **fields,
        )
        if self._mended:
            span.flags = ",".join(sorted(self._mended))
        self._out.spans.append(span)
        return span

    def _key(self, raw: str) -> str:
        return unique(raw, self._state.session or self._stem)

    # --- runs

    def _init(self, message: dict[str, Any]) -> None:
        state = self._state
        state.version = text_of(message.get("claude_code_version")) or state.version
        state.model = text_of(message.get("model")) or state.model
        if state.run is None or state.is_answered:
            self._open_run(text_of(message.get("uuid")) or "", message)

    def _open_run(self, name: str, message: dict[str, Any]) -> None:
        """`name` is unique, or "" where the message that opens the run has nothing of the kind."""
        state = self._state
        if state.run is not None:
            self._close(Rank.ABANDONED, status="unknown")
        state.runs += 1
        state.run = name or f"{state.session or self._stem}/{state.runs}"
        state.is_answered, state.first_ns, state.last_ns = False, None, None
        self._tell_time(message)
        self._run(Rank.STARTED, started_ns=state.first_ns)

    def _run(self, rank: Rank, **fields: Any) -> Span:
        return self._span(f"run:{self._state.run}", "run", rank=rank, **fields)

    def _close(self, rank: Rank, **fields: Any) -> Span:
        state = self._state
        self._end_answers(state.last_ns)
        for key, own in state.open.items():
            self._tool(key, own, Rank.ABANDONED, state.last_ns, "unknown")
        state.open.clear()
        run = self._run(rank, ended_ns=state.last_ns, started_ns=state.first_ns, **fields)
        if run.ended_ns is not None:
            run.flags = ",".join(sorted({*self._mended, "time"}))
        state.run = None
        return run

    def _result(self, message: dict[str, Any], data: bytes) -> None:
        state = self._state
        if state.run is None:
            self._open_run(text_of(message.get("uuid")) or digest(data), message)
        status, error_type, said = outcome_of(message)
        took = token_count(message.get("duration_ms"))
        run = self._close(Rank.ENDED, status=status, error_type=error_type, error_message=said, model=state.model)
        flags = set(filter(None, (run.flags or "").split(",")))
        goes_on = state.session == state.totals_session or isinstance(message.get("modelUsage"), dict)
        state.totals = add_result(run, message, state.totals if goes_on else Totals(), flags)
        state.totals_session = state.session
        if run.ended_ns is not None and run.started_ns is not None and took is not None:
            run.started_ns = max(1, min(run.started_ns, run.ended_ns - took * NS_PER_MS))
        if flags:
            run.flags = ",".join(sorted(flags))
        if isinstance(answer := message.get("result"), str) and answer:
            run.parts["output"] = answer
        run.parts["figures"] = figures_of(message)

    # --- the user's messages

    def _user(self, message: dict[str, Any], inner: dict[str, Any], data: bytes) -> None:
        blocks = blocks_of(inner.get("content"))
        results = [one for one in blocks if word(one.get("type")).endswith("tool_result")]
        for block in results:
            self._tool_result(message, block, data)
        if results or message.get("parent_tool_use_id") is not None:
            return
        state = self._state
        if state.run is None or state.is_answered:
            own = text_of(message.get("uuid"))
            self._open_run(own or f"{state.session or self._stem}/{state.runs}-{digest(data, 4)}", message)
        if text := payload_text(inner["content"] if inner.get("content") is not None else ""):
            self._run(Rank.STARTED).parts["input"] = text

    def _tool_result(self, message: dict[str, Any], block: dict[str, Any], data: bytes) -> None:
        raw = text_of(block.get("tool_use_id"))
        key = self._key(raw) if raw else f"result:{digest(data)}"
        own = self._state.open.pop(key, None) or Open("tool", None, None)
        value = message.get("timestamp")
        failed = block.get("is_error") is True
        ended_ns = iso_ns(value) if isinstance(value, str) else None
        span = self._tool(key, own, Rank.PARTIAL, ended_ns, "error" if failed else "ok")
        content = block.get("content")
        text = payload_text(content) if content is not None else ""
        span.parts["output"] = text
        if failed:
            span.error_type, span.error_message = "tool_error", message_of(text)

    def _tool(self, key: str, own: Open, rank: Rank, ended_ns: int | None, status: str) -> Span:
        started_ns = own.started_ns
        if ended_ns is not None and started_ns is not None:
            ended_ns = max(ended_ns, started_ns)
        return self._span(
            key,
            "tool",
            parent_id=own.parent,
            tool=own.name,
            name=own.name,
            started_ns=started_ns,
            ended_ns=ended_ns,
            rank=rank,
            status=status,
        )

    # --- the model's messages

    def _answer(self, message: dict[str, Any], inner: dict[str, Any], data: bytes) -> None:
        """One answer is written as several lines, a block each."""
        state = self._state
        if state.run is None:
            self._open_run(text_of(message.get("uuid")) or digest(data), message)
        state.is_answered = True
        raw = text_of(inner.get("id")) or text_of(message.get("uuid"))
        key = self._key(raw) if raw else digest(data)
        own = state.open.get(key)
        if own is None:
            inside = text_of(message.get("parent_tool_use_id"))
            parent = self._key(inside) if inside else f"run:{state.run}"
            own = Open("llm", parent, state.last_ns)
            self._remember(key, own)
        model = text_of(inner.get("model"))
        own.model = None if model == _SYNTHETIC else model or own.model
        own.context = context_of(inner.get("usage")) or own.context
        own.error = text_of(message.get("error")) or own.error
        span = self._llm(key, own, None)
        for block in blocks_of(inner.get("content")):
            number, own.blocks = own.blocks, own.blocks + 1
            if word(block.get("type")).endswith("tool_result"):
                self._tool_result(message, block, data)  # of a tool that ran at the model's side
            else:
                self._block(block, number, span)

    def _llm(self, key: str, own: Open, ended_ns: int | None) -> Span:
        if ended_ns is not None and own.started_ns is not None:
            ended_ns = max(ended_ns, own.started_ns)
        span = self._span(
            key,
            "llm",
            parent_id=own.parent,
            started_ns=own.started_ns,
            ended_ns=ended_ns,
            rank=Rank.PARTIAL,
            status="error" if own.error else "ok",
            error_type=own.error,
            model=own.model,
            context_tokens=own.context,
        )
        if ended_ns is not None:
            span.flags = ",".join(sorted({*self._mended, "time"}))
        return span

    def _block(self, block: dict[str, Any], number: int, span: Span) -> None:
        kind = word(block.get("type"))
        if kind == "text":
            if isinstance(said := block.get("text"), str) and said:
                span.parts[f"output:{number:02d}-{digest(said.encode('utf-8', 'replace'), 4)}"] = said
        elif kind in ("thinking", "redacted_thinking"):
            thought = block.get("thinking")
            thought = thought if isinstance(thought, str) else ""
            reasoning = self._span(
                f"{span.span_id}:thinking:{digest(thought.encode('utf-8', 'replace'), 4)}",
                "reasoning",
                parent_id=span.span_id,
                started_ns=span.started_ns,
                rank=Rank.PARTIAL,
                status="ok",
            )
            if thought:
                reasoning.parts["output"] = thought
        elif kind.endswith("tool_use"):
            self._tool_use(block, number, span)
        else:
            self._unknown(f"block-{type_name(kind)}")

    def _tool_use(self, block: dict[str, Any], number: int, span: Span) -> None:
        raw, name = text_of(block.get("id")), text_of(block.get("name"))
        key = self._key(raw) if raw else f"{span.span_id}:tool:{number}"
        self._remember(key, Open("tool", span.span_id, span.started_ns, name))
        opened = self._span(
            key,
            "tool",
            parent_id=span.span_id,
            tool=name,
            name=name,
            started_ns=span.started_ns,
            rank=Rank.STARTED,
        )
        if block.get("input") is not None:
            opened.parts["input"] = canonical(block["input"])

    def _remember(self, key: str, own: Open) -> None:
        state = self._state
        state.open.pop(key, None)
        state.open[key] = own
        if len(state.open) > _MAX_OPEN:
            oldest = next(iter(state.open))
            gone = state.open.pop(oldest)
            if gone.kind == "tool":
                self._tool(oldest, gone, Rank.ABANDONED, state.last_ns, "unknown")
            elif state.last_ns is not None:
                self._llm(oldest, gone, state.last_ns)


def _in_order(rows: list[Any]) -> list[Any]:
    """A client sends its prompt before the stream says whose it is: the prompt is put behind that."""
    ordered: list[Any] = []
    waiting: list[Any] = []
    for row in rows:
        message = message_in(row) or {}
        if message.get("type") == "user" and message.get("session_id") == _UNKNOWN_SESSION:
            waiting.append(row)
            continue
        ordered.append(row)
        if waiting and message.get("type") in ("assistant", "result", "system"):
            ordered += waiting
            waiting = []
    return ordered + waiting
