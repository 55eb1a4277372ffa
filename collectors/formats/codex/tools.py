"""Tool calls of a Codex rollout: what opens them, what ends them, and what tells of them a second time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from collectors.formats.codex import rows
from collectors.formats.codex.spans import CodexSpans
from collectors.formats.codex.state import MAX_CALLS, Call
from collectors.formats.decode import canonical, message_of, text_of, token_count, word
from store.record.span import NS_PER_S, Rank, Span


class CodexTools(CodexSpans, ABC):
    """Reads the items and events of tools."""

    @abstractmethod
    def _answer(self, at_ns: int) -> Span:
        """A version of the model's answer that the current item belongs to."""

    def _call(self, item: dict[str, Any], at_ns: int) -> None:
        state, answer = self._state, self._answer(at_ns)
        state.run_answered = False
        name = rows.call_name(item, word(item.get("type")))
        call_id = text_of(item.get("call_id")) or text_of(item.get("id")) or f"tool:{self._key}"
        span_id = f"{call_id}:{self._key[:8]}" if call_id in state.calls else call_id
        if span_id != call_id:  # an id that is used again while its first call has no result
            self._abandon(at_ns, lambda call: call.span_id == call_id)
        state.calls.pop(call_id, None)
        state.calls[call_id] = Call(span_id, name, answer.span_id, answer.run_id, at_ns)
        if len(state.calls) > MAX_CALLS:
            oldest = state.calls.pop(next(iter(state.calls)))
            if not oldest.abandoned:
                self._tool(oldest, Rank.ABANDONED, at_ns, "unknown")
        opened = self._span(
            span_id,
            "tool",
            run_id=answer.run_id,
            parent_id=answer.span_id,
            tool=name,
            name=name,
            started_ns=at_ns,
            rank=Rank.STARTED,
        )
        if (given := rows.call_input(item)) is not None:
            opened.parts["input"] = given

    def _result(self, item: dict[str, Any], at_ns: int) -> None:
        self._let_go()
        call_id = text_of(item.get("call_id")) or self._call_named(text_of(item.get("name")))
        call = self._state.calls.pop(call_id, None) if call_id else None
        text, status, error_type = rows.result_of(item)
        if call is None:
            name = rows.call_name(item, "")
            call = Call(call_id or f"result:{self._key}", name, None, self._state.run, at_ns)
            span = self._tool(call, Rank.ENDED, at_ns, status)
            span.started_ns = None
        else:
            if call.failed and status == "ok":
                status, error_type = "error", "tool_error"
            span = self._tool(call, Rank.ENDED, at_ns, status)
        span.error_type = error_type
        if status != "ok":
            span.error_message = message_of(text)
        span.parts["output"] = text

    def _call_named(self, name: str | None) -> str | None:
        """A result without a call id answers the oldest open call of its tool."""
        return next((key for key, call in self._state.calls.items() if call.name == name), None)

    def _hosted(self, item: dict[str, Any], at_ns: int) -> None:
        """A tool that ran at the model's side: one row is its call and its end."""
        answer, name = self._answer(at_ns), rows.HOSTED_ITEMS[word(item.get("type"))]
        status = item.get("status")
        call = Call(
            text_of(item.get("id")) or f"tool:{self._key}", name, answer.span_id, answer.run_id, answer.started_ns or 0
        )
        failed = status in ("failed", "incomplete")
        span = self._tool(call, Rank.ENDED, at_ns, "error" if failed else "ok")
        span.error_type = "tool_error" if failed else None
        if (given := rows.call_input(item)) is not None:
            span.parts["input"] = given

    def _call_event(self, event: dict[str, Any], at_ns: int) -> None:
        """An event that tells the end of a call as well; the result itself comes as an item and is what counts."""
        kind = word(event.get("type"))
        failed = rows.event_failed(kind, event) is True
        call_id = text_of(event.get("call_id"))
        if call_id in self._state.calls:
            self._state.calls[call_id].failed = failed
            return
        name, given = rows.event_tool(kind, event)
        call = Call(call_id or f"tool:{self._key}", name, None, self._state.run, at_ns)
        span = self._tool(call, Rank.PARTIAL, at_ns, "error" if failed else "ok")
        span.started_ns = _before(at_ns, event.get("duration"))
        span.error_type = "tool_error" if failed else None
        if given is not None:
            span.parts["input"] = canonical(given)


def _before(at_ns: int, duration: object) -> int | None:
    """When something began that took `{secs, nanos}`."""
    if not isinstance(duration, dict):
        return None
    secs, nanos = token_count(duration.get("secs")), token_count(duration.get("nanos"))
    if secs is None or nanos is None or not 0 < (began := at_ns - secs * NS_PER_S - nanos) <= at_ns:
        return None
    return began
