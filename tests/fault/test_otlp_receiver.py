"""Unmodified OpenTelemetry SDK exporters against a real receiver that is killed and started again in the middle."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from store.folder import StoreFolder
from store.telemetry.reader import Reader
from tests.fault.feeding import until

SPANS = 10_000  # of each sender
_SENDER = """
import logging, sys
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

endpoint, name, compression, spans = sys.argv[1:]
lost = 0

class Counting(OTLPSpanExporter):
    def export(self, batch):  # what it gives up on is counted, nothing else is changed
        global lost
        result = super().export(batch)
        lost += 0 if result.name == "SUCCESS" else len(batch)
        return result

exporter = Counting(endpoint=endpoint, compression=Compression(compression), timeout=60)
provider = TracerProvider(resource=Resource.create({"service.name": name}))
provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=30_000, max_export_batch_size=250,
                                               schedule_delay_millis=20))
tracer = provider.get_tracer("test")
for number in range(int(spans)):
    with tracer.start_as_current_span("chat", attributes={
        "gen_ai.operation.name": "chat", "gen_ai.conversation.id": name, "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 3, "number": number,
    }):
        pass
provider.shutdown()
print(lost)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def collector(store: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "console.cli.main", "collect", "--store", str(store)]
    return subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL)


def count(folder: StoreFolder) -> int:
    try:
        with closing(sqlite3.connect(folder.telemetry)) as connection:
            return int(connection.execute("SELECT count(*) FROM span").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
def test_every_span_of_unmodified_exporters_is_stored_once_over_a_kill(folder: StoreFolder) -> None:
    port = free_port()
    running = collector(folder.path, port)
    try:
        endpoint = f"http://127.0.0.1:{port}/v1/traces"
        senders = [
            subprocess.Popen(
                [sys.executable, "-c", _SENDER, endpoint, name, compression, str(SPANS)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for name, compression in (("plain", "none"), ("packed", "gzip"))
        ]
        for after in (SPANS // 4, SPANS):
            until(lambda after=after: count(folder) > after, "spans arrive")  # type: ignore[misc]
            running.kill()
            running.wait()
            time.sleep(0.3)
            running = collector(folder.path, port)
        lost = sum(int(sender.communicate(timeout=100)[0]) for sender in senders)
        assert [sender.returncode for sender in senders] == [0, 0]
        until(lambda: count(folder) >= 2 * SPANS - lost, "every span is stored")
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 0
    finally:
        running.kill()
        running.wait()
    assert lost == 0, "the exporters gave up on some"
    with closing(sqlite3.connect(folder.telemetry)) as connection:
        found = connection.execute(
            "SELECT session, count(*), count(DISTINCT span_id), sum(tokens_input) FROM span GROUP BY session"
        ).fetchall()
    assert sorted(found) == [(name, SPANS, SPANS, 3 * SPANS) for name in ("packed", "plain")]
    with Reader(folder) as reader:
        assert reader.recount().exact
