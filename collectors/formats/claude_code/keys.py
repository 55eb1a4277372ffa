"""Keys of a Claude Code transcript: which lines are one span, and what is unique where."""

from __future__ import annotations

from typing import Any

from collectors.formats.decode import UnreadableError, canonical, digest, iso_ns, text_of

NAMESPACE = "global"
_UNIQUE_LENGTH = 20  # ids of this length are random; shorter ones are made unique with the session


def time_of(row: dict[str, Any]) -> int:
    value = row.get("timestamp")
    at_ns = iso_ns(value) if isinstance(value, str) else None
    if at_ns is None:
        raise UnreadableError("no timestamp that can be read")
    return at_ns


def text_or_empty(value: object) -> str:
    return text_of(value) or ""


def prompt_hash(prompt: object) -> str:
    return digest(canonical(prompt).encode("utf-8", "replace"), 8)


def unique(raw: str, session: str) -> str:
    return raw if len(raw) >= _UNIQUE_LENGTH else f"{session}/{raw}"


def line_key(row: dict[str, Any], session: str) -> str:
    uuid = text_of(row.get("uuid"))
    return unique(uuid, session) if uuid else f"{session}/{digest(canonical(row).encode('utf-8', 'replace'))}"


def run_key(run: str, session: str) -> str:
    return f"run:{unique(run, session)}"


def message_key(row: dict[str, Any], message: dict[str, Any], session: str, data: bytes) -> str:
    """The API's message id alone where it is a random one: a resumed session repeats it without its request id."""
    own = text_of(message.get("id"))
    if own and len(own) >= _UNIQUE_LENGTH:
        return own
    if own:
        return f"{session}/{own}/{text_or_empty(row.get('requestId'))}"
    uuid = text_of(row.get("uuid"))
    return unique(uuid, session) if uuid else f"{session}/{digest(data)}"
