"""Connections that wait for their sender: closed in time, so that nobody can hold them all.

uvicorn reads a request's head for as long as the sender lets it, and what is left of a body that was refused as well.
A body that is wanted has a time limit of its own (`body.MAX_BODY_S`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

WAIT_S = 10.0
MOST_CONNECTIONS = 200


class Connection(H11Protocol):
    """Knows since when it waits. Where there are too many, the one that waits longest makes room."""

    since_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since_s = time.monotonic()
        if len(self.connections) > MOST_CONNECTIONS:
            waiting = [one for one in _own(self.connections) if one is not self and one.waits]
            min(waiting, key=lambda one: one.since_s, default=self).abort()

    def on_response_complete(self) -> None:
        self.since_s = time.monotonic()
        super().on_response_complete()

    @property
    def waits(self) -> bool:
        """True while it is the sender's turn."""
        return self.is_silent or self.cycle.more_body

    @property
    def is_silent(self) -> bool:
        """True while it reads nothing that anybody waits for: no request yet, or what comes after one was answered."""
        return self.cycle is None or self.cycle.response_complete

    def abort(self) -> None:
        self.transport.abort()


def close_silent(connections: Iterable[Any]) -> None:
    """Close those that have been silent for WAIT_S."""
    now_s = time.monotonic()
    for one in list(_own(connections)):
        if one.is_silent and now_s - one.since_s > WAIT_S:
            one.abort()


def _own(connections: Iterable[Any]) -> Iterable[Connection]:
    return (one for one in connections if isinstance(one, Connection))
