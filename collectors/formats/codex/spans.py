"""The spans of a Codex rollout and how they begin and end: the run that is open, the calls without a result."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.codex.state import Call, dump, load
from collectors.formats.decode import cap
from collectors.formats.row_parser import RowParser
from store.record.span import Rank, Span

NAME = "codex"
_FILE_ID = re.compile(r"rollout-.*?-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$")


class CodexSpans(RowParser, ABC):
    """Holds the state of one file and makes its spans; `CodexParser` reads the rows."""

    def __init__(self, facts: SourceFacts, state: bytes = b"") -> None:
        super().__init__(NAME)
        self._agent = facts.agent or NAME
        stem = PurePath(facts.path).stem
        named = _FILE_ID.search(stem)
        self._file_session = named[1] if named else cap(stem)
        self._state = load(state)
        self._key = ""
        self._mended: set[str] = set()

    def state(self) -> bytes:
        return dump(self._state)

    def _span(self, span_id: str, kind: str, **fields: Any) -> Span:
        state = self._state
        session = state.session or self._file_session
        span = Span(
            namespace=f"session:{session}",
            span_id=span_id,
            kind=kind,
            session=session,
            format=NAME,
            agent=self._agent,
            agent_version=state.version,
            **fields,
        )
        if self._mended:
            span.flags = ",".join(sorted(self._mended))
        self._out.spans.append(span)
        return span

    # --- runs

    def _open_run(self, run: str, kind: str, at_ns: int) -> Span:
        state = self._state
        self._abandon(at_ns, lambda _: True)
        if state.run_kind and not state.run_answered:
            self._run(Rank.ABANDONED, ended_ns=self._not_before(state.last_ns), status="unknown")
        self._let_go()
        state.run, state.run_kind, state.run_started_ns = run, kind, at_ns
        state.run_answered, state.run_failed, state.prompt = False, None, None
        return self._run(Rank.STARTED)

    def _run(self, rank: Rank, **fields: Any) -> Span:
        state = self._state
        return self._span(
            f"run:{state.run}", "run", run_id=state.run, started_ns=state.run_started_ns, rank=rank, **fields
        )

    def _not_before(self, at_ns: int | None) -> int | None:
        started_ns = self._state.run_started_ns
        return at_ns if at_ns is None or started_ns is None else max(at_ns, started_ns)

    def _close_run(self, at_ns: int, status: str, error_type: str | None = None) -> Span | None:
        state = self._state
        if state.run is None or not state.run_kind:
            return None
        state.run_kind = ""
        return self._run(Rank.ENDED, ended_ns=self._not_before(at_ns), status=status, error_type=error_type)

    def _let_go(self) -> None:
        """The items of the answer are complete; its tokens may still come."""
        if self._state.open is not None:
            self._state.last, self._state.open = self._state.open, None

    # --- tools

    def _tool(self, call: Call, rank: Rank, ended_ns: int, status: str) -> Span:
        return self._span(
            call.span_id,
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
        for call in self._state.calls.values():
            if not call.abandoned and which(call):
                call.abandoned = True
                self._tool(call, Rank.ABANDONED, at_ns, "unknown")
