"""Spans pulled from a real Arize Phoenix, which this starts on loopback and fills with an unmodified OpenTelemetry SDK.

It needs `make phoenix`. What came is held against what Phoenix itself lists, added up by plain JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

from collectors.collect import Collector
from collectors.pull.outside import Outside
from collectors.pull.phoenix import PhoenixSource
from store.folder import StoreFolder
from tests.fault.feeding import Follower, ask, following

PHOENIX = Path(__file__).resolve().parents[2] / ".venv-phoenix" / "bin" / "phoenix"
DEADLINE_S = 120.0
LONG_AGO_NS = 1_700_000_000 * 10**9

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PHOENIX.exists(), reason="there is no Phoenix to pull from: prepare one with make phoenix"),
]


def until(true: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - a server of this test
        return json.loads(answer.read())


@contextmanager
def phoenix(folder: Path, port: int) -> Iterator[str]:
    """A running Phoenix whose database lies in `folder`; its URL."""
    folder.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(PHOENIX), "serve"], env=environment, stdout=log, stderr=log)
        try:
            until(lambda: answers(url) or process.poll() is not None, "Phoenix has started")
            assert process.poll() is None, (folder / "log").read_text("utf-8", "replace")[-2000:]
            yield url
        finally:
            process.terminate()
            process.wait(30)


def answers(url: str) -> bool:
    try:
        get(f"{url}/v1/projects")
    except (urllib.error.URLError, OSError):
        return False
    return True


def send(url: str, runs: int, name: str, began_ns: int | None = None) -> int:
    """Send `runs` traces of an agent, a model call and a tool call; how many spans these are."""
    provider = TracerProvider(resource=Resource.create({"service.name": "bot"}))
    exporter = OTLPSpanExporter(f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    tracer = provider.get_tracer("test")
    for number in range(runs):
        session = {"session.id": f"{name}-{number // 5}"}
        with tracer.start_as_current_span(
            "agent", start_time=began_ns, attributes={"openinference.span.kind": "AGENT", **session}
        ):
            usage = {
                "llm.token_count.prompt": 100 + number,
                "llm.token_count.completion": number,
                "llm.token_count.prompt_details.cache_read": 40,
            }
            with tracer.start_as_current_span(
                "answer",
                attributes={
                    "openinference.span.kind": "LLM",
                    "llm.model_name": "gpt-4o",
                    "input.value": "who?",
                    **session,
                    **usage,
                },
            ):
                pass
            with tracer.start_as_current_span(
                "look", attributes={"openinference.span.kind": "TOOL", "tool.name": "look_up", **session}
            ) as tool:
                if number % 10 == 0:
                    tool.record_exception(ValueError("not there"))
                    tool.set_status(StatusCode.ERROR, "not there")
    provider.shutdown()
    return runs * 3


def listed(url: str) -> dict[str, dict[str, Any]]:
    """Every span that Phoenix has, by its id."""
    found: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        page = get(f"{url}/v1/projects/default/spans?limit=1000{cursor}")
        found |= {span["context"]["span_id"]: span for span in page["data"]}
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def pulling(folder: StoreFolder, url: str) -> Collector:
    return Collector(folder, [], feeders=[Outside([PhoenixSource(url, agent="bot", every_s=0.2)])], workers=0)


def stored(folder: StoreFolder) -> set[str]:
    if not folder.telemetry.exists() or not ask(folder, "SELECT 1 FROM sqlite_master WHERE name = 'feed'"):
        return set()
    return {str(one) for (one,) in ask(folder, "SELECT span_id FROM span")}


def until_same(follower: Follower, url: str, count: int) -> dict[str, dict[str, Any]]:
    until(lambda: len(listed(url)) == count, f"{count} spans in Phoenix")
    theirs = listed(url)
    until(lambda: follower.error is not None or stored(follower.folder) >= theirs.keys(), f"{count} spans in the store")
    assert follower.error is None, follower.error
    return theirs


def test_every_span_of_a_real_phoenix_arrives_once(folder: StoreFolder, tmp_path: Path) -> None:
    port = free_port()
    with phoenix(tmp_path / "first", port) as url:
        count = send(url, 150, "a")
        with following(pulling(folder, url), folder) as follower:
            until_same(follower, url, count)
            # spans that began long before those that were read, and come now
            count += send(url, 10, "late", began_ns=LONG_AGO_NS)
            until_same(follower, url, count)
        count += send(url, 60, "b")
        with following(pulling(folder, url), folder) as follower:
            theirs = until_same(follower, url, count)
        assert stored(folder) == theirs.keys()
        ((records, rejected, state),) = ask(folder, "SELECT records, rejected, state FROM feed")
        assert (records, rejected, state) == (count, 0, "following")
        held_against(folder, theirs)
    # the same address, an empty database: its rows have the same numbers again
    with phoenix(tmp_path / "second", port) as url:
        more = send(url, 20, "c")
        with following(pulling(folder, url), folder) as follower:
            others = until_same(follower, url, more)
    assert stored(folder) == theirs.keys() | others.keys()


def held_against(folder: StoreFolder, theirs: dict[str, dict[str, Any]]) -> None:
    """Kinds, tokens, errors, sessions, parents and times, as Phoenix's own answers have them."""
    calls = [one["attributes"] for one in theirs.values() if one["span_kind"] == "LLM"]
    cached = sum(one["llm.token_count.prompt_details.cache_read"] for one in calls)
    fresh = sum(one["llm.token_count.prompt"] for one in calls) - cached
    output = sum(one["llm.token_count.completion"] for one in calls)
    assert ask(
        folder, "SELECT count(*), sum(tokens_input), sum(tokens_cache_read), sum(tokens_output) FROM span "
        "WHERE kind = 'llm'",
    ) == [(len(calls), fresh, cached, output)]  # fmt: skip
    kinds: dict[Any, Any] = dict(ask(folder, "SELECT kind, count(*) FROM span GROUP BY kind"))  # type: ignore[arg-type]
    assert kinds == {"llm": len(calls), "tool": len(calls), "run": len(calls)}
    errors = sum(one["status_code"] == "ERROR" for one in theirs.values())
    assert ask(folder, "SELECT count(*), min(error_type) FROM span WHERE status = 'error'") == [(errors, "ValueError")]
    sessions = {one["attributes"]["session.id"] for one in theirs.values()}
    assert {one for (one,) in ask(folder, "SELECT session FROM span")} == sessions
    for span_id, parent, trace in ask(folder, "SELECT span_id, parent_id, run_id FROM span"):
        own = theirs[str(span_id)]
        assert (parent, trace) == (own["parent_id"], own["context"]["trace_id"])
    assert ask(folder, "SELECT count(*) FROM span WHERE started_ns / 1000000000 = 1700000000") == [(10,)]
