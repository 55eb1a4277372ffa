"""Requests that the OTLP receiver must refuse, and what it may cost to refuse them."""

from __future__ import annotations

import gzip
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collectors.collect import Collector
from collectors.declared import CollectError
from collectors.inbox import Delivery, Inbox, InboxFullError
from collectors.otlp import app, body
from collectors.otlp.server import Receiver
from store.folder import StoreFolder
from store.record.batch import Feed
from tests.fault.feeding import Follower, ask, following, rejects

GOOD = (
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",'
    b'"name":"chat","startTimeUnixNano":"1790000000000000000","endTimeUnixNano":"1790000001000000000"}]}]}]}'
)
JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
MIB = 1 << 20


@pytest.fixture
def receiver() -> Receiver:
    return Receiver("127.0.0.1:0")


@pytest.fixture
def collecting(folder: StoreFolder, receiver: Receiver) -> Iterator[Follower]:
    with following(Collector(folder, [], feeders=[receiver]), folder) as follower:
        until_s = time.monotonic() + 20
        while receiver.port is None or not _answers(receiver):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        yield follower


def _answers(receiver: Receiver) -> bool:
    """True once it serves: a request that it refuses leaves nothing in the store."""
    try:
        return httpx.get(f"http://127.0.0.1:{receiver.port}/", timeout=1).status_code == 404
    except httpx.HTTPError:
        return False


def post(receiver: Receiver, content: object, headers: dict[str, str], path: str = "/v1/traces") -> httpx.Response:
    url = f"http://127.0.0.1:{receiver.port}{path}"
    return httpx.post(url, content=content, headers=headers, timeout=30)  # type: ignore[arg-type]


def spans(folder: StoreFolder) -> int:
    return int(str(ask(folder, "SELECT count(*) FROM span")[0][0]))


@pytest.mark.usefixtures("collecting")
def test_what_is_no_request_is_refused_and_what_is_one_is_stored(folder: StoreFolder, receiver: Receiver) -> None:
    refused = {
        "wrong type": (post(receiver, GOOD, {"content-type": "text/plain"}), 415),
        "no type": (post(receiver, GOOD, {}), 415),
        "wrong coding": (post(receiver, GOOD, {**JSON, "content-encoding": "br"}), 415),
        "no JSON": (post(receiver, b"{", JSON), 400),
        "no object": (post(receiver, b"[]", JSON), 400),
        "deep": (post(receiver, b"[" * 200_000, JSON), 400),
        "no protobuf": (post(receiver, b"\xff\xff\xff", PROTOBUF), 400),
        "no gzip": (post(receiver, GOOD, {**JSON, "content-encoding": "gzip"}), 400),
        "cut gzip": (post(receiver, gzip.compress(GOOD)[:-9], {**JSON, "content-encoding": "gzip"}), 400),
        "web page": (post(receiver, GOOD, {**JSON, "origin": "http://evil.example"}), 403),
        "rebound": (post(receiver, GOOD, {**JSON, "host": "evil.example"}), 403),
        "no such path": (post(receiver, GOOD, JSON, "/v1/profiles"), 404),
        "get": (httpx.get(f"http://127.0.0.1:{receiver.port}/v1/traces"), 405),
    }
    assert {name: answer.status_code for name, (answer, _) in refused.items()} == {
        name: status for name, (_, status) in refused.items()
    }
    assert refused["no JSON"][0].json()["message"].startswith("not JSON")
    assert b"not a protobuf" in refused["no protobuf"][0].content
    assert spans(folder) == 0
    for headers, content in ((JSON, GOOD), ({**JSON, "content-encoding": "gzip"}, gzip.compress(GOOD))):
        answer = post(receiver, content, {**headers, "host": f"localhost:{receiver.port}"})
        assert (answer.status_code, answer.json()) == (200, {})
    assert spans(folder) == 1


@pytest.mark.usefixtures("collecting")
def test_a_part_that_cannot_be_read_is_told_and_kept_as_a_reject(folder: StoreFolder, receiver: Receiver) -> None:
    half = GOOD.replace(b'"spans":[', b'"spans":[7,{"traceId":"01","name":"no time"},')
    answer = post(receiver, half, JSON)
    assert answer.status_code == 200
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "2"
    assert "no time that can be read" in answer.json()["partialSuccess"]["errorMessage"]
    assert spans(folder) == 1
    assert {found[2] for found in rejects(folder)} == {"no time that can be read", "spans holds what is no object"}
    assert ask(folder, "SELECT format, records, rejected FROM feed") == [("otlp", 1, 2)]
    metrics = post(receiver, b'{"resourceMetrics":[{}]}', JSON, "/v1/metrics")
    assert (metrics.status_code, ask(folder, "SELECT type, count FROM unknown_type")) == (200, [("otlp/metrics", 1)])


