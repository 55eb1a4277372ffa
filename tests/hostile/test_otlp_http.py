"""Requests that the OTLP receiver must refuse, and what it may cost to refuse them."""

from __future__ import annotations

import gzip
import os
import socket
import sqlite3
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from collectors.collect import Collector
from collectors.declared import CollectError
from collectors.inbox import Delivery, Inbox, InboxFullError
from collectors.otlp import app, body
from collectors.otlp.body import RefusedError
from collectors.otlp.refusals import Refusals
from collectors.otlp.server import Receiver
from store.folder import StoreFolder
from store.record.batch import Feed
from tests.fault.feeding import Follower, ask, following, rejects, until

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
        "no request": (post(receiver, b'{"spans":[]}', JSON), 400),
        "no host": (post(receiver, GOOD, {**JSON, "host": ""}), 403),
        "a slash more": (post(receiver, GOOD, JSON, "/v1/traces/"), 404),
        "no such path": (post(receiver, GOOD, JSON, "/v1/profiles"), 404),
        "get": (httpx.get(f"http://127.0.0.1:{receiver.port}/v1/traces"), 405),
    }
    assert {name: answer.status_code for name, (answer, _) in refused.items()} == {
        name: status for name, (_, status) in refused.items()
    }
    assert refused["no JSON"][0].json()["message"].startswith("not JSON")
    assert b"not a protobuf" in refused["no protobuf"][0].content
    assert spans(folder) == 0
    for headers, content in (
        (JSON, GOOD),
        ({**JSON, "content-encoding": "gzip"}, gzip.compress(GOOD)),
        ({**JSON, "content-encoding": "gzip"}, gzip.compress(GOOD[:50]) + gzip.compress(GOOD[50:])),
        ({**JSON, "content-encoding": "deflate"}, zlib.compress(GOOD)),
        ({"content-type": "application/json; charset=utf-8", "content-encoding": "identity"}, GOOD),
    ):
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
def test_a_sender_of_a_long_body_hears_why_it_was_refused(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_BODY_S", 0.5)
    long = b" " * (8 * MIB)
    port = receiver.port or 0
    for headers, content, status in (
        ({"content-type": "text/plain"}, long, 415),
        ({**JSON, "origin": "http://evil.example"}, long, 403),
        (JSON, long * 3, 413),  # by its Content-Length
        (JSON, (long for _ in range(3)), 413),  # as it comes
    ):
        with httpx.Client() as client:
            answer = client.post(f"http://127.0.0.1:{port}/v1/traces", content=content, headers=headers)
            assert answer.status_code == status
            again = client.post(f"http://127.0.0.1:{port}/v1/traces", content=GOOD, headers=JSON)
            assert again.status_code == 200
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
        slow.sendall(b"content-length: 1000\r\n\r\n{")
        slow.settimeout(20)
        said = b""
        while piece := slow.recv(1000):  # it is closed after the answer
            said += piece
        assert b" 408 " in said
    with socket.create_connection(("127.0.0.1", port)) as polite:
        polite.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: evil\r\ncontent-type: application/json\r\n")
        polite.sendall(b"content-length: 1000\r\nexpect: 100-continue\r\n\r\n")
        polite.settimeout(20)
        said = b""
        while piece := polite.recv(1000):
            said += piece
        assert said.startswith(b"HTTP/1.1 403 ")


@pytest.mark.usefixtures("collecting")
def test_what_was_refused_for_good_is_counted_and_named_in_the_store(folder: StoreFolder, receiver: Receiver) -> None:
    until(lambda: ask(folder, "SELECT count(*) FROM feed") == [(1,)], "a receiver that got nothing is known")
    for _ in range(3):
        assert post(receiver, b"{", JSON).status_code == 400
    assert post(receiver, GOOD, {**JSON, "origin": "http://evil.example"}).status_code == 403
    until(lambda: ask(folder, "SELECT rejected FROM feed") == [(4,)], "four refusals are counted")
    ((feed, state, message),) = ask(folder, "SELECT feed, state, message FROM feed")
    assert (feed, state, message) == ("otlp 127.0.0.1:0", "following", "request refused (403): not for web pages")
    assert {str(reason).partition(":")[0] for _, _, reason, _, _ in rejects(folder)} == {
        "request refused (400)",
        "request refused (403)",
    }
    assert post(receiver, GOOD, JSON).status_code == 200
    ((records, rejected, message),) = ask(folder, "SELECT records, rejected, message FROM feed")
    assert (records, rejected, message) == (1, 4, None)


def test_many_different_refusals_are_told_in_one_piece_and_none_is_lost() -> None:
    inbox = Inbox(limit_bytes=1)
    refusals = Refusals("f", inbox, seen_ns=5)
    for number in range(200):
        refusals.note(RefusedError(400, f"reason {number}"))
    refusals.note(RefusedError(503, "try again"))
    full = Delivery(Feed(feed="f", format="otlp"), size_bytes=1)
    inbox.put(full)
    refusals.tell()  # there is no room
    inbox.settle(inbox.take()[0])
    refusals.tell()
    refusals.tell()  # nothing more to tell
    (told,) = inbox.take()
    assert (len(told.bad), len(set(told.bad)), told.feed.rejected, told.feed.seen_ns) == (200, 51, 200, 5)


@pytest.mark.usefixtures("collecting")
def test_200_is_said_after_the_commit_and_503_where_there_is_none(
    folder: StoreFolder, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: ask(folder, "SELECT count(*) FROM feed") == [(1,)], "the store is made")
    monkeypatch.setattr(app, "COMMIT_S", 0.5)
    with closing(sqlite3.connect(folder.telemetry, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for headers, content in ((JSON, GOOD), (PROTOBUF, b"")):
            answer = post(receiver, content, headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert spans(folder) == 0
        other.execute("ROLLBACK")
    monkeypatch.setattr(app, "COMMIT_S", 20.0)
    assert post(receiver, GOOD, JSON).status_code == 200
    assert spans(folder) == 1
    assert ask(folder, "SELECT rejected FROM feed") == [(0,)]


def test_a_token_decides_where_there_is_one(folder: StoreFolder) -> None:
    receiver = Receiver("127.0.0.1:0", "s3cret-token")
    with following(Collector(folder, [], feeders=[receiver]), folder):
        until_s = time.monotonic() + 20
        while not _answers(receiver) and time.monotonic() < until_s:
            time.sleep(0.02)
        assert post(receiver, GOOD, JSON).status_code == 401
        assert post(receiver, GOOD, {**JSON, "authorization": "Bearer s3cret-toke"}).status_code == 401
        assert post(receiver, GOOD, {**JSON, "authorization": "Basic s3cret-token"}).status_code == 401
        assert post(receiver, GOOD, {**JSON, "authorization": "s3cret-token"}).status_code == 401
        assert post(receiver, GOOD, {**JSON, "authorization": "bearer s3cret-token"}).status_code == 200
    assert "s3cret" not in repr(app.Door("f", None, b"s3cret-token"))
    beyond_ascii = Receiver("127.0.0.1:0", "s3cret-\u20ac")
    with following(Collector(folder, [], feeders=[beyond_ascii]), folder):
        until(lambda: _answers(beyond_ascii), "it serves")
        for token, status in (("s3cret-\u20ac".encode(), 200), (b"s3cret-\xff", 401)):
            url = f"http://127.0.0.1:{beyond_ascii.port}/v1/traces"
            answer = httpx.post(
                url, content=GOOD, headers={b"content-type": b"application/json", b"authorization": b"Bearer " + token}
            )
            assert answer.status_code == status
    stored = b"".join(path.read_bytes() for path in folder.path.rglob("*") if path.is_file())
    assert b"s3cret" not in stored


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


def test_an_address_without_a_path_or_with_a_name() -> None:
    for nameless in ("unix:", "unix:\0hidden"):
        with pytest.raises(CollectError, match="needs a path"):
            Receiver(nameless)
    for host in ("localhost:0", ":0"):
        receiver = Receiver(host)
        assert receiver._socket.getsockname()[0] == "127.0.0.1"
        receiver.stop()
    with pytest.raises(CollectError, match="no token"):
        Receiver("0.0.0.0:0", "")
    Receiver("0.0.0.0:0", "a token").stop()


def test_what_nobody_waits_for_is_forgotten() -> None:
    inbox = Inbox(limit_bytes=10)
    first, second = (Delivery(Feed(feed="f", format="otlp"), size_bytes=9) for _ in range(2))
    inbox.put(first)
    inbox.withdraw(first)
    assert first.committed.cancelled()
    inbox.put(second)
    assert inbox.take() == [second]
    inbox.withdraw(second)  # too late, it is being written
    assert not second.committed.cancelled()
    inbox.settle(second)
    assert inbox.has_room()


def test_a_part_of_the_inbox_is_taken_in_order() -> None:
    inbox = Inbox()
    sizes = [30, 4, 4, 4, 1]
    for size_bytes in sizes:
        inbox.put(Delivery(Feed(feed="f", format="otlp"), size_bytes=size_bytes))
    taken = [[one.size_bytes for one in inbox.take(10)] for _ in range(4)]
    assert taken == [[30], [4, 4], [4, 1], []]


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
