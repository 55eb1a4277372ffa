"""SWE-agent trajectories (`.traj`) and mini-swe-agent's (`.traj.json`): one document a run, written anew each step.

A `.traj` names no time at all: its spans have none, so they count in their session and in no window. Tokens and cost
stand there as totals of the run only, and so on the run's span. A step is one answer of the model and one command.
A document has no id. Namespace `session:<key>`, a hash of where the file lies (its name and two folders, for the same
task is run again in another folder), of what the run was asked and of its first answer.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_value,
    digest,
    text_of,
    token_count,
    usd_nano,
    word,
)
from collectors.formats.items import ItemsParser, mostly
from collectors.formats.swe_agent.mini import Told, close_calls, is_mini, read_mini, status_of_exit
from collectors.formats.usage import within
from store.record.span import Rank, Span

_PATH_PARTS = 3
# What SWE-agent's own tool bundles install; every other action is a shell command.
_OWN_TOOLS = frozenset(
    [
        *("create", "edit", "insert", "append", "open", "goto", "scroll_up", "scroll_down"),
        *("search_dir", "search_file", "find_file", "filemap", "str_replace_editor", "submit", "exit_forfeit"),
        *("debug_start", "debug_stop", "debug_add_breakpoint", "debug_continue", "debug_step", "debug_exec"),
        *("connect_start", "connect_sendline", "connect_stop", "decompile", "disassemble", "view_image"),
    ]
)


class SweAgent:
    """The format itself."""

    name = "swe-agent"
    namespace = "session"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                value, _ = decode_value(data)
            except UnreadableError:
                continue
            hits += _is_trajectory(value) or is_mini(value)
        return hits * 2 > len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> SweAgentParser:  # noqa: ARG002 - it holds none
        return SweAgentParser(facts)


def _is_trajectory(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("trajectory"), list):
        return False
    if not isinstance(value.get("info"), dict) or not isinstance(value.get("history"), list):
        return False
    steps = value["trajectory"]
    return not steps or mostly(steps, lambda one: isinstance(one, dict) and "action" in one and "observation" in one)


class SweAgentParser(ItemsParser):
    """Reads one trajectory a line (or the document)."""

    def __init__(self, facts: SourceFacts) -> None:
        self._agent = facts.agent
        self._path = PurePath(facts.path)
        super().__init__(SweAgent.name)

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)
        if is_mini(value):
            told, agent = read_mini(value), "mini-swe-agent"
        elif isinstance(value, dict) and isinstance(value.get("trajectory"), list):
            told, agent = _read(value), SweAgent.name
        else:
            raise UnreadableError("not a trajectory")
        run, *steps = told.spans
        if not steps and run.rank == Rank.STARTED:
            return  # nothing has happened yet
        place = "/".join(self._path.parts[-_PATH_PARTS:])
        said = steps[0].parts.get("output") if steps else None
        key = digest(canonical([place, told.asked, said]).encode("utf-8", "replace"))
        session = f"{told.instance or cap(self._path.name.partition('.')[0])}:{key[:8]}"
        run_id = f"run:{key}"
        for span in told.spans:
            number = span.span_id
            span.namespace = f"session:{key}"
            span.span_id = run_id if span.kind == "run" else f"{key[:8]}:{number}"
            span.parent_id = None if span.kind == "run" else run_id
            span.session, span.run_id = session, run_id
            span.format, span.agent, span.agent_version = SweAgent.name, self._agent or agent, told.version
            flags = {*mended, *(span.flags.split(",") if span.flags else ())}
            if span.started_ns is None and span.ended_ns is None:
                flags.add("time")
            span.flags = ",".join(sorted(flags)) or None
            self._out.spans.append(span)


def _read(document: dict[str, Any]) -> Told:
    """A `.traj`. `replay_config` of newer ones, which names model and task, may be JSON text."""
    info = within(document, "info")
    config = document.get("replay_config")
    if isinstance(config, str):
        config = _decoded(config)
    model = text_of(within(config, "agent", "model").get("name"))
    prompts = _prompts(document.get("history"))
    run = Span(namespace="", span_id="", kind="run", name=text_of(within(config, "problem_statement").get("id")))
    _add_totals(run, info, model)
    if prompts:
        run.parts["input"] = prompts[-1]
    if isinstance(info.get("submission"), str):
        run.parts["output"] = info["submission"]
    told = Told(
        instance=run.name or text_of(document.get("instance_id")),
        asked=[canonical(document.get("environment")), *prompts],
        version=text_of(info.get("swe_agent_version")),
        spans=[run],
    )
    for number, step in enumerate(document["trajectory"]):
        if isinstance(step, dict):
            told.spans += _step(step, number, model)
    if said := word(info.get("exit_status")):
        run.status = status_of_exit(said)
        run.error_type = None if run.status == "ok" else text_of(said)
    else:
        run.rank = Rank.STARTED
    close_calls(told)
    return told


def _step(step: dict[str, Any], number: int, model: str | None) -> list[Span]:
    """The model's answer and its command. No exit code is written: no command is known to have failed."""
    answer = Span(namespace="", span_id=f"{number:05d}:1:llm", kind="llm", model=model, status="ok")
    said = step.get("response") or step.get("thought")
    if isinstance(said, str) and said:
        answer.parts["output"] = said
    action = step.get("action")
    if not isinstance(action, str) or not action.strip():
        return [answer]
    first_word = action.split(maxsplit=1)[0]
    tool = first_word if first_word in _OWN_TOOLS else "bash"
    call = Span(namespace="", span_id=f"{number:05d}:2:tool", kind="tool", tool=tool, name=tool, status="unknown")
    call.parts["input"] = canonical({"command": action})
    if isinstance(step.get("observation"), str):
        call.parts["output"] = step["observation"]
    state = step.get("state")
    if isinstance(state, str):
        state = _decoded(state) or state
    details = {"execution_time": step.get("execution_time"), "state": state}
    if any(one is not None for one in details.values()):
        call.parts["details"] = canonical(details)
    return [answer, call]


def _add_totals(run: Span, info: dict[str, Any], model: str | None) -> None:
    """Totals of the run. 0 stands for what was not counted (a demonstration, a replay, a model without a price)."""
    totals = within(info, "model_stats")
    flags: set[str] = set()
    counts: dict[str, int | None] = {}
    for name in ("tokens_sent", "tokens_received"):
        counts[name] = token_count(totals.get(name))
        if counts[name] is None and totals.get(name) is not None:
            flags.add(f"tokens.{name}")
    if any(counts.values()):
        run.tokens_input, run.tokens_output = counts["tokens_sent"], counts["tokens_received"]
        run.model = model
    cost = usd_nano(totals.get("instance_cost"))
    if cost:
        run.cost_nano, run.cost_basis = cost, "reported"
    elif cost is None and totals.get("instance_cost") is not None:
        flags.add("cost")
    run.flags = ",".join(sorted(flags)) or None


def _prompts(history: object) -> list[str]:
    """System prompt and tasks before the first answer, without demonstrations."""
    found: list[str] = []
    for one in history if isinstance(history, list) else []:
        if not isinstance(one, dict) or one.get("is_demo") is True:
            continue
        if one.get("role") == "assistant":
            break
        if one.get("content") is not None:
            found.append(canonical(one["content"]))
    return found


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
