"""mini-swe-agent trajectories: a list of chat messages, bare in old versions, within a document that tells more in new.

New versions write the time, the command and the whole answer of the model API under `extra` of each message; bare
lists write none of them, so the commands are read out of the answers' code blocks and the spans have no time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from collectors.formats.blocks import payload_text
from collectors.formats.decode import canonical, text_of, time_ns, usd_nano, word
from collectors.formats.usage import add_usage, first, within
from store.record.span import Rank, Span

_RETURNED = re.compile(r"\A\s*<returncode>(-?\d{1,10})</returncode>")
_COMMAND = re.compile(r"```(?:mswea_bash_command|bash)[ \t]*\n(.*?)\n?```", re.DOTALL)
_CAPPED = re.compile(r"exit_(cost|context|total_execution_time)|limits?exceeded|timeexceeded", re.IGNORECASE)
_CANCELLED = re.compile(r"exit_command\b|user_?interrupt", re.IGNORECASE)
_SUBMITS = ("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "MICRO_SWE_AGENT_FINAL_OUTPUT")


@dataclass(slots=True)
class Told:
    """What a trajectory came to: spans without their ids (`span_id` is their place in it), and what tells it apart."""

    instance: str | None
    asked: list[str]
    version: str | None
    spans: list[Span] = field(default_factory=list)


def status_of_exit(said: str) -> str:
    """An exit status -> ours; `submitted (exit_cost)` was submitted because a limit ended the run."""
    if _CAPPED.search(said):
        return "capped"
    if said.lower().startswith("submitted"):
        return "ok"
    if _CANCELLED.search(said):
        return "cancelled"
    return "aborted" if "forfeit" in said else "error"


def close_calls(told: Told) -> None:
    """A command without an output is in flight, unless the run went on or ended without one."""
    run, *steps = told.spans
    for at, call in enumerate(steps):
        if call.kind != "tool" or "output" in call.parts:
            continue
        later = next((one for one in steps[at + 1 :] if one.kind == "llm"), None)
        if later is None and run.rank == Rank.STARTED:
            call.rank, call.status = Rank.STARTED, None
            continue
        call.rank, call.status = Rank.ABANDONED, "unknown"
        ended = run.ended_ns if later is None else later.ended_ns
        call.ended_ns = ended if ended is None or call.started_ns is None else max(ended, call.started_ns)


def is_mini(value: object) -> bool:
    """True for a mini-swe-agent document, or a list of chat messages with its way of saying what a command returned."""
    if isinstance(value, dict):
        if not isinstance(value.get("messages"), list):
            return False
        return word(value.get("trajectory_format")).startswith("mini-swe-agent") or "mini_version" in within(
            value, "info"
        )
    if not isinstance(value, list) or len(value) < 3:
        return False
    if not all(isinstance(one, dict) and isinstance(one.get("role"), str) and "content" in one for one in value):
        return False
    return any(
        one["role"] == "assistant" and isinstance(then["content"], str) and _RETURNED.match(then["content"])
        for one, then in pairwise(value)
    )


def read_mini(value: Any) -> Told:
    """A trajectory for which `is_mini` is true."""
    document = value if isinstance(value, dict) else {}
    info = within(document, "info")
    rows: list[object] = document["messages"] if document else value
    messages = [one for one in rows if isinstance(one, dict)]
    answers = [at for at, one in enumerate(messages) if one.get("role") == "assistant"]
    prompts = [payload_text(one.get("content")) for one in messages[: answers[0] if answers else len(messages)]]
    run = Span(namespace="", span_id="", kind="run", name=text_of(document.get("instance_id")))
    told = Told(
        instance=run.name,
        asked=[*prompts, canonical(document.get("instance_id"))],
        version=text_of(info.get("mini_version")),
        spans=[run],
    )
    if prompts:
        run.parts["input"] = prompts[-1]
    model = text_of(within(info, "config", "model").get("model_name"))
    before: int | None = None
    for number, (at, then) in enumerate(pairwise([*answers, len(messages)])):
        spans, before = _step(messages[at], messages[at + 1 : then], number, before, model)
        told.spans += spans
    _end_run(run, told.spans[1:], messages, info)
    close_calls(told)
    return told


def _step(
    message: dict[str, Any], results: list[dict[str, Any]], number: int, before_ns: int | None, model: str | None
) -> tuple[list[Span], int | None]:
    """The spans of an answer and its commands, and the time of the last of them."""
    extra = within(message, "extra")
    response = within(extra, "response")
    ended = _time(message)
    started = before_ns if before_ns is not None else time_ns(response.get("created"))
    flags: set[str] = set()
    answer = Span(
        namespace="",
        span_id=f"{number:05d}:1:llm",
        kind="llm",
        model=model or text_of(response.get("model")),
        model_served=text_of(response.get("model")),
        started_ns=started if ended is None or started is None else min(started, ended),
        ended_ns=ended,
        status="ok",
    )
    if text := payload_text(message.get("content")) if message.get("content") is not None else "":
        answer.parts["output"] = text
    _add_counts(answer, within(response, "usage"), flags)
    if cost := usd_nano(extra.get("cost")):
        answer.cost_nano, answer.cost_basis = cost, "reported"
    answer.flags = ",".join(sorted(flags)) or None
    spans, last = [answer], ended if ended is not None else before_ns
    commands = _commands(message, text)
    observed = [one for one in results if one.get("role") in ("user", "tool")]
    for place, (call_id, command) in enumerate(commands):
        own = next((one for one in observed if call_id is not None and one.get("tool_call_id") == call_id), None)
        if own is None and call_id is None and place < len(observed):
            own = observed[place]
        call = _call(f"{number:05d}:2:tool:{place:02d}", command, own, ended)
        spans.append(call)
        last = call.ended_ns if call.ended_ns is not None else last
    return spans, last


def _call(place: str, command: object, result: dict[str, Any] | None, started_ns: int | None) -> Span:
    call = Span(namespace="", span_id=place, kind="tool", tool="bash", name="bash", started_ns=started_ns)
    call.parts["input"] = canonical({"command": command})
    if result is None:
        return call
    at = _time(result)
    call.ended_ns = at if at is None or started_ns is None else max(at, started_ns)
    text = payload_text(result.get("content"))
    call.parts["output"] = text
    code = within(result, "extra").get("returncode")
    if code is None and (match := _RETURNED.match(text)):
        code = int(match[1])
    call.status = "unknown" if not isinstance(code, int) else "ok" if code == 0 else "error"
    if call.status == "error":
        call.error_type = f"exit_{code}"
    if call.ended_ns is None and started_ns is not None:
        call.rank = Rank.STARTED  # a start without an end is all that could be in flight
    return call


def _commands(message: dict[str, Any], text: str) -> list[tuple[str | None, object]]:
    """(call id, command) of each action: as the agent parsed it, as the model called it, or as its answer says it."""
    actions = within(message, "extra").get("actions")
    if isinstance(actions, list):
        rows = [one for one in actions if isinstance(one, dict)]
        return [(text_of(one.get("tool_call_id")), one.get("command")) for one in rows]
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        rows = [one for one in calls if isinstance(one, dict)]
        return [(text_of(one.get("id")), within(one, "function").get("arguments")) for one in rows]
    return [(None, match) for match in _COMMAND.findall(text)[:1]]  # it runs exactly one


def _add_counts(span: Span, usage: dict[str, Any], flags: set[str]) -> None:
    """LiteLLM's dialect: `prompt_tokens` is all of the input."""
    inner = within(usage, "prompt_tokens_details")
    read, write = first(usage, "cache_read_input_tokens"), first(usage, "cache_creation_input_tokens")
    add_usage(
        span,
        flags,
        given=first(usage, "prompt_tokens"),
        output=first(usage, "completion_tokens"),
        read=read if read.value is not None else first(inner, "cached_tokens"),
        write=write,
        reasoning=first(within(usage, "completion_tokens_details"), "reasoning_tokens"),
        total=first(usage, "total_tokens"),
    )


