"""The events of one OpenHands run, read in order into spans: runs, model calls, tool calls, thoughts.

A user's message opens a run, the agent's `finish` or a message that waits for the user ends it. Several actions and
their observations carry the same answer of the model (`tool_call_metadata`): it is one call, known by its id.
"""

from __future__ import annotations

from typing import Any

from collectors.formats.decode import canonical, iso_ns, message_of, text_of, time_ns, type_name, usd_nano, word
from collectors.formats.usage import NONE, add_usage, first, within
from store.record.span import NS_PER_S, Rank, Span

_QUARTER_NS = 900 * NS_PER_S
_WIDEST_ZONE_NS = 15 * 3600 * NS_PER_S
# Actions that are calls of a tool, whatever its name.
_CALLS = frozenset(
    [
        *("run", "run_ipython", "read", "write", "edit", "browse", "browse_interactive", "call_tool_mcp"),
        *("delegate", "push", "send_pr", "task_tracking"),
    ]
)
# What OpenHands and its user do themselves, and what answers no call of the agent.
_SILENT_ACTIONS = frozenset(
    [
        *("null", "message", "start", "system", "change_agent_state", "pause", "resume", "stop", "recall"),
        *("condensation", "condensation_request", "loop_recovery"),
    ]
)
_SILENT_OBSERVATIONS = frozenset(
    [
        *("read", "write", "edit", "browse", "run", "run_ipython", "chat", "delegate", "message", "success", "null"),
        *("think", "user_rejected", "condense", "recall", "mcp", "download", "task_tracking", "loop_detection"),
        *("system", "error"),
    ]
)
_STATES = {"error": "error", "stopped": "aborted", "rejected": "refused", "rate_limited": None}


class Metrics:
    """Tokens, cost and latency of each call, from the longest lists that the run or any of its events holds."""

    def __init__(self, own: object, events: list[dict[str, Any]]) -> None:
        held = [own, *(event.get("llm_metrics") for event in events)]
        lists: dict[str, list[Any]] = {
            name: max(
                (one[name] for one in held if isinstance(one, dict) and isinstance(one.get(name), list)),
                key=len,
                default=[],
            )
            for name in ("costs", "token_usages", "response_latencies")
        }
        rows = {name: [one for one in value if isinstance(one, dict)] for name, value in lists.items()}
        self.costs = rows["costs"]
        self._usages = {word(one.get("response_id")): one for one in rows["token_usages"]}
        self._latencies = {word(one.get("response_id")): one.get("latency") for one in rows["response_latencies"]}
        paired = len(rows["costs"]) == len(rows["token_usages"]) == len(self._usages)
        self._costs = (
            {word(u.get("response_id")): c for u, c in zip(rows["token_usages"], rows["costs"], strict=True)}
            if paired
            else {}
        )

    def usage(self, answer_id: str) -> dict[str, Any]:
        return self._usages.get(answer_id, {})

    def cost(self, answer_id: str) -> object:
        """Dollars of one call, where costs and calls can be paired by their place."""
        return within(self._costs, answer_id).get("cost")

    def latency_ns(self, answer_id: str) -> int | None:
        value = self._latencies.get(answer_id)
        return int(value * NS_PER_S) if isinstance(value, int | float) and 0 <= value < 10**6 else None


def zone_ns(events: list[dict[str, Any]]) -> int | None:
    """What to add to the events' times to have UTC; None where nothing in the run tells.

    An action is written moments after the answer of the model that asked for it, or after the last cost it names.
    """
    for event in events:
        at = iso_ns(event["timestamp"])
        if "action" not in event or at is None:
            continue
        costs = within(event, "llm_metrics").get("costs")
        last = costs[-1] if isinstance(costs, list) and costs else None
        told = (within(event, "tool_call_metadata", "model_response").get("created"), within(last).get("timestamp"))
        known = next((ns for one in told if (ns := time_ns(one)) is not None), None)
        if known is not None and (shift := _whole_zone(known - at)) is not None:
            return shift
    return None