@pytest.mark.usefixtures("collecting")
def test_bombs_and_endless_bodies_cost_little_while_others_are_served(folder: StoreFolder, receiver: Receiver) -> None:
    bomb = gzip.compress(b"\0" * (200 * MIB), compresslevel=9)
    before = resident_bytes()

    def endless() -> Iterator[bytes]:
        for _ in range(1024):
            yield b" " * MIB

    answers: list[int] = []

    def attack(content: object, headers: dict[str, str]) -> None:
        try:
            answers.append(post(receiver, content, headers).status_code)
        except httpx.HTTPError:
            answers.append(413)  # it was cut off while it still sent

    attacks = [threading.Thread(target=attack, args=(bomb, {**JSON, "content-encoding": "gzip"})) for _ in range(3)]
    attacks += [threading.Thread(target=attack, args=(endless(), JSON)) for _ in range(3)]
    for attack_ in attacks:
        attack_.start()
    served = [post(receiver, GOOD, JSON).status_code for _ in range(5)]
    for attack_ in attacks:
        attack_.join()
    assert set(answers) <= {413, 503}
    assert set(served) <= {200, 503}
    assert 200 in served
    assert post(receiver, GOOD, JSON).status_code == 200
    assert resident_bytes() - before < 96 * MIB  # the attackers are in this process too
    assert spans(folder) == 1


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.usefixtures("collecting")
def test_a_body_that_drips_and_headers_that_never_end_are_cut_off(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "MAX_BODY_S", 0.5)
    with socket.create_connection(("127.0.0.1", receiver.port or 0)) as slow:
        slow.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
        slow.sendall(b"content-length: 1000\r\n\r\n{")
        slow.settimeout(20)
        assert b" 408 " in slow.recv(200)
    with socket.create_connection(("127.0.0.1", receiver.port or 0)) as silent:
        silent.sendall(b"POST /v1/traces HTTP/1.1\r\nx: ")
        silent.settimeout(40)
        assert silent.recv(200) == b""
    assert post(receiver, GOOD, JSON).status_code == 200


def test_a_token_decides_where_there_is_one(folder: StoreFolder) -> None:
    receiver = Receiver("127.0.0.1:0", "s3cret-token")
    with following(Collector(folder, [], feeders=[receiver]), folder):
        until_s = time.monotonic() + 20
        while not _answers(receiver) and time.monotonic() < until_s:
            time.sleep(0.02)
        assert post(receiver, GOOD, JSON).status_code == 401
        assert post(receiver, GOOD, {**JSON, "authorization": "Bearer s3cret-toke"}).status_code == 401
        assert post(receiver, GOOD, {**JSON, "authorization": "Bearer s3cret-token"}).status_code == 200
    assert "s3cret" not in repr(app.Door("f", None, "s3cret-token"))


def test_a_unix_socket_is_private_and_only_a_dead_one_is_replaced(folder: StoreFolder, tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0)
    try:
        first = Receiver(f"unix:{path}")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first._socket.close()  # as after a kill: the socket is left
    second = Receiver(f"unix:{path}")
    with following(Collector(folder, [], feeders=[second]), folder):
        transport = httpx.HTTPTransport(uds=str(path))
        until_s = time.monotonic() + 20
        with httpx.Client(transport=transport) as client:
            answer = None
            while answer is None and time.monotonic() < until_s:
                try:
                    answer = client.post("http://any/v1/traces", content=GOOD, headers=JSON)
                except httpx.HTTPError:
                    time.sleep(0.02)
        assert answer is not None
        assert answer.status_code == 200
        with pytest.raises(CollectError, match="in use"):
            Receiver(f"unix:{path}")
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(CollectError):
        Receiver(f"unix:{path}")
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0:0", "no token"),
        ("[::]:0", "no token"),
        ("nonsense", "HOST:PORT"),
        ("127.0.0.1:99999", "HOST:PORT"),
        ("unix:/nowhere/at/all", "No such file"),
    ],
)
def test_addresses_that_must_not_be_listened_on(address: str, why: str) -> None:
    with pytest.raises(CollectError, match=why):
        Receiver(address)


def test_a_full_inbox_takes_nothing_more_and_says_so() -> None:
    inbox = Inbox(limit_bytes=10)
    inbox.put(Delivery(Feed(feed="f", format="otlp"), size_bytes=20))
    with pytest.raises(InboxFullError):
        inbox.put(Delivery(Feed(feed="f", format="otlp"), size_bytes=1))
    (taken,) = inbox.take()
    inbox.settle(taken)
    assert taken.committed.done()
    inbox.put(Delivery(Feed(feed="f", format="otlp"), size_bytes=1))
    inbox.close(RuntimeError("ending"))
    with pytest.raises(InboxFullError):
        inbox.put(Delivery(Feed(feed="f", format="otlp")))
