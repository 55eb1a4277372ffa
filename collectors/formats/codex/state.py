"""What a parser of Codex rollouts carries from line to line: ids, times and counts, never text of the log."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_CALLS = 48


class Counts(msgspec.Struct, array_like=True, frozen=True):
    """Tokens in Codex's dialect: `input` includes what came from the cache, `output` includes reasoning."""

    input: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    total: int | None = None


class Call(msgspec.Struct, array_like=True):
    """A tool call without a result so far."""

    span_id: str
    name: str | None
    parent: str | None
    run: str | None
    started_ns: int
    failed: bool = False  # an event said so before its result came
    abandoned: bool = False


class Answer(msgspec.Struct, array_like=True):
    """One response of the model; its items come line by line, its tokens after them."""

    span_id: str
    run: str | None
    started_ns: int
    ended_ns: int
    counted: bool = False


class State(msgspec.Struct, array_like=True):
    """`open`: the answer whose items are coming in; `last`: the one before, until its tokens came."""

    session: str | None = None
    version: str | None = None
    provider: str | None = None
    model: str | None = None
    forked_ns: int | None = None  # when this session was begun as a copy of another one
    copied_task: tuple[str, int] | None = None  # begun among the copied rows: turn and time
    run: str | None = None
    turn: str | None = None  # as the newest context names it
    run_kind: str = ""  # task: the log says when it ends; implied: it ends with its answer; "": it has ended
    run_started_ns: int | None = None
    run_answered: bool = False
    run_failed: str | None = None  # the type of the error that stands, if nothing was answered since
    tasks: bool = False  # the log says when a task begins, so that no message begins one
    prompt: str | None = None  # hash of the newest prompt
    last_ns: int | None = None
    totals: Counts | None = None
    last_counts: Counts | None = None
    open: Answer | None = None
    last: Answer | None = None
    calls: dict[str, Call] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode: Any = msgspec.msgpack.Decoder(State).decode


def dump(state: State) -> bytes:
    return _encode(state)


def load(data: bytes) -> State:
    """The state that was dumped; one of another version of this program starts anew."""
    if not data:
        return State()
    try:
        loaded: State = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return State()
    return loaded
