"""The receiver's server: addresses, sockets, and the thread that serves them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import stat
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from collectors.declared import CollectError
from collectors.inbox import Inbox
from store.record.batch import Feed

if TYPE_CHECKING:
    import uvicorn

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEEP_ALIVE_S = 10
_HEADERS_S = 10.0  # a connection without a request for so long is closed
_MOST_CONNECTIONS = 200
_START_S = 10.0
_BACKLOG = 256


class Receiver:
    """Serves one address (`HOST:PORT`, `[::1]:PORT` or `unix:PATH`) in a thread of its own."""

    def __init__(self, address: str, token: str | None = None) -> None:
        """Bind it. CollectError: the address cannot be used, or is open to others and there is no token."""
        self.address = address
        self._token = token or None
        self._socket, self._path = _bound(address, has_token=self._token is not None)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def feed(self) -> str:
        return f"otlp {self.address}"

    @property
    def port(self) -> int | None:
        """The port that is listened on; None for a unix socket."""
        return None if self._path else int(self._socket.getsockname()[1])

    def start(self, inbox: Inbox, feeds: Mapping[str, Feed]) -> None:  # noqa: ARG002 - a receiver goes on from nowhere
        """Serve from now on."""
        import uvicorn

        from collectors.otlp.app import Door, make_app

        hosts = None if self._path or self._token else frozenset({*_LOOPBACK, self._socket.getsockname()[0]})
        config = uvicorn.Config(
            make_app(Door(self.feed, hosts, self._token), inbox),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=3,
            limit_concurrency=_MOST_CONNECTIONS,
            http="h11",
            ws="none",
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(server,), name="otlp", daemon=True)
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

    def _serve(self, server: uvicorn.Server) -> None:
        asyncio.run(self._serve_until_stopped(server))

    async def _serve_until_stopped(self, server: uvicorn.Server) -> None:
        watching = asyncio.create_task(_close_silent(server.server_state.connections))
        try:
            await server.serve(sockets=[self._socket])
        finally:
            watching.cancel()


async def _close_silent(connections: set[Any]) -> None:
    """Close connections that send no request: headers that drip in would hold them for ever."""
    silent_since: dict[Any, float] = {}
    while True:
        await asyncio.sleep(1.0)
        now_s = time.monotonic()
        silent = [one for one in connections if getattr(one, "cycle", None) is None]
        silent_since = {one: silent_since.get(one, now_s) for one in silent}
        for one, since_s in silent_since.items():
            if now_s - since_s > _HEADERS_S and one.transport is not None:
                one.transport.close()


def _bound(address: str, *, has_token: bool) -> tuple[socket.socket, str | None]:
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        return _bound_unix(path), path
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdigit() or int(port) > 65535:
        raise CollectError(f"--listen {address}: write HOST:PORT, for example 127.0.0.1:4318, or unix:PATH")
    try:
        family, _, _, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise CollectError(f"--listen {address}: {error}") from None
    if not ipaddress.ip_address(str(where[0]).partition("%")[0]).is_loopback and not has_token:
        raise CollectError(
            f"--listen {address}: others can reach that address, and there is no token. Listen on 127.0.0.1, "
            "or set ANDON_OTLP_TOKEN (or token_file under [otlp] in andon.toml)."
        )
    own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(where)
        own.listen(_BACKLOG)  # from now on nobody else can have it
    except OSError as error:
        own.close()
        raise CollectError(f"--listen {address}: {error.strerror}") from None
    return own, None


def _bound_unix(path: str) -> socket.socket:
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            os.unlink(path)  # noqa: PTH108
        before = os.umask(0o177)
        try:
            own.bind(path)
            own.listen(_BACKLOG)
        finally:
            os.umask(before)
    except OSError as error:
        own.close()
        raise CollectError(f"--listen unix:{path}: {error.strerror or error}") from None
    return own


def _is_left_over(path: str) -> bool:
    """True for a socket that nobody listens on any more; anything else at that path is not ours to remove."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
