"""A small HTTP server on loopback that answers as a test says, and one that speaks Phoenix's documented answers."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]
HANG_S = 20.0


class Server:
    """Serves `answer(path, query, headers)`; what was asked is in `asked`. An answer of None hangs."""

    def __init__(self, answer: Callable[[str, dict[str, str], dict[str, str]], Answer | None]) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.ending = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append((parts.path, query, headers))
                made = answer(parts.path, query, headers)
                if made is None:
                    outer.ending.wait(HANG_S)
                    return
                status, more, body = made
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                if "content-length" not in more:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server asks for
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the client went away, which is what some tests are about

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.ending.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextmanager
def serving(answer: Callable[[str, dict[str, str], dict[str, str]], Answer | None]) -> Iterator[Server]:
    server = Server(answer)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def as_json(value: object, status: int = 200) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()


def span_row(number: int, **more: Any) -> dict[str, Any]:
    """A span as Phoenix answers it; `id` is its row."""
    trace = number // 3
    return {
        "id": b64encode(f"Span:{number}".encode()).decode(),
        "name": f"step {number}",
        "context": {"trace_id": f"{trace + 1:032x}", "span_id": f"{number:016x}"},
        "span_kind": "TOOL",
        "parent_id": None,
        "start_time": "2026-01-31T02:14:00.000001+00:00",
        "end_time": "2026-01-31T02:14:01.500000+00:00",
        "status_code": "OK",
        "status_message": "",
        "attributes": {"session.id": f"s{trace}", "tool.name": "look", "input.value": "{}"},
        "events": [],
    } | more


class Rows:
    """Phoenix's side: spans by row. `instead` is asked before each answer; what it returns is answered in place."""

    def __init__(self, count: int = 0) -> None:
        self.rows: dict[int, dict[str, Any]] = {number: span_row(number) for number in range(1, count + 1)}
        self.instead: Callable[[dict[str, str]], Answer | bool | None] = lambda _: False
        self.pause_s = 0.0

    def __call__(self, path: str, query: dict[str, str], _headers: dict[str, str]) -> Answer | None:
        if path != "/v1/projects/default/spans":
            return as_json({"detail": "Not Found"}, 404)
        other = self.instead(query)
        if not isinstance(other, bool):
            return other
        time.sleep(self.pause_s)
        limit = int(query.get("limit", "100"))
        start = b64decode(query["cursor"]).decode().removeprefix("Span:") if "cursor" in query else None
        numbers = sorted((n for n in list(self.rows) if start is None or n <= int(start)), reverse=True)
        following = b64encode(f"Span:{numbers[limit]}".encode()).decode() if len(numbers) > limit else None
        return as_json({"data": [self.rows[n] for n in numbers[:limit]], "next_cursor": following})
