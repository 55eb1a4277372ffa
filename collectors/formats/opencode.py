"""OpenCode storage: a folder of small JSON files, one a session, message or part, each written anew as it grows.

    session/<project>/<session>.json    message/<session>/<message>.json    part/<message>/<part>.json

No file is enough for a span, and any may be read first. A message file makes the `llm` span of an answer, or the run
of a prompt; the files of its texts add parts to that very span, by its key; a tool's file is a `tool` span under it.
So every file is a version of one row, and `store.record.merge` puts them together. Ids are unique in the whole
storage, and older files do not name their session, so that the namespace is one for all: `global:opencode`.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from collectors.formats.base import SourceFacts
from collectors.formats.blocks import payload_text
from collectors.formats.decode import (
    UnreadableError,
    canonical,
    cap,
    decode_object,
    message_of,
    text_of,
    token_count,
    type_name,
    usd_nano,
    word,
)
from collectors.formats.decode import time_ns as any_time_ns
from collectors.formats.row_parser import RowParser
from store.record.span import Rank, Span

NAMESPACE = "global:opencode"
# Parts that are known and carry no span. `step-finish` repeats the tokens and the cost of its message.
SILENT_PARTS = frozenset(["agent", "compaction", "file", "patch", "snapshot", "step-finish", "step-start", "subtask"])
_PARTS = frozenset({*SILENT_PARTS, "reasoning", "retry", "text", "tool"})
_ERRORS = {
    "ContentFilterError": "refused",
    "MessageAbortedError": "aborted",
    "MessageOutputLengthError": "capped",
}
_FINISH = {
    "content-filter": "refused",
    "error": "error",
    "length": "capped",
    "other": "unknown",
    "stop": "ok",
    "tool-calls": "ok",
    "unknown": "unknown",
}
_TOOL_STATUS = {"completed": "ok", "success": "ok", "error": "error"}


class OpenCode:
    """The format itself."""

    name = "opencode"
    namespace = "global"
    whole = True

    def recognises(self, head: list[bytes]) -> bool:
        hits = 0
        for data in head:
            try:
                row, _ = decode_object(data)
            except UnreadableError:
                continue
            hits += _kind_of(row) is not None
        return hits == len(head)

    def parser(self, facts: SourceFacts, state: bytes = b"") -> OpenCodeParser:
        del state  # a file stands for itself
        return OpenCodeParser(facts)


def _kind_of(row: dict[str, Any]) -> str | None:
    """session, message or part; None for what is none of them."""
    if not isinstance(row.get("id"), str):
        return None
    kind, time = row.get("type"), row.get("time")
    if isinstance(row.get("messageID"), str) and isinstance(kind, str):
        return "part"
    if isinstance(time, dict) and any_time_ns(time.get("created")) is not None:
        if isinstance(row.get("sessionID"), str) and row.get("role") in ("user", "assistant"):
            return "message"
        return "session" if {"projectID", "directory", "version"} <= row.keys() else None
    # the oldest ones name nothing but themselves; their path names the message
    timed = isinstance(time, dict) and any_time_ns(time.get("start")) is not None
    if kind in ("text", "reasoning") and timed and isinstance(row.get("text"), str) and "role" not in row:
        return "part"
    return None


class OpenCodeParser(RowParser):
    """Reads one file of the storage."""

    def __init__(self, facts: SourceFacts) -> None:
        super().__init__(OpenCode.name)
        self._agent = facts.agent or OpenCode.name
        self._folders = PurePath(facts.path).parts[-4:-1]

    def _row(self, data: bytes) -> None:
        row, mended = decode_object(data)
        kind = _kind_of(row)
        before = len(self._out.spans)
        if kind == "message":
            self._message(row)
        elif kind == "part":
            self._part(row)
        elif kind is None:
            raise UnreadableError("neither a session, nor a message, nor a part")
        if mended:
            for span in self._out.spans[before:]:
                span.flags = ",".join(sorted({*mended, *filter(None, (span.flags or "").split(","))}))

    def _span(self, span_id: str, kind: str | None, row: dict[str, Any], **fields: Any) -> Span:
        span = Span(
            namespace=NAMESPACE,
            span_id=span_id,
            kind=kind,
            session=text_of(row.get("sessionID")) or self._session_of_path(),
            format=OpenCode.name,
            agent=self._agent,
            **fields,
        )
        self._out.spans.append(span)
        return span

    def _session_of_path(self) -> str | None:
        """message/<session>/<message>.json, or part/<session>/<message>/<part>.json as in the oldest versions."""
        folders = self._folders
        if len(folders) >= 2 and folders[-2] == "message":
            return cap(folders[-1])
        return cap(folders[-2]) if len(folders) >= 3 and folders[-3] == "part" else None

    def _message_of_path(self) -> str:
        """part/<message>/<part>.json"""
        if not self._folders or self._folders[-1] == "part":
            raise UnreadableError("a part that names no message")
        return cap(self._folders[-1])

    # --- messages

    def _message(self, row: dict[str, Any]) -> None:
        key = cap(row["id"])
        times = row["time"]
        created = _ns(times.get("created"))
        if row["role"] == "user":
            self._span(key, "run", row, run_id=key, name=text_of(row.get("agent")), started_ns=created, rank=0)
            return
        asked = text_of(row.get("parentID"))
        completed, finish, error = _ns(times.get("completed")), row.get("finish"), row.get("error")
        flags: set[str] = set()
        status = _status_of(finish, error)
        ended = completed
        if ended is None and (finish is not None or error is not None):
            ended = created  # it is over, and the file does not say when
            flags.add("time.completed")
        span = self._span(
            key,
            "llm",
            row,
            run_id=asked,
            parent_id=asked,
            name=text_of(row.get("mode")) or text_of(row.get("agent")),
            started_ns=created,
            ended_ns=None if ended is None else max(ended, created or ended),
            # above the versions that its text parts make, which know nothing of it
            rank=Rank.PARTIAL if completed is None else Rank.ENDED,
            status=None if ended is None else status,
        )
        _add_model(span, row)
        _add_tokens(span, row, flags)
        if isinstance(error, dict):
            span.error_type = text_of(error.get("name")) or "error"
            inner = error.get("data")
            said = inner.get("message") if isinstance(inner, dict) else None
            span.error_message = message_of(said if isinstance(said, str) else canonical(error))
        if flags:
            span.flags = ",".join(sorted(flags))
        if asked is not None and span.ended_ns is not None and (status != "ok" or finish != "tool-calls"):
            self._end_of_run(asked, row, span, status)

    def _end_of_run(self, run: str, row: dict[str, Any], answer: Span, status: str) -> None:
        """An answer without further calls ends its request; of several the latest is the end."""
        self._span(run, "run", row, run_id=run, ended_ns=answer.ended_ns, status=status, error_type=answer.error_type)

    # --- parts

    def _part(self, row: dict[str, Any]) -> None:
        message = text_of(row.get("messageID")) or self._message_of_path()
        kind, key = word(row.get("type")), f"{message}/{cap(row['id'])}"
        if kind in SILENT_PARTS:
            return
        if kind not in _PARTS:
            self._unknown(f"part-{type_name(kind)}")
        elif kind == "text":
            # the role of the message is in its own file: the text may be a prompt as well as an answer
            if isinstance(said := row.get("text"), str) and said:
                self._span(message, None, row, rank=Rank.STARTED).parts[f"text:{cap(row['id'])}"] = said
        elif kind == "reasoning":
            self._reasoning(row, message, key)
        elif kind == "retry":
            self._retry(row, message, key)
        else:
            self._tool(row, message, key)

    def _reasoning(self, row: dict[str, Any], message: str, key: str) -> None:
        started, ended = _part_times(row.get("time"))
        span = self._span(key, "reasoning", row, parent_id=message, started_ns=started, ended_ns=ended)
        span.rank, span.status = (Rank.STARTED, None) if ended is None else (Rank.ENDED, "ok")
        if isinstance(said := row.get("text"), str) and said:
            span.parts["output"] = said

    def _retry(self, row: dict[str, Any], message: str, key: str) -> None:
        """A call of the model that failed and was made again."""
        time, error = row.get("time"), row.get("error")
        at_ns = _ns(time.get("created")) if isinstance(time, dict) else None
        if at_ns is None:
            raise UnreadableError("no time that can be read")
        named = error if isinstance(error, dict) else {}
        inner = named.get("data")
        said = inner.get("message") if isinstance(inner, dict) else None
        self._span(
            key,
            "llm",
            row,
            parent_id=message,
            started_ns=at_ns,
            ended_ns=at_ns,
            status="error",
            error_type=text_of(named.get("name")) or "error",
            error_message=message_of(said if isinstance(said, str) else canonical(error)),
            attempt=token_count(row.get("attempt")),
        )

    def _tool(self, row: dict[str, Any], message: str, key: str) -> None:
        state = row.get("state")
        if not isinstance(state, dict):
            raise UnreadableError("a tool part without its state")
        name = text_of(row.get("tool"))
        started, ended = _part_times(state.get("time"))
        status = _TOOL_STATUS.get(word(state.get("status")))
        span = self._span(key, "tool", row, parent_id=message, tool=name, name=name, started_ns=started)
        if status is None or (ended is None and started is None):
            span.rank = Rank.STARTED
        else:
            span.ended_ns, span.status = started if ended is None else ended, status
            if ended is None:
                span.flags = "time.end"
        for part in ("input", "output"):
            if state.get(part) is not None:
                given = state[part]
                span.parts[part] = canonical(given) if part == "input" else payload_text(given)
        metadata, error = state.get("metadata"), state.get("error")
        code = metadata.get("exit") if isinstance(metadata, dict) else None
        if span.status == "ok" and isinstance(code, int) and code != 0:
            span.status, span.error_type = "error", "exit_code"
            span.error_message = message_of(span.parts.get("output", ""))
        elif span.status == "error":
            said = error if isinstance(error, str) else canonical(error) if error is not None else ""
            span.error_type, span.error_message = "tool_error", message_of(said)
            span.parts.setdefault("output", said)


def _ns(value: object) -> int | None:
    return any_time_ns(value) if not isinstance(value, str) else None


def _part_times(time: object) -> tuple[int | None, int | None]:
    if not isinstance(time, dict):
        return None, None
    started, ended = _ns(time.get("start")), _ns(time.get("end"))
    return started, ended if ended is None or started is None else max(started, ended)


def _status_of(finish: object, error: object) -> str:
    if error is not None:
        name = error.get("name") if isinstance(error, dict) else None
        return _ERRORS.get(word(name), "error")
    return "ok" if finish is None else _FINISH.get(word(finish), "unknown")


def _add_model(span: Span, row: dict[str, Any]) -> None:
    inner = row.get("model")
    nested = inner if isinstance(inner, dict) else {}
    span.model = text_of(row.get("modelID")) or text_of(nested.get("modelID"))
    span.provider = text_of(row.get("providerID")) or text_of(nested.get("providerID"))


def _add_tokens(span: Span, row: dict[str, Any], flags: set[str]) -> None:
    """`input` is fresh input only. A cost of 0 means that OpenCode knew no price: it is no cost that was reported.

    Reasoning is beside `output`, as OpenCode's own price takes it, unless the total shows that it is within.
    """
    tokens = row.get("tokens")
    if isinstance(tokens, dict):
        cache = tokens.get("cache")
        given: dict[str, object] = {
            **{name: tokens.get(name) for name in ("input", "output", "reasoning", "total")},
            **{f"cache.{name}": cache.get(name) if isinstance(cache, dict) else None for name in ("read", "write")},
        }
        counts = {name: token_count(value) for name, value in given.items()}
        flags.update(f"tokens.{name}" for name, value in given.items() if counts[name] is None and value is not None)
        total, thought = counts.pop("total"), counts["reasoning"] or 0
        added = sum(one or 0 for one in counts.values())
        beside = thought if total is None or total != added - thought else 0
        if any(counts.values()):
            span.tokens_input, span.tokens_reasoning = counts["input"], counts["reasoning"]
            span.tokens_cache_read, span.tokens_cache_write_5m = counts["cache.read"], counts["cache.write"]
            span.tokens_output = None if counts["output"] is None else counts["output"] + beside
            span.context_tokens = sum(counts[name] or 0 for name in ("input", "cache.read", "cache.write"))
        if total not in (None, added, added - thought):
            flags.add("total_tokens")
    cost = row.get("cost")
    if cost is not None:
        nano = usd_nano(cost)
        if nano is None:
            flags.add("cost")
        elif nano > 0:
            span.cost_nano, span.cost_basis = nano, "reported"
