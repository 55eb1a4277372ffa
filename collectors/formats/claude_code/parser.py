"""Reads one Claude Code transcript in order: lines to versions of spans, and calls to results."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.blocks import blocks_of, payload_text, text_in
from collectors.formats.claude_code import rows
from collectors.formats.claude_code.keys import (
    NAMESPACE,
    line_key,
    message_key,
    prompt_hash,
    run_key,
    text_or_empty,
    time_of,
    unique,
)
from collectors.formats.claude_code.state import (
    MAX_CALLS,
    MAX_CHAINS,
    MAX_LEAVES,
    MAX_MESSAGES,
    Call,
    Chain,
    Leaf,
    Message,
    dump,
    load,
    remember,
)
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_object,
    digest,
    message_of,
    text_of,
    type_name,
    word,
)
from collectors.formats.row_parser import RowParser
from store.record.span import Rank, Span

NAME = "claude-code"
_PATH_SESSION = re.compile(r"(?:^|/)([^/]+)/subagents/agent-[^/]*$")


class ClaudeCodeParser(RowParser):
    """Reads one file in order. What it carries over is in `state.State`."""

    def __init__(self, facts: SourceFacts, state: bytes = b"") -> None:
        path = PurePath(facts.path)
        self._agent = facts.agent or NAME
        self._is_sub = path.stem.startswith("agent-")
        inside = _PATH_SESSION.search(path.as_posix())
        self._path_session = inside[1] if inside else None
        self._stem = path.stem
        self._state = load(state)
        super().__init__(NAME)

    def state(self) -> bytes:
        return dump(self._state)

    # --- one row

    def _row(self, data: bytes) -> None:
        row, mended = decode_object(data)
        kind, message = word(row.get("type")), row.get("message")
        if not kind and isinstance(message, dict):
            kind = "user" if message.get("role") == "user" else "assistant"
        if kind == "system" and row.get("subtype") == "api_error":
            self._api_error(row)
            return
        if kind not in ("user", "assistant"):
            if kind != "system" and kind not in rows.SILENT_TYPES:
                self._unknown(type_name(kind))
            return
        at_ns = time_of(row)
        if not isinstance(message, dict):
            raise UnreadableError("message is not an object")
        if "content" not in message and "usage" not in message:
            raise UnreadableError("message has no content")
        chain = self._chain_of(row)
        if kind == "assistant":
            self._assistant(row, message, at_ns, chain, data, mended)
        else:
            self._user(row, message, at_ns, chain, mended)
        self._advance(row, at_ns, chain)

    def _session_of(self, row: dict[str, Any]) -> str:
        if self._path_session:
            return cap(self._path_session)
        return text_of(row.get("sessionId")) or cap(self._stem)

    def _chain_of(self, row: dict[str, Any]) -> str:
        """ "" for the file's own conversation, else the side chain that the line belongs to."""
        if self._is_sub or row.get("isSidechain") is not True:
            return ""
        if agent := text_of(row.get("agentId")):
            return agent
        leaf = self._state.leaves.get(text_or_empty(row.get("parentUuid")))
        if leaf is not None and leaf.chain:
            return leaf.chain
        sides = [one for one in self._state.chains if one]
        if row.get("parentUuid") is not None and sides:
            return sides[-1]  # its parent is no longer remembered
        return text_of(row.get("uuid")) or "side"

    def _advance(self, row: dict[str, Any], at_ns: int, chain: str) -> None:
        """The line is read: it is now the newest of its branch and of its chain."""
        state = self._state
        state.leaves.pop(text_or_empty(row.get("parentUuid")), None)
        if uuid := text_of(row.get("uuid")):
            remember(state.leaves, uuid, Leaf(at_ns, chain), MAX_LEAVES)
        own = state.chains.get(chain) or Chain()
        own.at_ns = at_ns
        remember(state.chains, chain, own, MAX_CHAINS)

    def _span(self, span_id: str, kind: str, row: dict[str, Any], session: str, **fields: Any) -> Span:
        """A span of this file with what every line says of itself."""
        return Span(
            namespace=NAMESPACE,
            span_id=span_id,
            kind=kind,
            session=session,
            format=NAME,
            agent=self._agent,
            agent_version=text_of(row.get("version")),
            **fields,
        )

    # --- the model's rows

    def _assistant(
        self, row: dict[str, Any], message: dict[str, Any], at_ns: int, chain: str, data: bytes, mended: set[str]
    ) -> None:
        state = self._state
        blocks = blocks_of(message.get("content"))
        text = text_in(blocks)
        if message.get("model") == rows.SYNTHETIC and not rows.is_api_error(row, message, text):
            return  # the client's own filler, such as "No response requested.": no model was called
        if chain == "":
            self._start_of_answer(row, at_ns)
        session = self._session_here(row, chain)
        key = message_key(row, message, session, data)
        self._abandon(at_ns, lambda call: call.chain == chain and call.parent != key)
        own = state.messages.get(key)
        if own is None:
            own = Message(self._before(row, at_ns, chain), at_ns)
        else:  # a later line must win, whatever its clock says
            own.ended_ns = max(at_ns, own.ended_ns + 1)
        remember(state.messages, key, own, MAX_MESSAGES)
        span = self._span(
            key,
            "llm",
            row,
            session,
            run_id=self._run_of(row),
            parent_id=self._parent_of(session, chain),
            started_ns=own.started_ns,
            ended_ns=own.ended_ns,
            rank=self._rank(chain),
        )
        flags = set(mended)
        if message.get("model") != rows.SYNTHETIC:
            span.model = text_of(message.get("model"))
            if isinstance(usage := message.get("usage"), dict):
                rows.add_usage(span, usage, flags)
        rows.add_outcome(span, row, message, text)
        self._blocks(row, blocks, span, own, chain)
        if flags:
            span.flags = ",".join(sorted(flags))
        self._out.spans.append(span)
        if chain == "":
            self._run_goes_on(row, message, blocks, span)

    def _blocks(self, row: dict[str, Any], blocks: list[dict[str, Any]], span: Span, own: Message, chain: str) -> None:
        for block in blocks:
            kind = word(block.get("type"))
            number, own.blocks = own.blocks, own.blocks + 1
            if kind == "text":
                if isinstance(said := block.get("text"), str) and said:
                    span.parts[f"output:{number:02d}-{digest(said.encode('utf-8', 'replace'), 4)}"] = said
            elif kind in rows.THINKING:
                self._thinking(row, block, span, own)
            elif kind in rows.TOOL_USE:
                self._tool_use(row, block, span, number, chain)
            elif kind.endswith("tool_result"):
                self._tool_result(row, block, own.ended_ns, chain)
            else:
                name = f"{NAME}/block-{type_name(kind)}"
                self._out.unknown_types[name] = self._out.unknown_types.get(name, 0) + 1

    def _thinking(self, row: dict[str, Any], block: dict[str, Any], span: Span, own: Message) -> None:
        said = block.get("thinking")
        said = said if isinstance(said, str) else ""
        thought = self._span(
            f"{span.span_id}:thinking:{digest(said.encode('utf-8', 'replace'), 4)}",
            "reasoning",
            row,
            span.session or "",
            run_id=span.run_id,
            parent_id=span.span_id,
            started_ns=own.started_ns,
            ended_ns=own.ended_ns,
            rank=span.rank,
            status="ok",
        )
        if said:
            thought.parts["output"] = said
        self._out.spans.append(thought)

    def _tool_use(self, row: dict[str, Any], block: dict[str, Any], span: Span, number: int, chain: str) -> None:
        name, given = text_of(block.get("name")), block.get("input")
        session = span.session or ""
        raw = text_of(block.get("id"))
        call_id = unique(raw, session) if raw else f"{line_key(row, session)}:tool:{number}"
        started_ns = time_of(row)
        prompt = given.get("prompt") if isinstance(given, dict) else None
        call = Call(
            name,
            span.span_id,
            chain,
            span.run_id,
            session,
            started_ns,
            prompt_hash(prompt) if prompt is not None else None,
        )
        gone = remember(self._state.calls, call_id, call, MAX_CALLS)
        if gone is not None and not gone[1].abandoned:
            self._out.spans.append(self._end_of_call(gone[0], gone[1], row, Rank.ABANDONED, started_ns, "unknown"))
        opened = self._span(
            call_id,
            "tool",
            row,
            session,
            run_id=span.run_id,
            parent_id=span.span_id,
            tool=name,
            name=name,
            started_ns=started_ns,
            rank=Rank.STARTED,
        )
        if given is not None:
            opened.parts["input"] = canonical(given)
        self._out.spans.append(opened)

    def _end_of_call(
        self, call_id: str, call: Call, row: dict[str, Any], rank: Rank, ended_ns: int, status: str
    ) -> Span:
        return self._span(
            call_id,
            "tool",
            row,
            call.session,
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
                self._out.spans.append(self._end_of_call(call_id, call, {}, Rank.ABANDONED, at_ns, "unknown"))

    def _api_error(self, row: dict[str, Any]) -> None:
        """A call that the API refused and that the client tries again."""
        at_ns = time_of(row)
        chain, session = self._chain_of(row), self._session_here(row, self._chain_of(row))
        error = row.get("error")
        text = canonical(error) if error is not None else ""
        named = {"error": None, "apiErrorStatus": error.get("status") if isinstance(error, dict) else None}
        attempt = row.get("retryAttempt")
        span = self._span(
            f"{line_key(row, session)}:api_error",
            "llm",
            row,
            session,
            run_id=self._run_of(row),
            parent_id=self._parent_of(session, chain),
            started_ns=self._before(row, at_ns, chain),
            ended_ns=at_ns,
            attempt=attempt if isinstance(attempt, int) and 0 <= attempt < 1_000_000 else None,
        )
        rows.add_outcome(span, {**named, "isApiErrorMessage": True}, {}, text)
        self._out.spans.append(span)

    # --- the user's rows

    def _user(self, row: dict[str, Any], message: dict[str, Any], at_ns: int, chain: str, mended: set[str]) -> None:
        blocks = blocks_of(message.get("content"))
        kind = rows.prompt_kind(row, blocks)
        if kind == "result":
            for block in blocks:
                if str(block.get("type")).endswith("tool_result"):
                    self._tool_result(row, block, at_ns, chain)
            return
        if chain:
            if chain not in self._state.chains:
                self._open_side_chain(chain, at_ns, payload_text(message.get("content")))
            return
        state = self._state
        if kind == "interrupt":
            self._abandon(at_ns, lambda _: True)
            self._emit_run(row, ended_ns=at_ns, status="aborted", error_type="interrupted")
        elif kind == "command":
            state.command = (line_key(row, self._session_of(row)), at_ns, text_of(row.get("promptId")))
        elif kind == "noise":
            state.command = None  # the command was one of the client's own
        elif kind == "prompt" or state.command is not None:
            opener, state.command = state.command, None
            self._open_run(row, at_ns, opener, payload_text(message.get("content")), mended)

    def _open_side_chain(self, chain: str, at_ns: int, prompt: str) -> None:
        """A sub-agent begins: its parent is the call that was given the same prompt."""
        wanted = prompt_hash(prompt)
        parent = next((key for key, call in self._state.calls.items() if call.prompt == wanted), None)
        remember(self._state.chains, chain, Chain(at_ns, parent), MAX_CHAINS)

    def _tool_result(self, row: dict[str, Any], block: dict[str, Any], at_ns: int, chain: str) -> None:
        session = self._session_here(row, chain)
        if raw := text_of(block.get("tool_use_id")):
            call_id = unique(raw, session)
        else:
            call_id = self._nameless_call(row, session)
        call = self._state.calls.pop(call_id, None)
        content = block.get("content")
        text = payload_text(content) if content is not None else ""
        status, error_type = rows.result_outcome(row, block, text)
        if call is None:  # its start is in another file, or long ago
            call = Call(None, "", chain, self._run_of(row), session, at_ns, None)
            span = self._end_of_call(call_id, call, row, self._rank(chain), at_ns, status)
            span.parent_id = span.started_ns = None
        else:
            span = self._end_of_call(call_id, call, row, self._rank(chain), at_ns, status)
        span.error_type = error_type
        if status != "ok":
            span.error_message = message_of(text)
        span.parts["output"] = text
        self._out.spans.append(span)

    def _nameless_call(self, row: dict[str, Any], session: str) -> str:
        """A result that names no call answers the oldest open nameless call of the line it answers."""
        for name in ("sourceToolAssistantUUID", "parentUuid"):
            if uuid := text_of(row.get(name)):
                start = f"{unique(uuid, session)}:tool:"
                found = next((key for key in self._state.calls if key.startswith(start)), None)
                if found is not None:
                    return found
        return f"{line_key(row, session)}:result"

    # --- runs

    def _session_here(self, row: dict[str, Any], chain: str) -> str:
        """The session of a line; lines that a resumed session wrote anew stay with the run that they repeat."""
        state = self._state
        if state.replay and chain == "" and state.run_session:
            return state.run_session
        return self._session_of(row)

    def _rank(self, chain: str) -> Rank:
        return Rank.PARTIAL if self._state.replay and chain == "" else Rank.ENDED

    def _run_of(self, row: dict[str, Any]) -> str | None:
        if self._state.run is not None:
            return self._state.run
        return text_of(row.get("promptId")) if self._is_sub else None

    def _parent_of(self, session: str, chain: str) -> str | None:
        if chain:
            own = self._state.chains.get(chain)
            return own.parent if own else None
        state = self._state
        return None if state.run is None or not state.run_is else run_key(state.run, state.run_session or session)

    def _before(self, row: dict[str, Any], at_ns: int, chain: str) -> int:
        """When the model was called: the time of the line before in the same chain, never later than the answer."""
        leaf = self._state.leaves.get(text_or_empty(row.get("parentUuid")))
        own = self._state.chains.get(chain)
        before = leaf.at_ns if leaf is not None else own.at_ns if own is not None else None
        return at_ns if before is None else min(before, at_ns)

    def _open_run(
        self, row: dict[str, Any], at_ns: int, opener: tuple[str, int, str | None] | None, text: str, mended: set[str]
    ) -> None:
        state, session = self._state, self._session_of(row)
        self._abandon(at_ns, lambda _: True)
        if state.run_is == "open":
            last = state.chains.get("")
            self._emit_run(row, rank=Rank.ABANDONED, ended_ns=last.at_ns if last else at_ns, status="unknown")
        own_key, started_ns, prompt_id = opener or (line_key(row, session), at_ns, text_of(row.get("promptId")))
        known = prompt_id if self._is_sub else None
        state.replay, state.last_prompt_session = False, session
        state.run, state.run_session = known or prompt_id or own_key, session
        state.run_is = "" if known else "open"  # a sub-agent that names its prompt works in its parent's run
        if not known:
            self._emit_run(row, started_ns=min(started_ns, at_ns), rank=Rank.STARTED, text=text, flags=mended)

    def _start_of_answer(self, row: dict[str, Any], at_ns: int) -> None:
        """The main conversation's model speaks: a waiting slash command becomes a run, a replay is noticed."""
        state = self._state
        if state.command is not None:
            opener, state.command = state.command, None
            self._open_run(row, at_ns, opener, "", set())
        if state.last_prompt_session is not None and self._session_of(row) != state.last_prompt_session:
            state.replay = True
        state.last_prompt_session = None

    def _run_goes_on(
        self, row: dict[str, Any], message: dict[str, Any], blocks: list[dict[str, Any]], span: Span
    ) -> None:
        """Emit the run's end where this may be its last word, and take the word back where it was not."""
        kinds = {word(one.get("type")) for one in blocks}
        if rows.is_final(message, bool(kinds & rows.TOOL_USE), "text" in kinds) or span.status != "ok":
            self._emit_run(row, ended_ns=span.ended_ns, status=span.status, error_type=span.error_type)
        elif self._state.run_is == "ended" and kinds & rows.TOOL_USE:
            self._emit_run(row, ended_ns=span.ended_ns, status="unknown")
            self._state.run_is = "unknown"

    def _emit_run(
        self,
        row: dict[str, Any],
        text: str = "",
        rank: Rank | None = None,
        flags: set[str] | None = None,
        **fields: Any,
    ) -> None:
        state = self._state
        if state.run is None or not state.run_is or state.run_session is None:
            return
        if rank is None:
            rank, state.run_is = self._rank(""), "ended"
        span = self._span(
            run_key(state.run, state.run_session), "run", row, state.run_session, run_id=state.run, rank=rank, **fields
        )
        if text:
            span.parts["input"] = text
        if flags:
            span.flags = ",".join(sorted(flags))
        self._out.spans.append(span)