def _whole_zone(shift_ns: int) -> int | None:
    """The nearest quarter of an hour, as zones are; None where no zone is that far off."""
    whole = (shift_ns + _QUARTER_NS // 2) // _QUARTER_NS * _QUARTER_NS
    return whole if abs(whole) <= _WIDEST_ZONE_NS else None


class Reader:
    """Reads events in order. `spans` lack what the whole run has in common; `run` is the newest run."""

    def __init__(self, key: str, metrics: Metrics, shift_ns: int, model: str | None) -> None:
        self.spans: list[Span] = []
        self.run: Span | None = None
        self._key = key[:8]
        self._metrics = metrics
        self._shift_ns = shift_ns
        self._model = model
        self._last_ns: int | None = None
        self._calls: dict[str, Span] = {}  # by the id of their action, until their observation comes
        self._open: list[Span] = []
        self._answers: dict[str, Span] = {}

    def read(self, event: dict[str, Any]) -> str | None:
        """Read one event; the name of its type where that is not known."""
        naive = iso_ns(event["timestamp"])
        if naive is None:
            return "event-without-time"
        at_ns = naive + self._shift_ns
        unknown = self._action(event, at_ns) if "action" in event else self._observation(event, at_ns)
        self._last_ns = at_ns if self._last_ns is None else max(self._last_ns, at_ns)
        return unknown

    def end_run(self, status: str, error_type: str | None = None, message: str | None = None) -> None:
        """End the newest run at the last event, and with it the calls that nobody answered."""
        run = self.run
        if run is None or self._last_ns is None:
            return
        run.rank, run.status = Rank.ENDED, status
        run.ended_ns = max(self._last_ns, run.started_ns or 0)
        run.error_type, run.error_message = error_type, None if message is None else message_of(message)
        self._abandon(self._last_ns)

    def _span(self, span_id: str, kind: str, **fields: Any) -> Span:
        run_id = self.run.span_id if self.run is not None else None
        span = Span(
            namespace="", span_id=f"{self._key}:{span_id}", kind=kind, run_id=run_id, parent_id=run_id, **fields
        )
        self.spans.append(span)
        return span

    def _abandon(self, at_ns: int) -> None:
        for call in self._open:
            if call.rank == Rank.STARTED:
                call.rank, call.status = Rank.ABANDONED, "unknown"
                call.ended_ns = max(at_ns, call.started_ns or 0)
        self._open.clear()

    # --- actions

    def _action(self, event: dict[str, Any], at_ns: int) -> str | None:
        kind, source, args = word(event.get("action")), word(event.get("source")), within(event, "args")
        if kind == "message" and source == "user":
            self._begin(event, args, at_ns)
            return None
        answer = self._answer(event, kind, at_ns) if source == "agent" else None
        if kind in _CALLS:
            if source == "agent":
                self._call(event, kind, args, answer, at_ns)
        elif kind == "think":
            thought = self._span(f"{_event_id(event)}:thought", "reasoning", ended_ns=at_ns, status="ok")
            thought.started_ns = at_ns
            if isinstance(args.get("thought"), str):
                thought.parts["output"] = args["thought"]
        elif kind in ("finish", "reject") or (kind == "message" and args.get("wait_for_response") is True):
            self._last_ns = at_ns if self._last_ns is None else max(self._last_ns, at_ns)
            said = text_of(event.get("message"))
            if self.run is not None and said:
                self.run.parts["output"] = event["message"]
            self.end_run("refused" if kind == "reject" else "ok")
        elif kind not in _SILENT_ACTIONS:
            return f"action-{type_name(kind)}"
        return None

    def _begin(self, event: dict[str, Any], args: dict[str, Any], at_ns: int) -> None:
        if self.run is not None and self.run.rank == Rank.STARTED:
            self.end_run("unknown")  # a prompt that came before the answer to the one before
        self.run = None
        run = self._span(f"{_event_id(event)}:run", "run", started_ns=at_ns, rank=Rank.STARTED)
        run.run_id = run.span_id
        self.run = run
        said = args.get("content", event.get("message"))
        if isinstance(said, str) and said:
            run.parts["input"] = said

    def _answer(self, event: dict[str, Any], kind: str, at_ns: int) -> Span | None:
        """The model's answer that asked for this action; an agent's message is one even where nothing else tells."""
        response = within(event, "tool_call_metadata", "model_response")
        answer_id = text_of(response.get("id"))
        if answer_id is None and kind not in ("message", "finish") and kind not in _CALLS:
            return None
        if answer_id in self._answers:
            return self._answers[answer_id]
        place = answer_id or _event_id(event)
        latency = self._metrics.latency_ns(place)
        started = at_ns - latency if latency is not None else self._last_ns
        span = self._span(
            f"{place}:llm",
            "llm",
            started_ns=at_ns if started is None else min(started, at_ns),
            ended_ns=at_ns,
            status="ok",
            model=text_of(response.get("model")) or self._model,
        )
        if answer_id is not None:
            self._answers[answer_id] = span
        flags: set[str] = set()
        self._count(span, response, place, flags)
        choices = response.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        said = within(choice, "message").get("content") or event.get("message")
        if said not in (None, ""):
            span.parts["output"] = canonical(said)
        if word(choice.get("finish_reason")) == "length":
            span.status = "capped"
        span.flags = ",".join(sorted(flags)) or None
        return span

    def _count(self, span: Span, response: dict[str, Any], answer_id: str, flags: set[str]) -> None:
        """LiteLLM's dialect: `prompt_tokens` is all of the input."""
        usage, metric = within(response, "usage"), self._metrics.usage(answer_id)
        if usage:
            read = first(usage, "cache_read_input_tokens")
            add_usage(
                span,
                flags,
                given=first(usage, "prompt_tokens"),
                output=first(usage, "completion_tokens"),
                read=read if read != NONE else first(within(usage, "prompt_tokens_details"), "cached_tokens"),
                write=first(usage, "cache_creation_input_tokens"),
                reasoning=first(within(usage, "completion_tokens_details"), "reasoning_tokens"),
                total=first(usage, "total_tokens"),
            )
        else:
            add_usage(
                span,
                flags,
                given=first(metric, "prompt_tokens"),
                output=first(metric, "completion_tokens"),
                read=first(metric, "cache_read_tokens"),
                write=first(metric, "cache_write_tokens"),
            )
        if cost := usd_nano(self._metrics.cost(answer_id)):  # 0 is a model whose price is not known
            span.cost_nano, span.cost_basis = cost, "reported"

    def _call(self, event: dict[str, Any], kind: str, args: dict[str, Any], answer: Span | None, at_ns: int) -> None:
        metadata = within(event, "tool_call_metadata")
        tool = text_of(metadata.get("function_name")) or text_of(args.get("name")) or kind
        call = self._span(f"{_event_id(event)}:tool", "tool", tool=tool, name=tool, started_ns=at_ns, rank=Rank.STARTED)
        if answer is not None:
            call.parent_id = answer.span_id
            if self._open and self._open[0].parent_id != call.parent_id:
                self._abandon(at_ns)  # a new answer: nothing more is said of what earlier ones asked for
        if args:
            call.parts["input"] = canonical(args)
        self._calls[_event_id(event)] = call
        self._open.append(call)

    # --- observations

    def _observation(self, event: dict[str, Any], at_ns: int) -> str | None:
        kind, extras = word(event.get("observation")), within(event, "extras")
        call = self._calls.pop(_number(event.get("cause")), None)
        if call is not None:
            self._end_call(call, event, kind, extras, at_ns)
        elif kind == "agent_state_changed":
            status = _STATES.get(word(extras.get("agent_state")))
            if status is not None and self.run is not None and self.run.rank == Rank.STARTED:
                self._last_ns = at_ns
                reason = extras.get("reason")
                self.end_run(status, word(extras.get("agent_state")), reason if isinstance(reason, str) else None)
        elif kind == "error" and self.run is not None:
            self.run.parts["error"] = canonical(event.get("content"))
        elif kind not in _SILENT_OBSERVATIONS:
            return f"observation-{type_name(kind)}"
        return None

    def _end_call(self, call: Span, event: dict[str, Any], kind: str, extras: dict[str, Any], at_ns: int) -> None:
        call.rank, call.ended_ns = Rank.ENDED, max(at_ns, call.started_ns or 0)
        content = event.get("content")
        call.parts["output"] = canonical(content) if content is not None else ""
        if extras:
            call.parts["details"] = canonical(extras)
        metadata = within(extras, "metadata")
        code = metadata.get("exit_code", extras.get("exit_code"))
        if kind == "user_rejected":
            call.status = "cancelled"
        elif kind == "error" or (isinstance(code, int) and code not in (0, -1)) or extras.get("error") is True:
            call.status = "error"
            call.error_type = "error" if kind == "error" or not isinstance(code, int) else f"exit_{code}"
            call.error_message = message_of(call.parts["output"]) or None
        elif code == -1:
            call.status = "unknown"  # it still runs
        else:
            call.status = "ok"


def _event_id(event: dict[str, Any]) -> str:
    """Ids count up within the run; zeros keep their order as text."""
    return _number(event.get("id"))


def _number(value: object) -> str:
    return f"{value:06d}" if isinstance(value, int) and 0 <= value < 10**9 else str(value)[:40]