def _end_run(run: Span, steps: list[Span], messages: list[dict[str, Any]], info: dict[str, Any]) -> None:
    """The run ends as its exit says; a bare list ends with the command that submits."""
    times = [at for one in steps for at in (one.started_ns, one.ended_ns) if at is not None]
    run.started_ns = min(times, default=None)
    said = word(info.get("exit_status")) or word(within(messages[-1], "extra").get("exit_status")) if messages else ""
    answers = [one for one in messages if one.get("role") == "assistant"]
    if not said and not info and answers and any(one in canonical(answers[-1].get("content")) for one in _SUBMITS):
        said = "Submitted"
    if not said:
        run.rank = Rank.STARTED
        return
    run.status, run.ended_ns = status_of_exit(said), max(times, default=None)
    if run.status != "ok":
        run.error_type = text_of(said)
    if isinstance(info.get("submission"), str) and info["submission"]:
        run.parts["output"] = info["submission"]
    counted = any(one.cost_nano is not None or one.tokens_input is not None for one in steps)
    if not counted and (cost := usd_nano(within(info, "model_stats").get("instance_cost"))):
        run.cost_nano, run.cost_basis = cost, "reported"


def _time(message: dict[str, Any]) -> int | None:
    return time_ns(within(message, "extra").get("timestamp"))
