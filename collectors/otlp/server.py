"""The receiver's server: one address, and the thread that serves it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from collectors.declared import CollectError
from collectors.inbox import Delivery, Inbox
from collectors.otlp.address import bound
from store.record.batch import Feed

if TYPE_CHECKING:
    import uvicorn

    from collectors.otlp.refusals import Refusals

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEEP_ALIVE_S = 10
_START_S = 10.0
_LOOK_EVERY_S = 1.0


class Receiver:
    """Serves one address (`HOST:PORT`, `[::1]:PORT` or `unix:PATH`) in a thread of its own."""

    def __init__(self, address: str, token: str | None = None) -> None:
        """Bind it. CollectError: the address cannot be used, or is open to others and there is no token."""
        self.address = address
        self._token = token.encode("utf-8", "surrogateescape") if token else None
        self._socket, self._path = bound(address, has_token=self._token is not None)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def feed(self) -> str:
        return f"otlp {self.address}"

    @property
    def port(self) -> int | None:
        """The port that is listened on; None for a unix socket."""
        return None if self._path else int(self._socket.getsockname()[1])

    def start(self, inbox: Inbox, feeds: Mapping[str, Feed]) -> None:
        """Serve from now on. CollectError where that does not begin within seconds."""
        import uvicorn

        from collectors.otlp.app import Door, make_app
        from collectors.otlp.refusals import Refusals
        from collectors.otlp.request import NAME
        from collectors.otlp.silent import Connection

        before = feeds.get(self.feed)
        seen_ns = before.seen_ns if before is not None else 0
        inbox.put(Delivery(Feed(feed=self.feed, format=NAME, seen_ns=seen_ns)))  # it is there, if nobody sends
        refusals = Refusals(self.feed, inbox, seen_ns)
        hosts = None if self._path or self._token else frozenset({*_LOOPBACK, self._socket.getsockname()[0]})
        config = uvicorn.Config(
            make_app(Door(self.feed, hosts, self._token), inbox, refusals),
            lifespan="off",
            log_config=None,
            log_level="error",  # it would say each request that is no HTTP
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=3,
            http=Connection,
            ws="none",
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(server, refusals), name="otlp", daemon=True)
        self._thread.start()
        until_s = time.monotonic() + _START_S
        while not server.started and self._thread.is_alive() and time.monotonic() < until_s:
            time.sleep(0.005)
        if not server.started:
            raise CollectError(f"the receiver on {self.address} did not start")

    def stop(self) -> None:
        """Take no more requests; those that wait for their commit are answered or cut off within seconds."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._socket.close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)  # noqa: PTH108

    def _serve(self, server: uvicorn.Server, refusals: Refusals) -> None:
        asyncio.run(self._serve_until_stopped(server, refusals))

    async def _serve_until_stopped(self, server: uvicorn.Server, refusals: Refusals) -> None:
        looking = asyncio.create_task(_look_after(server, refusals))
        try:
            await server.serve(sockets=[self._socket])
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking


async def _look_after(server: uvicorn.Server, refusals: Refusals) -> None:
    from collectors.otlp.silent import close_silent

    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        close_silent(server.server_state.connections)
        refusals.tell()
