"""A real store with a few sessions, a collector's heartbeat, and an agent in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from console.app import AndonApp
from console.context import Context
from runbooks.switches.publish import initialise
from store.folder import StoreFolder
from store.liveness import CollectorLock
from store.record.batch import Batch
from store.record.span import NANO_PER_USD, NS_PER_S, Rank, Span
from store.registry.model import Registry
from store.telemetry.reader import Reader
from store.telemetry.writer import Writer
from tests.snapshot.fleet import REGISTRY

AGENT = """
import sys, time
from andon_guard import Guard, Halted
guard = Guard(agent="billing-bot", folder=sys.argv[1])
print("up", flush=True)
try:
    while True:
        guard.check("tool", session="s-81f2", tool="search_invoices")
        time.sleep(0.02)
except Halted:
    sys.exit(7)
"""


def spans(now_ns: int) -> list[Span]:
    """Two sessions of two agents; billing-bot wrote an e-mail, and its run still goes on."""
    found: list[Span] = []
    for name, agent, began_s in (("s-81f2", "billing-bot", 60), ("s-60b1", "search-api", 120)):
        began_ns = now_ns - began_s * NS_PER_S
        common: dict[str, Any] = {"namespace": f"session:{name}", "session": name, "agent": agent, "format": "andon"}
        run = Span(**common, span_id="run", kind="run", name="handle refund", started_ns=began_ns, rank=Rank.STARTED)
        if agent != "billing-bot":
            run.rank, run.ended_ns, run.status = Rank.ENDED, began_ns + 9 * NS_PER_S, "ok"
        llm = Span(
            **common,
            span_id="llm",
            parent_id="run",
            kind="llm",
            model="claude-sonnet-4-6",
            started_ns=began_ns,
            ended_ns=began_ns + NS_PER_S,
            status="ok",
            tokens_input=1_200,
            tokens_output=300,
            cost_nano=NANO_PER_USD // 50,
            cost_basis="computed",
            parts={"output": "I shall write to them."},
        )
        mail = Span(
            **common,
            span_id="mail",
            parent_id="run",
            kind="tool",
            tool="send_email",
            started_ns=began_ns + NS_PER_S,
            ended_ns=began_ns + 2 * NS_PER_S,
            status="ok",
            parts={"input": "to: <email:6f2a77aa0b1c>"},
        )
        found += [run, llm, mail]
    return found


@pytest.fixture
def store(folder: StoreFolder) -> StoreFolder:
    initialise(folder)
    now_ns = time.time_ns()
    with CollectorLock(folder), Writer(folder) as writer:
        writer.write(Batch(spans=spans(now_ns)), now_ns)
    return folder


@pytest.fixture
def collector(store: StoreFolder) -> Iterator[None]:
    """The heartbeat of a collector that is alive."""
    stop = threading.Event()
    with CollectorLock(store) as lock:

        def beat() -> None:
            while not stop.wait(0.5):
                lock.beat()

        lock.beat()
        thread = threading.Thread(target=beat)
        thread.start()
        yield
        stop.set()
        thread.join()


@pytest.fixture
def agent(store: StoreFolder) -> Iterator[subprocess.Popen[str]]:
    """An agent with a guard inside, running until it is halted."""
    argv = [sys.executable, "-c", AGENT, str(store.switches)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def console(store: StoreFolder, *, read_only: bool = False, registry: Registry = REGISTRY) -> AndonApp:
    """The console on a real store; only its codes are fixed."""
    context = Context(store=store, registry=registry, actor="sre@bastion-1", environment="test", read_only=read_only)
    return AndonApp(context, open_reader=lambda: Reader(store), make_code=lambda: "7KQ")
