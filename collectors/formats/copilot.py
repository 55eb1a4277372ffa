"""Copilot CLI sessions: one event a line, in `~/.copilot/session-state/<session>/events.jsonl`.

Every event is `{type, data, id, timestamp, parentId}`. `parentId` is the event before it, no tree. Of tokens an event
tells only what the model wrote; what it read is known for a whole session alone, when it is shut down.
Namespace `session:<id>`, because older files number their events `e1`, `e2`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import msgspec

from collectors.formats.base import SourceFacts
from collectors.formats.blocks import payload_text
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_object,
    digest,
    iso_ns,
    message_of,
    text_of,
    token_count,
    type_name,
    word,
)
from collectors.formats.row_parser import RowParser
from store.record.span import Rank, Span

# Events that are known and carry no span.
SILENT_TYPES = frozenset(
    [
        "assistant.intent",
        "assistant.message_delta",
        "assistant.reasoning_delta",
        "hook.end",
        "hook.start",
        "permission.completed",
        "permission.requested",
        "session.compaction_complete",
        "session.compaction_start",
        "session.context_changed",
        "session.handoff",
        "session.idle",
        "session.info",
        "session.mode_changed",
        "session.plan_changed",
        "session.resume",
        "session.snapshot_rewind",
        "session.title_changed",
        "session.truncation",
        "session.usage_checkpoint",
        "session.usage_info",
        "session.warning",
        "skill.invoked",
        "subagent.completed",
        "subagent.failed",
        "subagent.selected",
        "subagent.started",
        "system.message",
        "system.notification",
        "tool.execution_partial_result",
        "tool.execution_progress",
        "tool.user_requested",
    ]
)
_FAMILIES = ("abort", "assistant.", "hook.", "session.", "subagent.", "system.", "tool.", "user.")
_MAX_CALLS = 48


class Call(msgspec.Struct, array_like=True):
    """A tool call without a result so far."""

    name: str | None
    run: str | None
    started_ns: int
    abandoned: bool = False


class State(msgspec.Struct, array_like=True):
    """Ids and times, never text of the log."""

    session: str | None = None
    version: str | None = None
    model: str | None = None
    run: str | None = None
    run_open: bool = False
    last_ns: int | None = None
    calls: dict[str, Call] = {}


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class Copilot:
    """The format itself."""

    name = "copilot"
    namespace = "session"
    whole = False

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                row, _ = decode_object(data)
            except UnreadableError:
                continue
            own = word(row.get("type")).startswith(_FAMILIES) and isinstance(row.get("data"), dict)
            hits += own and "id" in row and "timestamp" in row and "parentId" in row
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> CopilotParser:
        return CopilotParser(facts, state)


class CopilotParser(RowParser):
    """Reads one session file in order."""

    def __init__(self, facts: SourceFacts, state: bytes = b"") -> None:
        super().__init__(Copilot.name)
        self._agent = facts.agent or Copilot.name
        path = PurePath(facts.path)
        self._file_session = cap(path.parent.name if path.stem == "events" and path.parent.name else path.stem)
        self._mended: set[str] = set()
        try:
            self._state = _decode_state(state) if state else State()
        except (msgspec.MsgspecError, UnicodeDecodeError):  # written by another version of this program
            self._state = State()

    def state(self) -> bytes:
        return _encode_state(self._state)

    def _row(self, data: bytes) -> None:
        row, self._mended = decode_object(data)
        kind, body = word(row.get("type")), row.get("data")
        if kind in SILENT_TYPES:
            return
        if not isinstance(body, dict):
            raise UnreadableError("data is not an object")
        read = self._reader(kind)
        if read is None:
            if kind not in ("session.start", "session.model_change", "session.auto_mode_resolved"):
                self._unknown(type_name(kind.replace(".", "-")))
                return
            self._settings(body)
            return
        at_ns = iso_ns(row["timestamp"]) if isinstance(row.get("timestamp"), str) else None
        if at_ns is None:
            raise UnreadableError("no timestamp that can be read")
        read(body, text_of(row.get("id")) or digest(data), at_ns)
        self._state.last_ns = at_ns

    def _reader(self, kind: str) -> Callable[[dict[str, Any], str, int], None] | None:
        return {
            "abort": self._abort,
            "assistant.message": self._answer,
            "assistant.reasoning": self._thought,
            "assistant.turn_end": self._turn_end,
            "assistant.turn_start": self._turn_start,
            "session.error": self._error,
            "session.shutdown": self._shutdown,
            "tool.execution_complete": self._result,
            "tool.execution_start": self._start,
            "user.message": self._user,
        }.get(kind)

    def _settings(self, body: dict[str, Any]) -> None:
        state = self._state
        state.session = state.session or text_of(body.get("sessionId"))
        state.version = text_of(body.get("copilotVersion")) or state.version
        named = (text_of(body.get(name)) for name in ("selectedModel", "newModel", "chosenModel"))
        model = next((one for one in named if one), None)
        if model is not None and model != "auto":
            state.model = model

    def _span(self, span_id: str, kind: str, **fields: Any) -> Span:
        session = self._state.session or self._file_session
        span = Span(
            namespace=f"session:{session}",
            span_id=span_id,
            kind=kind,
            session=session,
            format=Copilot.name,
            agent=self._agent,
            agent_version=self._state.version,
            **fields,
        )
        if self._mended:
            span.flags = ",".join(sorted(self._mended))
        self._out.spans.append(span)
        return span

    def _before(self, at_ns: int) -> int:
        last_ns = self._state.last_ns
        return at_ns if last_ns is None else min(last_ns, at_ns)

    # --- runs

    def _user(self, body: dict[str, Any], key: str, at_ns: int) -> None:
        state = self._state
        self._abandon(at_ns)
        if state.run_open:
            self._run(Rank.ABANDONED, ended_ns=state.last_ns, status="unknown")
        state.run, state.run_open = key, True
        run = self._run(Rank.STARTED, started_ns=at_ns)
        if text := payload_text(body["content"] if body.get("content") is not None else ""):
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

    def _abort(self, body: dict[str, Any], _key: str, at_ns: int) -> None:
        self._abandon(at_ns)
        if self._state.run_open:
            self._end_run(at_ns, "aborted", text_of(body.get("reason")) or "aborted")

    def _turn_start(self, _body: dict[str, Any], _key: str, _at_ns: int) -> None:
        """The model is called: its answer, the next event, began now."""

    def _turn_end(self, _body: dict[str, Any], _key: str, at_ns: int) -> None:
        self._abandon(at_ns)

    def _shutdown(self, body: dict[str, Any], _key: str, at_ns: int) -> None:
        """The figures of the whole session belong to no call of it: they are kept to be read, and added to nothing."""
        self._abandon(at_ns)
        state = self._state
        if state.run is None:
            return
        if state.run_open:
            self._run(Rank.ABANDONED, ended_ns=at_ns, status="unknown")
            state.run_open = False
        names = ("modelMetrics", "tokenDetails", "totalApiDurationMs", "totalNanoAiu", "totalPremiumRequests")
        if figures := {name: body[name] for name in names if body.get(name) is not None}:
            self._run(Rank.STARTED).parts["session_usage"] = canonical(figures)

    # --- the model

    def _answer(self, body: dict[str, Any], key: str, at_ns: int) -> None:
        state, model = self._state, text_of(body.get("model"))
        inside = text_of(body.get("parentToolCallId"))  # the answer of a sub-agent, inside the call that began it
        if inside is None:
            state.model = model or state.model
        span = self._span(
            text_of(body.get("messageId")) or key,
            "llm",
            run_id=state.run,
            parent_id=inside or self._parent,
            started_ns=self._before(at_ns),
            ended_ns=at_ns,
            status="ok",
            model=model or (state.model if inside is None else None),
        )
        if body.get("outputTokens") is not None:
            span.tokens_output = token_count(body["outputTokens"])
            if span.tokens_output is None:
                span.flags = ",".join(sorted({*self._mended, "tokens.outputTokens"}))
        if isinstance(said := body.get("content"), str) and said:
            span.parts["output"] = said
        if isinstance(thought := body.get("reasoningText"), str) and thought:
            self._reasoning(thought, at_ns, span.span_id)
        asked = body.get("toolRequests")
        calls = [one for one in asked if isinstance(one, dict)] if isinstance(asked, list) else []
        for number, call in enumerate(calls):
            call_id = text_of(call.get("toolCallId")) or f"{span.span_id}:tool:{number}"
            self._open(call_id, text_of(call.get("name")), span.span_id, call.get("arguments"), at_ns)
        if inside is None and not calls:
            self._end_run(at_ns, "ok")
        elif inside is None and state.run is not None:
            state.run_open = True

    def _thought(self, body: dict[str, Any], _key: str, at_ns: int) -> None:
        if isinstance(said := body.get("content"), str):
            self._reasoning(said, at_ns, None)

    def _reasoning(self, said: str, at_ns: int, parent: str | None) -> None:
        """A thought is an event of its own, and stands in the answer as well: it is known by what it says."""
        thought = self._span(
            f"reasoning:{digest(said.encode('utf-8', 'replace'), 8)}",
            "reasoning",
            run_id=self._state.run,
            parent_id=parent,
            started_ns=self._before(at_ns),
            ended_ns=at_ns,
            status="ok",
        )
        thought.parts["output"] = said

    def _error(self, body: dict[str, Any], key: str, at_ns: int) -> None:
        """A call of the model that failed."""
        said = body.get("message")
        kind = text_of(body.get("errorType")) or "error"
        self._span(
            f"error:{key}",
            "llm",
            run_id=self._state.run,
            parent_id=self._parent,
            started_ns=self._before(at_ns),
            ended_ns=at_ns,
            status="error",
            error_type=kind,
            error_message=message_of(said) if isinstance(said, str) else None,
            model=self._state.model,
        )
        if self._state.run_open:
            self._end_run(at_ns, "error", kind)

    # --- tools

    def _open(self, call_id: str, name: str | None, parent: str | None, given: object, at_ns: int) -> None:
        state = self._state
        before = state.calls.pop(call_id, None)
        started_ns = at_ns if before is None else min(before.started_ns, at_ns)
        state.calls[call_id] = Call(name, state.run, started_ns)
        if len(state.calls) > _MAX_CALLS:
            oldest = next(iter(state.calls))
            gone = state.calls.pop(oldest)
            if not gone.abandoned:
                self._end_of_call(oldest, gone, Rank.ABANDONED, at_ns, "unknown")
        opened = self._span(
            call_id,
            "tool",
            run_id=state.run,
            parent_id=parent,
            tool=name,
            name=name,
            started_ns=started_ns,
            rank=Rank.STARTED,
        )
        if given is not None:
            opened.parts["input"] = canonical(given)

    def _start(self, body: dict[str, Any], key: str, at_ns: int) -> None:
        """The call begins to run: newer files tell of it twice, in the model's answer and here."""
        call_id, name = text_of(body.get("toolCallId")) or key, text_of(body.get("toolName"))
        self._open(call_id, name, None, body.get("arguments"), at_ns)

    def _result(self, body: dict[str, Any], key: str, at_ns: int) -> None:
        call_id = text_of(body.get("toolCallId")) or key
        call = self._state.calls.pop(call_id, None)
        result, error = body.get("result"), body.get("error")
        failed = body.get("success") is False
        status = "error" if failed else "ok"
        if call is None:
            span = self._end_of_call(call_id, Call(None, self._state.run, at_ns), Rank.ENDED, at_ns, status)
            span.started_ns = None
        else:
            span = self._end_of_call(call_id, call, Rank.ENDED, at_ns, status)
        content = result.get("content") if isinstance(result, dict) else result
        text = payload_text(content) if content is not None else ""
        span.parts["output"] = text
        if failed:
            named = error if isinstance(error, dict) else {}
            span.error_type = text_of(named.get("code")) or "tool_error"
            said = named.get("message")
            span.error_message = message_of(said if isinstance(said, str) else text)

    def _end_of_call(self, call_id: str, call: Call, rank: Rank, ended_ns: int, status: str) -> Span:
        return self._span(
            call_id,
            "tool",
            run_id=call.run,
            tool=call.name,
            name=call.name,
            started_ns=call.started_ns,
            ended_ns=max(ended_ns, call.started_ns),
            rank=rank,
            status=status,
        )

    def _abandon(self, at_ns: int) -> None:
        """The log went on without a result of these calls. A result that comes later still wins."""
        for call_id, call in self._state.calls.items():
            if not call.abandoned:
                call.abandoned = True
                self._end_of_call(call_id, call, Rank.ABANDONED, at_ns, "unknown")
