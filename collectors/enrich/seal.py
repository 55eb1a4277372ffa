"""What a source needs to be read on, kept so that nothing secret of it can be read in the store.

A path, an agent's name or a parser's state (ids of calls and sessions) may hold what the rules replace. The row then
shows the replacements, and the real values travel in its parser state, sealed under the store's key: XOR with a
SHAKE-256 stream from key and nonce, the nonce an HMAC of the values, which is checked when it is opened.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Protocol

import msgspec

from store.folder import StoreError
from store.record.batch import Source

_MARK = b"\xc1"  # the one byte that no msgpack starts with, so no parser's state does
_NONCE_BYTES = 16
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, str | None, str | None, bytes]).decode


class Redacts(Protocol):
    """The part of a Redactor that a source needs."""

    def text(self, text: str) -> str: ...

    def path(self, text: str) -> str: ...

    def id(self, text: str) -> str: ...


def sealed(source: Source, key: bytes, redacts: Redacts) -> Source:
    """The source as the store may have it: itself where no rule matches."""
    path, agent = redacts.path(source.path), None if source.agent is None else redacts.text(source.agent)
    message = None if source.message is None else redacts.text(source.message)
    state = source.parser_state
    shown_as_is = (path, agent, message) == (source.path, source.agent, source.message)
    texts = "\n".join(_texts(state))
    if shown_as_is and redacts.id(texts) == texts:
        return source
    plain = _encode((_storable(source.path), source.agent, source.message, state))
    nonce = _nonce(key, plain)
    return msgspec.structs.replace(
        source, path=path, agent=agent, message=message, parser_state=_MARK + nonce + _with_stream(plain, key, nonce)
    )


def opened(source: Source, key: bytes) -> Source:
    """The source with its real values. StoreError where the key is not the one that it was sealed with."""
    state = source.parser_state
    if not isinstance(state, bytes) or not state.startswith(_MARK):
        return source  # what is no bytes is a damaged row: its file is read anew
    nonce = state[1 : 1 + _NONCE_BYTES]
    plain = _with_stream(state[1 + _NONCE_BYTES :], key, nonce)
    if not hmac.compare_digest(_nonce(key, plain), nonce):
        raise StoreError(
            "the store's redact.key is not the one that its sources were written with; nothing was changed. "
            "Restore the key from a backup."
        )
    path, agent, message, parser_state = _decode(plain)
    return msgspec.structs.replace(source, path=_named(path), agent=agent, message=message, parser_state=parser_state)


def _texts(state: bytes) -> list[str]:
    """Every text in a parser's state, which is msgpack. What is no msgpack is one text."""
    if not state:
        return []
    try:
        return list(_strings(msgspec.msgpack.decode(state)))
    except (msgspec.MsgspecError, RecursionError):
        return [state.decode("utf-8", "replace")]


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _strings(pair)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)


def _nonce(key: bytes, plain: bytes) -> bytes:
    return hmac.digest(key, b"source\0" + plain, "sha256")[:_NONCE_BYTES]


def _with_stream(data: bytes, key: bytes, nonce: bytes) -> bytes:
    stream = hashlib.shake_256(b"andon source\0" + key + nonce).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, stream, strict=True))


def _storable(path: str) -> str:
    """A byte of a file name that is no UTF-8 is a lone surrogate, which msgpack cannot hold."""
    return path.encode("utf-8", "surrogateescape").decode("latin-1")


def _named(path: str) -> str:
    return path.encode("latin-1").decode("utf-8", "surrogateescape")
