"""`andon demo`: real processes, real log files, a real collector, a throw-away store."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

from console.cli.open import collector_child, make_context, reconcile_switches, run
from console.cli.options import Settings, common_options, is_terminal
from store.folder import StoreFolder

FIRST_FIGURES_S = 12.0


@click.command("demo")
@click.option("--for", "seconds", type=click.FloatRange(0, 86_400), help="End by itself after so many seconds.")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed, the same fleet.")
@click.option("--keep", is_flag=True, help="Keep the folder with its logs and store, and say where it is.")
@common_options
def demo_command(settings: Settings, seconds: float | None, seed: int, keep: bool) -> int:
    """A synthetic fleet with faults, collected live, in a throw-away store.

    Without a terminal the board is printed once. `K` on billing-bot stops its process.
    """
    from console.demo.fleet import Fleet

    home = Path(tempfile.mkdtemp(prefix="andon-demo-"))
    folder = StoreFolder(home / "store").prepare()
    own = replace(settings, store_path=folder.path, config_path=home, read_only=False)
    try:
        with contextlib.ExitStack() as stack:
            banner = reconcile_switches(folder)
            fleet = stack.enter_context(Fleet(home, seed=seed, store=folder))
            stack.enter_context(collector_child(own, fleet.log_paths))
            if is_terminal():
                note = "Demo: the fleet ends with this console."
                context = make_context(own, folder, (f"Demo: synthetic agents in {home}", *banner), note)
                return run(context, for_s=seconds)
            _wait_for_figures(folder)
            if seconds:
                time.sleep(seconds)
            from console.cli.status import show_status

            return show_status(own, "1h", as_json=False)
    finally:
        if keep:
            click.echo(f"andon: kept {home}", err=True)
        else:
            shutil.rmtree(home, ignore_errors=True)


def _wait_for_figures(folder: StoreFolder) -> None:
    """Until the history is read and the live agents have logged something, at most FIRST_FIGURES_S."""
    from store.folder import StoreError
    from store.record.span import NS_PER_S
    from store.telemetry.reader import Reader

    deadline = time.monotonic() + FIRST_FIGURES_S
    while time.monotonic() < deadline:
        with contextlib.suppress(StoreError), Reader(folder) as reader:
            latest_ns = reader.latest_ns()
            if latest_ns is not None and time.time_ns() - latest_ns < 2 * NS_PER_S and len(reader.agents()) > 1:
                return
        time.sleep(0.1)
