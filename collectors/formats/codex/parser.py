"""Reads one Codex rollout in order: items to model calls and tools, cumulative totals to what each call used.

A response of the model is written item by item, and the total of tokens so far after it. Its `llm` span is named
after the first item. The total is written again before the next response; only an increase counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from collectors.formats.codex import rows
from collectors.formats.codex.state import Answer, Counts
from collectors.formats.codex.tools import CodexTools
from collectors.formats.decode import (
    UnreadableError,
    decode_object,
    digest,
    message_of,
    text_of,
    time_ns,
    token_count,
    type_name,
    word,
)
from store.record.span import NS_PER_MS, NS_PER_S, Rank, Span

_COPY_NS = NS_PER_S  # a forked session writes the other's history anew within this time


class CodexParser(CodexTools):
    """Reads one file in order. What it carries over is in `state.State`."""

    # --- one row

    def _row(self, data: bytes) -> None:
        row, self._mended = decode_object(data)
        kind, payload = word(row.get("type")), row.get("payload")
        if kind == "session_meta":
            self._meta(row, payload)
            return
        if kind == "turn_context":
            self._turn_context(row, payload)
            return
        if kind in rows.SILENT_ROWS:
            return
        enveloped = kind in ("response_item", "event_msg")
        if enveloped and not isinstance(payload, dict):
            raise UnreadableError("payload is not an object")
        body: dict[str, Any] = payload if enveloped and isinstance(payload, dict) else row
        what = word(body.get("type")) or ("message" if isinstance(body.get("role"), str) else "")
        if kind == "event_msg":
            if what in rows.SILENT_EVENTS:
                return
            read = self._event_reader(what)
        else:
            if what in rows.SILENT_ITEMS:
                return
            read = self._item_reader(what)
        if read is None:
            self._unknown(f"{'event' if kind == 'event_msg' else 'item'}-{type_name(what.replace('.', '-'))}")
            return
        at_ns = _time_of(row)
        self._key = digest(data)
        if self._is_copy(at_ns):
            self._copied(what, body, at_ns)
        else:
            self._begin_what_was_copied()
            read(body, at_ns)
        self._state.last_ns = at_ns

    def _event_reader(self, what: str) -> Callable[[dict[str, Any], int], None] | None:
        if rows.event_failed(what, {}) is not None:
            return self._call_event
        return {
            "token_count": self._token_count,
            "user_message": self._prompt_event,
            "task_started": self._task_started,
            "turn_started": self._task_started,
            "task_complete": self._task_complete,
            "turn_complete": self._task_complete,
            "turn_aborted": self._turn_aborted,
            "turn.completed": self._turn_completed,
            "error": self._error,
            "stream_error": self._error,
        }.get(what)

    def _item_reader(self, what: str) -> Callable[[dict[str, Any], int], None] | None:
        if what in rows.CALL_ITEMS:
            return self._call
        if what in rows.RESULT_ITEMS:
            return self._result
        if what in rows.HOSTED_ITEMS:
            return self._hosted
        return {
            "message": self._message,
            "reasoning": self._reasoning,
            "agent_message": self._input,
            "error": self._error,
        }.get(what)

    def _is_copy(self, at_ns: int) -> bool:
        forked_ns = self._state.forked_ns
        return forked_ns is not None and at_ns - forked_ns <= _COPY_NS

    def _copied(self, what: str, body: dict[str, Any], at_ns: int) -> None:
        """A row of the other session, or, at the end of what was copied, the first ones of this one's task."""
        if what == "token_count":
            self._token_count(body, at_ns)
        elif what in ("task_started", "turn_started"):
            self._state.copied_task = (text_of(body.get("turn_id")) or self._key, at_ns)
        elif what in ("task_complete", "turn_complete", "turn_aborted"):
            self._state.copied_task = None

    def _begin_what_was_copied(self) -> None:
        """A task that began among the copied rows and did not end there is this session's own."""
        state = self._state
        if state.copied_task is not None:
            (turn, at_ns), state.copied_task, state.tasks = state.copied_task, None, True
            self._open_run(turn, "task", at_ns)

    def _meta(self, row: dict[str, Any], payload: object) -> None:
        """The first one names the session; a forked session repeats that of the other one."""
        if not isinstance(payload, dict):
            raise UnreadableError("payload is not an object")
        state = self._state
        if state.session is None:
            state.session = text_of(payload.get("id")) or self._file_session
            state.version = text_of(payload.get("cli_version"))
            state.provider = text_of(payload.get("model_provider"))
            if text_of(payload.get("forked_from_id")):
                state.forked_ns = _time_or_none(row)

    def _turn_context(self, row: dict[str, Any], payload: object) -> None:
        if not isinstance(payload, dict):
            raise UnreadableError("payload is not an object")
        state = self._state
        state.model = text_of(payload.get("model")) or state.model
        turn, at_ns = text_of(payload.get("turn_id")), _time_or_none(row)
        if not turn or at_ns is None:
            return
        is_new, state.turn = turn not in (state.turn, state.run), turn
        has_run = state.run_kind == "implied" and not state.run_answered  # its prompt came first
        if is_new and not has_run and not self._is_copy(at_ns):
            self._open_run(turn, "implied", at_ns)
        state.last_ns = at_ns

    # --- runs

    def _task_started(self, event: dict[str, Any], at_ns: int) -> None:
        turn = text_of(event.get("turn_id")) or self._key
        self._state.tasks = True
        if self._state.run_kind and self._state.run == turn:
            self._state.run_kind = "task"
        else:
            self._open_run(turn, "task", at_ns)

    def _task_complete(self, event: dict[str, Any], at_ns: int) -> None:
        failed = self._state.run_failed
        if event.get("error") is not None:
            failed = rows.error_of({"error": event["error"]})[0]
        self._abandon(at_ns, lambda _: True)
        run = self._close_run(at_ns, "error" if failed else "ok", failed)
        if run is None:
            return
        first = token_count(event.get("time_to_first_token_ms"))
        if first is not None and run.started_ns is not None and run.started_ns + first * NS_PER_MS <= at_ns:
            run.ttft_ns = first * NS_PER_MS
        if isinstance(said := event.get("last_agent_message"), str) and said:
            run.parts["output"] = said

    def _turn_aborted(self, event: dict[str, Any], at_ns: int) -> None:
        self._abandon(at_ns, lambda _: True)
        reason = text_of(event.get("reason")) or "interrupted"
        self._close_run(at_ns, "capped" if reason == "budget_limited" else "aborted", reason)

    def _turn_completed(self, event: dict[str, Any], at_ns: int) -> None:
        """0.50 to 0.52: all that is known of a turn is its end, and what it used."""
        state = self._state
        if not state.run_kind:
            self._open_run(self._key, "task", at_ns if state.last_ns is None else min(state.last_ns, at_ns))
        self._close_run(at_ns, "error" if state.run_failed else "ok", state.run_failed)
        flags: set[str] = set()
        counts = rows.counts_of(event.get("usage"), flags)
        if counts is not None:
            self._count(counts, None, at_ns, flags)

    # --- what goes into the model

    def _message(self, item: dict[str, Any], at_ns: int) -> None:
        role = word(item.get("role"))
        state = self._state
        state.model = text_of(item.get("model")) or state.model
        if role == "user":
            self._prompt(rows.item_text(item), at_ns, is_event=False)
        elif role == "assistant":
            span = self._answer(at_ns)
            if text := rows.item_text(item):
                span.parts[f"output:{self._key[:8]}"] = text
            state.run_answered, state.run_failed = True, None
            if state.run_kind == "implied":
                self._run(Rank.PARTIAL, ended_ns=self._not_before(at_ns), status="ok")
        elif role in ("developer", "system"):
            self._input(item, at_ns)
        else:
            self._unknown(f"role-{type_name(role)}")

    def _input(self, _item: dict[str, Any], _at_ns: int) -> None:
        """Something was put before the model: the answer before it is complete."""
        self._let_go()

    def _prompt_event(self, event: dict[str, Any], at_ns: int) -> None:
        self._prompt(rows.item_text(event), at_ns, is_event=True)

    def _prompt(self, text: str, at_ns: int, *, is_event: bool) -> None:
        """A user's message. Newer versions write it twice: as an item that the model reads, and as an event."""
        state = self._state
        self._let_go()
        if not is_event and rows.is_context(text):
            return
        said = digest(text.encode("utf-8", "replace"), 8)
        if said == state.prompt and not state.run_answered:
            return
        if state.run_kind == "task" or (state.run_kind == "implied" and not state.run_answered):
            run = self._run(Rank.STARTED)
        elif is_event or (not state.tasks and (state.run is not None or state.version is None)):
            run = self._open_run(self._key, "implied", at_ns)
        else:
            return  # what Codex tells the model of its surroundings before the task begins
        if text:
            run.parts["input" if state.prompt is None else f"input:{said}"] = text
        state.prompt = said

    # --- the model's answer

    def _answer(self, at_ns: int) -> Span:
        """A version of the answer that the current item belongs to."""
        state = self._state
        if state.open is None:
            before = at_ns if state.last_ns is None else min(state.last_ns, at_ns)
            state.open = Answer(f"llm:{self._key}", state.run, before, at_ns)
        state.open.ended_ns = max(at_ns, state.open.ended_ns)
        return self._llm(state.open, Rank.PARTIAL)

    def _llm(self, answer: Answer, rank: Rank, **fields: Any) -> Span:
        state = self._state
        return self._span(
            answer.span_id,
            "llm",
            run_id=answer.run,
            parent_id=self._parent(answer.run),
            started_ns=answer.started_ns,
            ended_ns=answer.ended_ns,
            rank=rank,
            status="ok",
            model=state.model,
            provider=state.provider,
            **fields,
        )

    def _parent(self, run: str | None) -> str | None:
        return None if run is None else f"run:{run}"

    def _reasoning(self, item: dict[str, Any], at_ns: int) -> None:
        span = self._answer(at_ns)
        thought = self._span(
            f"reasoning:{self._key}",
            "reasoning",
            run_id=span.run_id,
            parent_id=span.span_id,
            started_ns=span.started_ns,
            ended_ns=at_ns,
            status="ok",
        )
        if text := rows.reasoning_text(item):
            thought.parts["output"] = text

    def _token_count(self, event: dict[str, Any], at_ns: int) -> None:
        info = event.get("info")
        if not isinstance(info, dict):
            return  # a change of the rate limits
        state, flags = self._state, set[str]()
        state.model = text_of(info.get("model")) or state.model
        last = rows.counts_of(info.get("last_token_usage"), flags)
        totals = rows.counts_of(info.get("total_token_usage"), flags)
        limit = token_count(info.get("model_context_window"))
        if totals is not None:
            before, state.totals = state.totals, totals
            if self._is_copy(at_ns):
                return  # what the other session used
            used = rows.increase(totals, before, last)
            if before is None and state.forked_ns is not None and last is not None:
                used = last
        elif last is not None:
            used = None if last == state.last_counts and state.open is None else last
        else:
            used = rows.counts_of(info, flags)  # 0.50: {prompt, completion}
        state.last_counts = last
        if used is not None:
            self._count(used, last, at_ns, flags, limit)

    def _count(self, used: Counts, last: Counts | None, at_ns: int, flags: set[str], limit: int | None = None) -> None:
        """Give tokens to the answer that they belong to; without one they are an answer of which no more is told."""
        state = self._state
        answer = next((one for one in (state.open, state.last) if one is not None and not one.counted), None)
        if answer is None:
            span = self._llm(Answer(f"llm:{self._key}", state.run, at_ns, at_ns), Rank.ENDED)
            span.started_ns = None
        else:
            answer.counted = True
            span = self._llm(answer, Rank.ENDED)
        rows.add_counts(span, used, flags)
        span.context_tokens = (last or used).input
        span.context_limit = limit
        if flags or self._mended:
            span.flags = ",".join(sorted(flags | self._mended))
        self._let_go()

    def _error(self, event: dict[str, Any], at_ns: int) -> None:
        """A call of the model that failed."""
        state = self._state
        kind, said = rows.error_of(event)
        self._span(
            f"error:{self._key}",
            "llm",
            run_id=state.run,
            parent_id=self._parent(state.run),
            started_ns=at_ns if state.last_ns is None else min(state.last_ns, at_ns),
            ended_ns=at_ns,
            status="error",
            error_type=kind,
            error_message=message_of(said),
            model=state.model,
            provider=state.provider,
        )
        self._let_go()
        if state.run_kind:
            state.run_failed = kind
            if state.run_kind == "implied":
                self._run(Rank.PARTIAL, ended_ns=self._not_before(at_ns), status="error", error_type=kind)


def _time_or_none(row: dict[str, Any]) -> int | None:
    return time_ns(row.get("timestamp", row.get("created_at")))


def _time_of(row: dict[str, Any]) -> int:
    at_ns = _time_or_none(row)
    if at_ns is None:
        raise UnreadableError("no timestamp that can be read")
    return at_ns
