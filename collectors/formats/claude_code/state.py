"""What a parser of Claude Code transcripts carries from line to line: ids and times, never text of the log."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

MAX_CALLS = 48
MAX_LEAVES = 24
MAX_MESSAGES = 12
MAX_CHAINS = 16

_T = TypeVar("_T")


class Call(msgspec.Struct, array_like=True):
    """A tool call without a result so far."""

    name: str | None
    parent: str  # the llm span that made it
    chain: str
    run: str | None
    session: str
    started_ns: int
    prompt: str | None  # hash of the prompt that a sub-agent was given
    abandoned: bool = False


class Leaf(msgspec.Struct, array_like=True):
    """The newest line of a branch."""

    at_ns: int
    chain: str


class Message(msgspec.Struct, array_like=True):
    """A model call whose lines are still coming in."""

    started_ns: int
    ended_ns: int
    blocks: int = 0


class Chain(msgspec.Struct, array_like=True):
    """The main conversation (""), or one side chain of it."""

    at_ns: int | None = None
    parent: str | None = None


class State(msgspec.Struct, array_like=True):
    run: str | None = None
    run_session: str | None = None
    run_is: str = ""  # open: no end seen; ended: a version with an end was emitted and stands; else no run
    last_prompt_session: str | None = None  # set while the main chain's newest line is a prompt
    replay: bool = False  # lines that a resumed session wrote anew, with new times
    command: tuple[str, int, str | None] | None = None  # a slash command that may start a run: uuid, time, prompt id
    calls: dict[str, Call] = {}
    leaves: dict[str, Leaf] = {}
    messages: dict[str, Message] = {}
    chains: dict[str, Chain] = {}


def remember(table: dict[str, _T], key: str, value: _T, limit: int) -> tuple[str, _T] | None:
    """Put the newest last and let the oldest go; what had to go is the answer."""
    table.pop(key, None)
    table[key] = value
    if len(table) <= limit:
        return None
    oldest = next(one for one in table if one)  # "" is the main chain: it stays
    return oldest, table.pop(oldest)


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
    except msgspec.MsgspecError:
        return State()
    return loaded
