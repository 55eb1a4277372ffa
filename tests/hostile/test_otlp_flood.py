"""Bombs, endless bodies and connections that drip, against a real receiver: what they cost, and who is served."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collectors.otlp.silent import MOST_CONNECTIONS, WAIT_S
from store.folder import StoreFolder
from tests.fault.feeding import ask, until
from tests.fault.receiving import MIB, forget_peak, free_port, memory_bytes, receiving

GOOD = (
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",'
    b'"name":"chat","startTimeUnixNano":"1790000000000000000","endTimeUnixNano":"1790000001000000000"}]}]}]}'
)
JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
PACKED = {"content-encoding": "gzip"}
ALLOWED_GROWTH_BYTES = 96 * MIB  # measured: 50 to 56 MB, of the gigabytes that are sent
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory from /proc")


def bomb() -> bytes:
    """200 MiB in 200 KiB."""
    return gzip.compress(bytes(200 * MIB), compresslevel=9)


def half_a_million_empty_spans() -> bytes:
    """1 MiB, which would be 500 times as much in memory."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(Span() for _ in range(MIB // 2))
    return bytes(request.SerializeToString())


def endless() -> Iterator[bytes]:
    """1 GiB, in chunks, without a length."""
    for _ in range(1024):
        yield b" " * MIB


def status_of(port: int, content: object, headers: dict[str, str]) -> int:
    """What was answered; 0 where the connection was cut while it was still sending."""
    try:
        url = f"http://127.0.0.1:{port}/v1/traces"
        return httpx.post(url, content=content, headers=headers, timeout=60).status_code  # type: ignore[arg-type]
    except httpx.HTTPError:
        return 0


class Served:
    """A well-behaved sender, one request after the other for as long as the attack lasts."""

    def __init__(self, port: int) -> None:
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port,))

    def __enter__(self) -> Served:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self, port: int) -> None:
        while not self._stop.is_set():
            self.statuses.append(status_of(port, GOOD, JSON))


@linux
def test_bombs_and_endless_bodies_cost_little_and_others_are_served(folder: StoreFolder) -> None:
    packed = bomb()
    spans = half_a_million_empty_spans()
    attacks: list[tuple[Callable[[], object], dict[str, str], set[int]]] = [
        (lambda: packed, {**JSON, **PACKED}, {413}),
        (lambda: packed, {**PROTOBUF, **PACKED}, {413}),
        (lambda: packed * 5, {**JSON, **PACKED}, {413}),
        (endless, JSON, {413, 503, 0}),
        (endless, PROTOBUF, {413, 503, 0}),
        (endless, {**PROTOBUF, **PACKED}, {400}),
        (lambda: spans, PROTOBUF, {413}),
        (lambda: b'{"resourceSpans":[' + b"{}," * (5 * MIB) + b"{}]}", JSON, {413, 503}),
        (lambda: b"[" * (15 * MIB), JSON, {400, 413, 503}),
    ]
    port = free_port()
    answers: dict[int, int] = {}

    def attack(number: int) -> None:
        make, headers, _ = attacks[number]
        answers[number] = status_of(port, make(), headers)

    with receiving(folder.path, port) as process:
        assert status_of(port, GOOD, JSON) == 200  # everything is loaded
        forget_peak(process)
        before_bytes = memory_bytes(process, "VmRSS")
        with Served(port) as served:
            threads = [threading.Thread(target=attack, args=(number,)) for number in range(len(attacks))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert memory_bytes(process, "VmHWM") - before_bytes <= ALLOWED_GROWTH_BYTES
        assert {number: answer for number, answer in answers.items() if answer not in attacks[number][2]} == {}
        assert set(served.statuses) <= {200, 503}
        assert served.statuses.count(200) > len(served.statuses) // 2
        assert status_of(port, GOOD, JSON) == 200
    assert ask(folder, "SELECT count(*) FROM span") == [(1,)]


def test_who_holds_connections_open_does_not_keep_others_out(folder: StoreFolder) -> None:
    """Heads that never end, bodies that drip, and a second head that drips after a good request."""
    head = b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    good = head + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD
    starts = [b"", b"POST /v1/tra", head, head + b"content-length: 999\r\n\r\n{", good + head]
    port = free_port()
    with receiving(folder.path, port), ExitStack() as opened:
        slow = []
        for number in range(MOST_CONNECTIONS + 50):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.settimeout(WAIT_S * 4)
            connection.sendall(starts[number % len(starts)])
            slow.append(connection)
        with Served(port) as served:
            until(lambda: len(served.statuses) >= 20, "the good sender was answered twenty times")
        assert set(served.statuses) == {200}
        dripping = [one for number, one in enumerate(slow) if number % len(starts) in (2, 4)]
        until(lambda: all(drip(one) for one in dripping), "those that drip are cut off")


def drip(connection: socket.socket) -> bool:
    """Send one byte more of a head; True once that is not possible any more."""
    time.sleep(0.002)
    try:
        connection.sendall(b"x")
    except OSError:
        return True
    return False


def test_a_body_that_goes_on_after_it_was_refused_is_cut_off(folder: StoreFolder) -> None:
    head = (
        b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    port = free_port()
    with receiving(folder.path, port), socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(head)
        sender.settimeout(WAIT_S * 4)
        assert sender.recv(12) == b"HTTP/1.1 415"
        until(lambda: chunk(sender), "it is cut off")
        assert status_of(port, GOOD, JSON) == 200


def chunk(connection: socket.socket) -> bool:
    time.sleep(0.05)
    try:
        connection.sendall(b"1\r\nx\r\n")
    except OSError:
        return True
    return False
