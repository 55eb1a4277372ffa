"""`andon collect`: the one process that tails, and writes telemetry.db."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.options import Settings, common_options, require_store
from console.cli.output import json_option, print_json, say
from console.widgets import figures
from console.widgets.sanitise import one_line

if TYPE_CHECKING:
    from collectors.summary import Summary


@click.command("collect")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Read to the end and say what was read.")
@click.option("--format", "format_name", metavar="F", help="Read every file as this format (default: by content).")
@click.option("--agent", metavar="NAME", help="Name of the agent, for logs that name none.")
@click.option("--poll", is_flag=True, help="Look at the files every 50 ms instead of asking the kernel.")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input is closed.")
@json_option
@common_options
def collect_command(settings: Settings, paths: tuple[Path, ...], once: bool, as_json: bool, **how: Any) -> int:
    """Tail files, folders and globs into the store. Without PATH: the sources of andon.toml.

    Exit 1 where a path that was named could not be read; what could be read is stored all the same.
    """
    from collectors.collect import Collector
    from collectors.declared import Declared
    from console.cli.open import reconcile_switches

    sources = _sources(settings, paths, how["format_name"], how["agent"])
    folder = require_store(settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # it says every change that it hears of; into a file of a watched folder, that would be heard as a change again
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    for line in reconcile_switches(folder):
        click.echo(f"andon: {line}", err=True)
    collector = Collector(
        folder,
        [Declared(source.path, source.format, source.agent) for source in sources],
        tool_map=settings.registry().tool_map(),
        poll=how["poll"],
        on_message=None if once else _say_live,
    )
    if once:
        summary = collector.run_once()
        _answer(summary, as_json=as_json)
        unreadable = [path for path in paths if not _is_glob(path) and not os.access(path, os.R_OK)]
        return 1 if unreadable or not summary.files else 0
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if how["with_parent"]:
        threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
    click.echo(f"andon: collecting into {folder.path}; Ctrl+C ends it, nothing is lost", err=True)
    collector.follow(stop)
    return 0


def _end_with_parent(stop: threading.Event) -> None:
    """The console holds the other end: when it is gone, however it went, nobody is left to collect for."""
    while os.read(0, 4096):
        pass
    stop.set()


def _say_live(message: str) -> None:
    click.echo(f"andon: {one_line(message)}", err=True)


def _is_glob(path: Path) -> bool:
    return any(char in str(path) for char in "*?[")


def _sources(settings: Settings, paths: tuple[Path, ...], format_name: str | None, agent: str | None) -> list[Any]:
    """What to collect, from the command line or the config. click.UsageError where there is nothing."""
    from collectors.formats import FORMATS, by_name
    from store.registry.config import SourceConfig

    if paths:
        sources = [SourceConfig(path=str(path), format=format_name, agent=agent) for path in paths]
    else:
        sources = list(settings.config().source)
    if not sources:
        raise click.UsageError(
            f"no sources: name a file, folder or glob, or write [[source]] in {settings.config_folder}/andon.toml"
        )
    for source in sources:
        if source.format is not None and by_name(source.format) is None:
            known = ", ".join(each.name for each in FORMATS)
            raise click.UsageError(f"{source.format!r} is no format: use {known}")
    return sources


def _answer(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        from console.cli.schemas import CollectSummary

        print_json(CollectSummary.model_validate(dataclasses.asdict(summary)))
        return
    say(
        f"{figures.plural(summary.files, 'file')}, {figures.plural(summary.lines, 'line')}: "
        f"{summary.spans:,} new spans in {figures.plural(summary.sessions, 'session')}, "
        f"{figures.plural(summary.duplicates, 'duplicate')}, {figures.plural(summary.rejected, 'line')} rejected, "
        f"{figures.plural(summary.gaps, 'gap')}"
    )
    for name, counts in sorted(summary.by_format.items()):
        say(f"  {name}: " + ", ".join(f"{value:,} {what}" for what, value in counts.items()))
    for name, count in sorted(summary.unknown_types.items(), key=lambda item: -item[1])[:10]:
        say(f"  row type passed over: {name} {count}x")
    for message in summary.messages:
        say(f"  ! {message}")
