"""`andon` without a command: the console, with a collector of its own where one is needed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.options import Refused, Settings, is_terminal
from store.folder import StoreError, StoreFolder
from store.liveness import collector_heartbeat

if TYPE_CHECKING:
    from console.context import Context


def open_console(settings: Settings) -> int:
    """Open the console in this terminal; without one, print the board once."""
    folder = settings.folder if settings.read_only else settings.folder.prepare()
    banner: list[str] = []
    if not settings.read_only:
        banner += reconcile_switches(folder)
    if not is_terminal():
        from console.cli.status import show_status

        return show_status(settings, "1h", as_json=False)
    note = None
    with contextlib.ExitStack() as stack:
        config = settings.config()
        sources = config.source or config.pull or config.otlp.listen
        if sources and not settings.read_only and not collector_heartbeat(folder).alive:
            stack.enter_context(collector_child(settings, ()))
            note = "The collector that this console started ends with it."
        return run(make_context(settings, folder, tuple(banner), note))


def make_context(settings: Settings, folder: StoreFolder, banner: tuple[str, ...], note: str | None) -> Context:
    """What the console is opened with. `latest` is looked up once; a bad registry is said, not fatal."""
    from console.context import Context
    from store.control.actor import Actor
    from store.registry.model import Registry
    from store.telemetry.reader import Reader

    try:
        registry = settings.registry()
    except Refused as error:
        registry, banner = Registry(), (*banner, error.format_message())
    try:
        rules = settings.redaction_rules()
    except Refused as error:
        rules, banner = (), (*banner, error.format_message())
    with contextlib.suppress(StoreError), Reader(folder) as reader:
        banner = (*banner, reader.warning) if reader.warning is not None else banner
    as_of_ns = settings.named_moment_ns()
    if settings.as_of == "latest":
        with settings.reader() as reader:
            as_of_ns = reader.latest_ns()
    return Context(
        store=folder,
        registry=registry,
        registry_path=settings.registry_path,
        actor=Actor.current().label,
        as_of_ns=as_of_ns,
        tz=settings.zone(),
        read_only=settings.read_only,
        environment=settings.config().environment,
        banner=banner,
        ascii_only=not _speaks_utf8(),
        rules=rules,
        collector_note=note,
    )


def run(context: Context, *, for_s: float | None = None) -> int:
    """The console until it is left, or for `for_s` seconds."""
    from console.launch import run_console

    return run_console(context, for_s=for_s)


def reconcile_switches(folder: StoreFolder) -> list[str]:
    """Initialise the switch folder and merge what a stop could not audit; what went wrong, as lines to show."""
    from runbooks.switches.reconcile import reconcile
    from store.control.actor import Actor

    try:
        done = reconcile(folder, Actor.current())
    except StoreError as error:
        return [str(error)]
    lines = [done.trouble] if done.trouble else []
    if done.restored:
        lines.append(f"{len(done.restored)} stops were gone from the switch file without a re-arming and stand again")
    return lines


@contextlib.contextmanager
def collector_child(settings: Settings, paths: tuple[Path, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """`andon collect` as a child of this process; it ends with the block. Its output goes to the log folder."""
    folder = settings.folder
    command = [sys.executable, "-P", "-m", "console.cli.main", "collect", "--store", str(folder.path)]
    command += ["--config", str(settings.config_folder), "--with-parent", *[str(path) for path in paths]]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open(folder.log / "collector.log", flags, 0o600)
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0, env=dict(os.environ)
        )
    finally:
        os.close(log)
    try:
        yield child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _speaks_utf8() -> bool:
    return "utf" in (sys.stdout.encoding or "").lower()
