"""The receiver's HTTP side: who may send, what is read, and what is answered. 200 means that it is in the store.

Source: the OpenTelemetry protocol specification 1.8, OTLP/HTTP: a partial success names how many records were
refused; 429 and 503 are tried again by the sender; an error's body is a Status with a message.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from collectors.formats.decode import UnreadableError, decode_object
from collectors.formats.otel.json_request import Records, read_request
from collectors.formats.otel.records import spans_of, spans_of_log
from collectors.inbox import Delivery, Inbox, InboxFullError
from collectors.otlp.body import Budget, RefusedError, Share, read_body
from collectors.otlp.protobuf import UnreadableRequestError, read_logs, read_traces
from store.record.batch import Feed

NAME = "otlp"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
COMMIT_S = 10.0  # longer than that is said as 503: the sender tries again, and its keys make it harmless
_RETRY_AFTER_S = "1"
_BUDGET_BYTES = 48 << 20
_REJECTED = {"traces": "rejectedSpans", "logs": "rejectedLogRecords", "metrics": "rejectedDataPoints"}


@dataclass(frozen=True)
class Door:
    """Who may come in. `hosts` None: any Host header (it is a unix socket, or a token decides)."""

    feed: str
    hosts: frozenset[str] | None
    token: str | None = field(default=None, repr=False)


def make_app(door: Door, inbox: Inbox) -> Starlette:
    """One app for one address."""
    receiver = _Receiver(door, inbox)
    return Starlette(
        routes=[Route(f"/v1/{signal}", receiver.endpoint(signal), methods=["POST"]) for signal in _REJECTED],
    )


class _Receiver:
    def __init__(self, door: Door, inbox: Inbox) -> None:
        self._door = door
        self._inbox = inbox
        self._budget = Budget(_BUDGET_BYTES)

    def endpoint(self, signal: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            try:
                self._admit(request)
                if kind not in (PROTOBUF, JSON):
                    raise RefusedError(415, f"send {PROTOBUF} or {JSON}")
                return await self._receive(request, signal, as_json=kind == JSON)
            except RefusedError as error:
                return _refusal(error, as_json=kind == JSON)
            except ClientDisconnect:
                return _refusal(RefusedError(400, "the sender hung up"), as_json=kind == JSON)

        return answer

    def _admit(self, request: Request) -> None:
        door, headers = self._door, request.headers
        if "origin" in headers:
            raise RefusedError(403, "not for web pages")
        if door.hosts is not None and _host_of(headers.get("host", "")) not in door.hosts:
            raise RefusedError(403, "the Host header names another host")
        if door.token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), door.token.encode()):
                raise RefusedError(401, "a bearer token is needed")

    async def _receive(self, request: Request, signal: str, *, as_json: bool) -> Response:
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("gzip", "identity", ""):
            raise RefusedError(415, "send it plain or as gzip")
        if not self._inbox.has_room():
            raise RefusedError(503, "too much is waiting for the store; try again")
        with Share(self._budget) as share:
            body = await read_body(request.stream(), gzipped=coding == "gzip", share=share)
            delivery = await run_in_threadpool(self._delivery, signal, body, as_json=as_json)
            try:
                committed = asyncio.wrap_future(self._inbox.put(delivery))
                await asyncio.wait_for(asyncio.shield(committed), COMMIT_S)
            except InboxFullError as error:
                raise RefusedError(503, f"{error}; try again") from None
            except TimeoutError:
                raise RefusedError(503, "the store does not answer yet; try again") from None
            except Exception as error:  # noqa: BLE001 - whatever the writer met, the sender keeps its records
                raise RefusedError(503, f"the store could not be written ({type(error).__name__})") from None
        return _success(signal, delivery.bad, as_json=as_json)

    def _delivery(self, signal: str, body: bytes, *, as_json: bool) -> Delivery:
        unknown: dict[str, int] = {}
        if signal == "metrics":
            unknown["otlp/metrics"] = 1  # taken and counted: a refused sender would send them for ever
            records = Records()
        else:
            records = _json_records(body) if as_json else _protobuf_records(signal, body)
            if records.metrics:
                unknown["otlp/metrics"] = records.metrics
        feed = Feed(feed=self._door.feed, format=NAME, seen_ns=time.time_ns())
        delivery = Delivery(feed, unknown_types=unknown, size_bytes=len(body))
        delivery.bad += records.bad
        for span in records.spans:
            _add(delivery, lambda span=span: spans_of(span, agent=None, format_name=NAME))  # type: ignore[misc]
        for log in records.logs:
            _add(delivery, lambda log=log: spans_of_log(log, agent=None, format_name=NAME))  # type: ignore[misc]
        feed.records, feed.rejected = len(delivery.spans), len(delivery.bad)
        return delivery


def _add(delivery: Delivery, read: Callable[[], list[Any]]) -> None:
    try:
        delivery.spans += read()
    except UnreadableError as error:
        delivery.bad.append(str(error))
    except Exception as error:  # noqa: BLE001 - one record must not refuse the others of its request
        delivery.bad.append(f"a record upset the reader ({type(error).__name__})")


def _json_records(body: bytes) -> Records:
    try:
        value, _ = decode_object(body)
        return read_request(value)
    except (UnreadableError, RecursionError) as error:
        said = str(error) if isinstance(error, UnreadableError) else "nested too deeply"
        raise RefusedError(400, said) from None


def _protobuf_records(signal: str, body: bytes) -> Records:
    try:
        return read_traces(body) if signal == "traces" else read_logs(body)
    except UnreadableRequestError as error:
        raise RefusedError(400, str(error)) from None


def _host_of(header: str) -> str:
    """The name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _success(signal: str, bad: list[str], *, as_json: bool) -> Response:
    said = "; ".join(dict.fromkeys(bad))[:500]
    if as_json:
        partial = {"partialSuccess": {_REJECTED[signal]: str(len(bad)), "errorMessage": said}} if bad else {}
        return Response(msgspec.json.encode(partial), media_type=JSON)
    # ExportPartialSuccess {rejected = 1, error_message = 2}, as field 1 of the response: the same for every signal
    inner = b"\x08" + _varint(len(bad)) + _text_field(2, said) if bad else b""
    return Response(b"\x0a" + _varint(len(inner)) + inner if bad else b"", media_type=PROTOBUF)


def _refusal(error: RefusedError, *, as_json: bool) -> Response:
    """google.rpc.Status {code = 1, message = 2}; the code is left out, as HTTP has its own."""
    headers = {"retry-after": _RETRY_AFTER_S} if error.status in (429, 503) else {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status in (408, 413):
        headers["connection"] = "close"  # what is left of the body is not read
    if as_json:
        body = msgspec.json.encode({"message": error.message})
        return Response(body, error.status, headers, media_type=JSON)
    return Response(_text_field(2, error.message), error.status, headers, media_type=PROTOBUF)


def _text_field(number: int, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
