"""The receiver's HTTP side: who may send, and when 200 is said. It means that the records are in the store."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from collectors.inbox import Delivery, Inbox, InboxFullError
from collectors.otlp.answer import JSON, PROTOBUF, REJECTED, refusal, success
from collectors.otlp.body import WBITS, Budget, Held, RefusedError, read_body
from collectors.otlp.refusals import Refusals
from collectors.otlp.request import delivery_of

COMMIT_S = 8.0  # an exporter waits for 10 s; whoever sends again is no trouble, for a record's key stays the same
_BUDGET_BYTES = 40 << 20


@dataclass(frozen=True)
class Door:
    """Who may come in. `hosts` None: any Host header (it is a unix socket, or a token decides)."""

    feed: str
    hosts: frozenset[str] | None
    token: bytes | None = field(default=None, repr=False)


def make_app(door: Door, inbox: Inbox, refusals: Refusals) -> Starlette:
    """One app for one address."""
    receiver = _Receiver(door, inbox, refusals)
    app = Starlette(
        routes=[Route(f"/v1/{signal}", receiver.endpoint(signal), methods=["POST"]) for signal in REJECTED],
    )
    app.router.redirect_slashes = False  # a redirect would be made of the Host header
    return app


class _Receiver:
    def __init__(self, door: Door, inbox: Inbox, refusals: Refusals) -> None:
        self._door = door
        self._inbox = inbox
        self._refusals = refusals
        self._budget = Budget(_BUDGET_BYTES)
        self._decoding = asyncio.Lock()  # one at a time: what a body unpacks to in memory is not there twice

    def endpoint(self, signal: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            try:
                self._admit(request)
                if kind not in (PROTOBUF, JSON):
                    raise RefusedError(415, f"send {PROTOBUF} or {JSON}")
                return await self._receive(request, signal, as_json=kind == JSON)
            except ClientDisconnect:
                error = RefusedError(400, "the sender hung up")
            except RefusedError as refused:
                error = refused
            self._refusals.note(error)
            # too slow a body is not waited for; one that was to come after "100 Continue" will not come
            close = error.status == 408 or "expect" in request.headers
            return refusal(error, as_json=kind == JSON, close=close)

        return answer

    def _admit(self, request: Request) -> None:
        door, headers = self._door, request.headers
        if "origin" in headers:
            raise RefusedError(403, "not for web pages")
        if door.hosts is not None and _host_of(headers.get("host", "")) not in door.hosts:
            raise RefusedError(403, "the Host header names another host")
        if door.token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            given_bytes = given.strip().encode("latin-1", "replace")  # as they came
            if scheme.lower() != "bearer" or not hmac.compare_digest(given_bytes, door.token):
                raise RefusedError(401, "a bearer token is needed")

    async def _receive(self, request: Request, signal: str, *, as_json: bool) -> Response:
        coding = request.headers.get("content-encoding", "").strip().lower()
        coding = "" if coding == "identity" else coding
        if coding and coding not in WBITS:
            raise RefusedError(415, f"send it plain or as {' or '.join(WBITS)}")
        if not self._inbox.has_room():
            raise RefusedError(503, "too much is waiting for the store; try again")
        length = _length(request.headers.get("content-length"))
        with Held(self._budget) as held:
            await read_body(request.stream(), coding=coding, stated_bytes=length, held=held)
            async with self._decoding:
                delivery = await asyncio.to_thread(self._decode, signal, held, as_json=as_json)
        bad = delivery.bad
        try:
            committed = self._inbox.put(delivery)
        except InboxFullError as error:
            raise RefusedError(503, f"{error}; try again") from None
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(committed)), COMMIT_S)
        except TimeoutError:
            self._inbox.withdraw(delivery)
            raise RefusedError(503, "the store does not answer yet; try again") from None
        except Exception as error:  # noqa: BLE001 - whatever the writer met, the sender keeps its records
            raise RefusedError(503, f"the store could not be written ({type(error).__name__}); try again") from None
        self._refusals.seen_ns = delivery.feed.seen_ns
        return success(signal, bad, as_json=as_json)

    def _decode(self, signal: str, held: Held, *, as_json: bool) -> Delivery:
        return delivery_of(self._door.feed, signal, held.value(), as_json=as_json)


def _host_of(header: str) -> str:
    """The name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _length(header: str | None) -> int | None:
    """Of a Content-Length; None where there is none, as with a chunked body."""
    return int(header) if header is not None and re.fullmatch(r"[0-9]{1,19}", header) else None
