"""Gemini CLI chats, in `~/.gemini/tmp/<project>/chats/session-<time>-<id>.json` and, from 0.40 on, `.jsonl`.

The older ones are one JSON document that is written anew as it grows; the newer ones are lines: a head, then
messages, and changes of the head as `{"$set": …}`. A message may be written again under its id with more in it: all
become versions of one span. Namespace `session:<id>`, because ids of messages are unique in a chat.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import msgspec

from collectors.formats.base import BadLine, Line, SourceFacts
from collectors.formats.blocks import payload_text
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_object,
    digest,
    message_of,
    text_of,
    time_ns,
    type_name,
    word,
)
from collectors.formats.gemini.rows import SILENT_TYPES, add_tokens, call_outcome, is_tool_answer, said_by, thought_text
from collectors.formats.row_parser import RowParser
from store.record.span import Rank, Span

_ROLES = {"user": "user", "gemini": "gemini", "model": "gemini", "error": "error", "info": "info"}
_MAX_PENDING = 48


class State(msgspec.Struct, array_like=True):
    """Ids and times, never text of the log."""

    session: str | None = None
    model: str | None = None
    run: str | None = None
    run_open: bool = False
    last_ns: int | None = None
    pending: dict[str, int] = {}  # calls without a result: key and start


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class Gemini:
    """The format itself."""

    name = "gemini"
    namespace = "session"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        heads = messages = 0
        for data in head:
            try:
                row, _ = decode_object(data)
            except UnreadableError:
                continue
            if _is_document(row):
                return True
            heads += _is_head(row)
            messages += _is_message(row) or "$set" in row or "$rewindTo" in row
        return heads > 0 and (heads + messages) * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> GeminiParser:
        return GeminiParser(facts, state)


def _is_document(row: dict[str, Any]) -> bool:
    messages = row.get("messages")
    if isinstance(messages, list):
        return _is_head(row) and all(isinstance(one, dict) and "type" in one for one in messages[:20])
    turns = row.get("history")
    if not isinstance(turns, list) or not turns or "lastUpdated" not in row:
        return False
    return all(isinstance(one, dict) and "role" in one and isinstance(one.get("parts"), list) for one in turns[:20])


def _is_head(row: dict[str, Any]) -> bool:
    return all(isinstance(row.get(name), str) for name in ("sessionId", "projectHash", "startTime"))


def _is_message(row: dict[str, Any]) -> bool:
    return "id" in row and "timestamp" in row and word(row.get("type")) in (*_ROLES, *SILENT_TYPES)


class GeminiParser(RowParser):
    """Reads a document as a whole, or lines in order."""

    def __init__(self, facts: SourceFacts, state: bytes = b"") -> None:
        super().__init__(Gemini.name)
        self._agent = facts.agent or Gemini.name
        self._stem = cap(PurePath(facts.path).stem)
        self._mended: set[str] = set()
        try:
            self._state = _decode_state(state) if state else State()
        except (msgspec.MsgspecError, UnicodeDecodeError):  # written by another version of this program
            self._state = State()

    def state(self) -> bytes:
        return _encode_state(self._state)

    def _row(self, data: bytes) -> None:
        row, self._mended = decode_object(data)
        messages = row.get("messages", row.get("history"))
        if isinstance(messages, list):
            self._document(row, messages)
        elif _is_head(row):
            self._head(row)
        elif "$set" in row or "$rewindTo" in row:
            pass  # the head again; what was rewound did happen
        else:
            self._message(row)

    def _document(self, row: dict[str, Any], messages: list[Any]) -> None:
        """Every version of a document is read from its start; a bad message costs the others nothing."""
        self._state = State()
        self._head(row)
        meta = row.get("meta")
        if isinstance(meta, dict):
            self._state.model = text_of(meta.get("model"))
        for message in messages:
            try:
                if not isinstance(message, dict):
                    raise UnreadableError("a message is not an object")
                self._message(message)
            except UnreadableError as error:
                data = canonical(message).encode("utf-8", "replace")
                self._out.bad.append(BadLine(Line(0, data), str(error)))

    def _head(self, row: dict[str, Any]) -> None:
        self._state.session = text_of(row.get("sessionId")) or self._state.session

    def _span(self, span_id: str, kind: str, **fields: Any) -> Span:
        session = self._state.session or self._stem
        span = Span(
            namespace=f"session:{session}",
            span_id=span_id,
            kind=kind,
            session=session,
            format=Gemini.name,
            agent=self._agent,
            **fields,
        )
        if self._mended:
            span.flags = ",".join(sorted(self._mended))
        self._out.spans.append(span)
        return span

    # --- messages

    def _message(self, message: dict[str, Any]) -> None:
        kind = word(message.get("type")) or word(message.get("role"))
        role = _ROLES.get(kind)
        if kind in SILENT_TYPES:
            return
        if role is None:
            self._unknown(f"message-{type_name(kind)}")
            return
        at_ns = time_ns(message.get("timestamp", message.get("ts")))
        if at_ns is None:
            raise UnreadableError("no timestamp that can be read")
        key = text_of(message.get("id")) or digest(canonical(message).encode("utf-8", "replace"))
        if role == "user":
            self._user(message, key, at_ns)
        elif role == "gemini":
            self._answer(message, key, at_ns)
        elif role == "error":
            self._error(message, key, at_ns)
        elif said_by(message).startswith("Request cancelled"):
            self._end_run(at_ns, "aborted", "cancelled")
        self._state.last_ns = max(at_ns, self._state.last_ns or 0)

    # --- runs

    def _user(self, message: dict[str, Any], key: str, at_ns: int) -> None:
        if is_tool_answer(message):
            return
        state = self._state
        self._abandon(at_ns)
        if state.run_open and state.run != key:
            self._run(Rank.ABANDONED, ended_ns=state.last_ns, status="unknown")
        state.run, state.run_open = key, True
        run = self._run(Rank.STARTED, started_ns=at_ns)
        if text := said_by(message):
            run.parts["input"] = text

    def _run(self, rank: Rank, **fields: Any) -> Span:
        run = self._state.run
        return self._span(f"run:{run}", "run", run_id=run, rank=rank, **fields)

    def _end_run(self, at_ns: int, status: str, error_type: str | None = None) -> None:
        if self._state.run is not None:
            self._run(Rank.ENDED, ended_ns=at_ns, status=status, error_type=error_type)
            self._state.run_open = False

    @property
    def _parent(self) -> str | None:
        return None if self._state.run is None else f"run:{self._state.run}"

    # --- the model

    def _answer(self, message: dict[str, Any], key: str, at_ns: int) -> None:
        """A model call: begun when the message or tool before it ended, written down when it was complete."""
        state = self._state
        self._abandon(at_ns, but=key)
        begun = at_ns if state.last_ns is None else min(state.last_ns, at_ns)
        tokens = message.get("tokens")
        span = self._span(
            key,
            "llm",
            run_id=state.run,
            parent_id=self._parent,
            started_ns=begun,
            ended_ns=at_ns,
            # a version that has no tokens yet must not stand against one that has
            rank=Rank.ENDED if isinstance(tokens, dict) else Rank.PARTIAL,
            status="ok",
            model=text_of(message.get("model")) or state.model,
        )
        flags = set(self._mended)
        add_tokens(span, tokens, flags)
        if flags:
            span.flags = ",".join(sorted(flags))
        if text := said_by(message):
            span.parts["output"] = text
        self._thoughts(message, span)
        calls = message.get("toolCalls")
        calls = [one for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []
        for number, call in enumerate(calls):
            self._call(call, number, span, at_ns)
        if calls:
            state.run_open = state.run is not None
        elif "output" in span.parts:  # an answer without words is one that calls tools, told of when they have run
            self._end_run(at_ns, "ok")

    def _thoughts(self, message: dict[str, Any], span: Span) -> None:
        thoughts = message.get("thoughts")
        for number, thought in enumerate(thoughts if isinstance(thoughts, list) else ()):
            if not isinstance(thought, dict):
                continue
            at_ns = time_ns(thought.get("timestamp")) or span.ended_ns or 0
            reasoning = self._span(
                f"{span.span_id}:thought:{number}",
                "reasoning",
                run_id=span.run_id,
                parent_id=span.span_id,
                started_ns=min(span.started_ns or at_ns, at_ns),
                ended_ns=at_ns,
                status="ok",
            )
            if text := thought_text(thought):
                reasoning.parts["output"] = text

    def _error(self, message: dict[str, Any], key: str, at_ns: int) -> None:
        """What went wrong, as the user was told; only an API error is a model call that failed."""
        said = said_by(message)
        if said.startswith("[API Error"):
            self._span(
                key,
                "llm",
                run_id=self._state.run,
                parent_id=self._parent,
                started_ns=at_ns if self._state.last_ns is None else min(self._state.last_ns, at_ns),
                ended_ns=at_ns,
                status="error",
                error_type="api_error",
                error_message=message_of(said),
                model=self._state.model,
            )
        if self._state.run_open:
            self._end_run(at_ns, "error", "api_error" if said.startswith("[API Error") else "error")

    # --- tools

    def _call(self, call: dict[str, Any], number: int, span: Span, at_ns: int) -> None:
        raw = text_of(call.get("id"))
        key = raw if raw and raw != span.span_id else f"{span.span_id}:tool:{number}"
        name = text_of(call.get("name"))
        status, error_type = call_outcome(call)
        ended_ns = time_ns(call.get("timestamp"))
        tool = self._span(
            key,
            "tool",
            run_id=span.run_id,
            parent_id=span.span_id,
            tool=name,
            name=name,
            started_ns=at_ns,
            rank=Rank.STARTED if status is None else Rank.ENDED,
        )
        if call.get("args") is not None:
            tool.parts["input"] = canonical(call["args"])
        if status is None:
            self._state.pending[key] = at_ns
            while len(self._state.pending) > _MAX_PENDING:
                self._state.pending.pop(next(iter(self._state.pending)))
            return
        self._state.pending.pop(key, None)
        tool.status, tool.error_type = status, error_type
        tool.ended_ns = at_ns if ended_ns is None else max(ended_ns, at_ns)
        if ended_ns is None:
            tool.flags = ",".join(sorted({*self._mended, "timestamp"}))
        self._state.last_ns = max(tool.ended_ns, self._state.last_ns or 0)
        result = next((call[one] for one in ("resultDisplay", "result") if call.get(one) is not None), None)
        if result is not None:
            tool.parts["output"] = payload_text(result)
        if status == "error" and result is not None:
            tool.error_message = message_of(tool.parts["output"])

    def _abandon(self, at_ns: int, but: str = "") -> None:
        """The chat went on without a result of these calls. A result that comes later still wins."""
        for key, started_ns in self._state.pending.items():
            if key != but:
                self._span(
                    key,
                    "tool",
                    started_ns=started_ns,
                    ended_ns=max(at_ns, started_ns),
                    rank=Rank.ABANDONED,
                    status="unknown",
                )
        self._state.pending.clear()
