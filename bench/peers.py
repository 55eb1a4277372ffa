"""Other programs taking in spans, each in the environment that bench/ingest.py names; prints spans and seconds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

START_WITHIN_S = 120.0


def duckdb(log: str, database: str) -> tuple[int, float]:
    import duckdb as module  # type: ignore[import-not-found]

    began = time.perf_counter()
    connection = module.connect(database)
    connection.execute("CREATE TABLE span AS SELECT * FROM read_json(?, format = 'newline_delimited')", [log])
    count = connection.execute("SELECT count(*) FROM span").fetchone()[0]
    connection.close()
    return count, time.perf_counter() - began


def phoenix(spans: str) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as home:
        port = _free_port()
        environment = {**os.environ, "PHOENIX_WORKING_DIR": home, "PHOENIX_PORT": str(port),
                       "PHOENIX_HOST": "127.0.0.1", "PHOENIX_GRPC_PORT": str(_free_port()),
                       "PHOENIX_TELEMETRY_ENABLED": "false"}  # fmt: skip
        server = subprocess.Popen([sys.executable, "-m", "phoenix.server.main", "serve"], env=environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            _until_served(f"http://127.0.0.1:{port}/healthz")
            return _send(f"http://127.0.0.1:{port}/v1/traces", int(spans), {}, Path(home) / "phoenix.db",
                         "SELECT count(*) FROM spans")  # fmt: skip
        finally:
            server.kill()
            server.wait()


def mlflow(spans: str) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as home:
        port, database = _free_port(), Path(home) / "mlflow.db"
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}",
             "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--default-artifact-root", home],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        try:
            _until_served(f"http://127.0.0.1:{port}/health")
            return _send(f"http://127.0.0.1:{port}/v1/traces", int(spans), {"x-mlflow-experiment-id": "0"}, database,
                         "SELECT count(*) FROM spans")  # fmt: skip
        finally:
            os.killpg(server.pid, 9)
            server.wait()


def _send(endpoint: str, spans: int, headers: dict[str, str], database: Path, counted: str) -> tuple[int, float]:
    """Send traces of 12 spans, parents first, and wait until the peer's own database holds them all."""
    import sqlite3

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=60)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000, max_export_batch_size=500))
    tracer = provider.get_tracer("bench")
    began = time.perf_counter()
    from opentelemetry import trace

    for number in range(spans // 12):
        root = tracer.start_span("agent", attributes={"session.id": f"s{number}"})
        root.end()
        around = trace.set_span_in_context(root)
        for step in range(11):
            attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "input.value": "x" * 700}
            tracer.start_span(f"step {step}", context=around, attributes=attributes).end()
    provider.shutdown()
    wanted = spans // 12 * 12
    until = time.monotonic() + 600
    while time.monotonic() < until:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            if connection.execute(counted).fetchone()[0] >= wanted:
                return wanted, time.perf_counter() - began
        time.sleep(0.05)
    raise SystemExit("it did not take them all in within 10 minutes")


def _until_served(url: str) -> None:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a loopback address of ours
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"nothing answers at {url}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    print(*{"duckdb": duckdb, "phoenix": phoenix, "mlflow": mlflow}[sys.argv[1]](*sys.argv[2:]))
