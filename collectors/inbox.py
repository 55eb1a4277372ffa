"""What arrives otherwise than by a file: records from receivers and pulls, on their way to the one writer.

Whoever delivers waits for the commit: `put` returns a future that is done when the records are in the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from store.record.batch import Feed, Probe
from store.record.span import Span

LIMIT_BYTES = 64 << 20


class InboxFullError(Exception):
    """More is waiting for the writer than may wait. Try again in a second."""


@dataclass(slots=True)
class Delivery:
    """Records of one request or page. They are not enriched yet, and become durable with their commit.

    `feed`: the state of the feed after them; its `records` and `rejected` are what this delivery adds. `size_bytes`
    counts against the limit. `bad`: why a record could not be read, once for each.
    """

    feed: Feed
    spans: list[Span] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    unknown_types: dict[str, int] = field(default_factory=dict)
    probes: list[Probe] = field(default_factory=list)
    size_bytes: int = 0
    committed: Future[None] = field(default_factory=Future)


class Feeder(Protocol):
    """What delivers: a receiver, a pull, a prober. It runs in threads of its own between `start` and `stop`."""

    def start(self, inbox: Inbox, feeds: Mapping[str, Feed]) -> None:
        """Deliver from now on. `feeds`: what the store knows of each feed, with its cursor."""

    def stop(self) -> None:
        """Deliver no more; returns within seconds."""


class Inbox:
    """Any number of threads put, the collector's takes. `wake` is called after each put."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._waiting: list[Delivery] = []
        self._bytes = 0
        self._closed: Exception | None = None
        self.wake: Callable[[], None] = lambda: None

    def has_room(self) -> bool:
        return self._bytes < self._limit_bytes

    def put(self, delivery: Delivery) -> Future[None]:
        """Done at the commit; fails where the store cannot be written. InboxFullError: nothing was taken."""
        with self._lock:
            if self._closed is not None:
                raise InboxFullError("the collector is ending") from self._closed
            if not self.has_room():
                raise InboxFullError("too much is waiting for the store")
            self._bytes += delivery.size_bytes
            self._waiting.append(delivery)
        self.wake()
        return delivery.committed

    def take(self, most_bytes: int | None = None) -> list[Delivery]:
        """What waits, in order; `settle` each of them. With `most_bytes`: one, and more up to that size together."""
        with self._lock:
            number, size_bytes = 0, 0
            for one in self._waiting:
                size_bytes += one.size_bytes
                if number and most_bytes is not None and size_bytes > most_bytes:
                    break
                number += 1
            taken, self._waiting = self._waiting[:number], self._waiting[number:]
        return taken

    def withdraw(self, delivery: Delivery) -> None:
        """Whoever put it waits no longer: it is forgotten, unless it was taken already."""
        with self._lock:
            left = [one for one in self._waiting if one is not delivery]
            if len(left) == len(self._waiting):
                return
            self._waiting = left
            self._bytes -= delivery.size_bytes
        delivery.committed.cancel()

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def settle(self, delivery: Delivery, error: Exception | None = None) -> None:
        """It is committed, or with `error` it is not."""
        with self._lock:
            self._bytes -= delivery.size_bytes
        if not delivery.committed.set_running_or_notify_cancel():
            return  # whoever waited has gone
        if error is None:
            delivery.committed.set_result(None)
        else:
            delivery.committed.set_exception(error)

    def close(self, error: Exception) -> None:
        """Take nothing more, and fail what waits."""
        with self._lock:
            self._closed = error
        for delivery in self.take():
            self.settle(delivery, error)
