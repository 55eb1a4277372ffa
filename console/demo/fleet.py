"""The demo fleet: starts the agents as processes, and never leaves one behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from console.demo.history import HISTORY_S, write_history
from console.demo.script import AGENTS
from store.folder import StoreFolder, private_file

END_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """`exit_code` is None while it is alive; console.demo.agent.EXIT_HALTED when the guard stopped it."""

    name: str
    pid: int
    alive: bool
    exit_code: int | None


class Fleet:
    """Five agents in `folder`: logs/, agents.toml, output/ and, unless `store` says another, store/.

    The switch folder must be initialised before `start`: an agent's guard refuses to start without it. The
    agents watch a pipe from this process, so they end with it however it ends. (Not PR_SET_PDEATHSIG: that
    fires when the thread that started them ends.)
    """

    def __init__(
        self,
        folder: Path,
        seed: int = 7,
        speed: float = 1.0,
        *,
        store: StoreFolder | None = None,
        history_s: float = HISTORY_S,
        agents: tuple[str, ...] = AGENTS,
    ) -> None:
        self.folder = folder
        self.store = store or StoreFolder(folder / "store")
        self.seed = seed
        self.speed = speed
        self._history_s = history_s
        self._agents = agents
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def log_folder(self) -> Path:
        return self.folder / "logs"

    @property
    def log_paths(self) -> tuple[Path, ...]:
        """One file an agent, in the order they are started."""
        return tuple(self.log_folder / f"{name}.jsonl" for name in self._agents)

    @property
    def registry_path(self) -> Path:
        return self.folder / "agents.toml"

    @property
    def processes(self) -> dict[str, AgentProcess]:
        """Every agent that was started, as it is now."""
        return {
            name: AgentProcess(name, child.pid, child.poll() is None, child.poll())
            for name, child in self._children.items()
        }

    def prepare(self) -> None:
        """Write the registry and the hour of history; no process is started. Does nothing the second time."""
        for folder in (self.folder, self.log_folder, self._output):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.registry_path.exists():
            return
        now_ns = time.time_ns()
        for name, path in zip(self._agents, self.log_paths, strict=True):
            write_history(name, path, self.seed, now_ns, self._history_s)
        private_file(self.registry_path)
        self.registry_path.write_bytes(Path(__file__).with_name("agents.toml").read_bytes())

    def start(self) -> None:
        """Prepare, and start every agent that was not started yet. A stopped agent stays stopped."""
        self.prepare()
        atexit.register(self.stop)
        for name, path in zip(self._agents, self.log_paths, strict=True):
            if name not in self._children:
                self._children[name] = self._spawn(name, path)

    def stop(self) -> None:
        """End every agent and wait for it: first politely, after END_WITHIN_S with SIGKILL."""
        atexit.unregister(self.stop)
        for child in self._children.values():
            if child.poll() is None:
                _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + END_WITHIN_S
        for child in self._children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(child, signal.SIGKILL)
                child.wait()
            if child.stdin is not None:
                child.stdin.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _output(self) -> Path:
        return self.folder / "output"

    def _spawn(self, name: str, log: Path) -> subprocess.Popen[bytes]:
        # -P: nothing is imported from the folder the demo happens to be started in.
        command = [sys.executable, "-P", "-m", "console.demo.agent", "--name", name, "--log", str(log)]
        command += [
            "--switches",
            str(self.store.switches),
            "--seed",
            str(self.seed),
            "--speed",
            str(self.speed),
        ]
        command += ["--watch-stdin"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        output = os.open(self._output / f"{name}.txt", flags, 0o600)
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                process_group=0,  # ctrl+c in the console's terminal is not for the agents
            )
        finally:
            os.close(output)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
