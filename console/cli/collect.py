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

from console.cli.options import Refused, Settings, common_options, require_store
from console.cli.output import json_option, print_json, say
from console.cli.sources import declared_sources, outside_of
from console.widgets import figures
from console.widgets.sanitise import one_line

if TYPE_CHECKING:
    from collectors.otlp.server import Receiver
    from collectors.summary import Summary


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)


@click.command("collect")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Read to the end and say what was read.")
@click.option("--format", "format_name", metavar="F", help="Read every file as this format (default: by content).")
@click.option("--agent", metavar="NAME", help="Name of the agent, for logs that name none.")
@click.option("--poll", is_flag=True, help="Look at the files every 50 ms instead of asking the kernel.")
@click.option("--explain", "explained", metavar="FILE", type=_FILE, help="Say how FILE is read, and write nothing.")
@click.option(
    "--records", default=5, type=click.IntRange(0, 1000), help="How many records --explain shows (default 5)."
)
@click.option("--listen", multiple=True, metavar="ADDR", help="Receive OTLP on HOST:PORT or unix:PATH (repeatable).")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input is closed.")
@json_option
@common_options
def collect_command(settings: Settings, paths: tuple[Path, ...], once: bool, as_json: bool, **how: Any) -> int:
    """Tail files, folders and globs into the store. Without PATH: the sources of andon.toml.

    Exit 1 where a path that was named could not be read; what could be read is stored all the same. --explain shows
    how the first records of a file are read, field by field, and why the rest is not; exit 1 where nothing is.
    """
    if how["explained"] is not None:
        from console.cli.explain import explain

        return explain(
            settings, how["explained"], how["format_name"], how["agent"], records=how["records"], as_json=as_json
        )
    from collectors.collect import Collector
    from console.cli.open import reconcile_switches

    sources = declared_sources(settings, paths, how["format_name"], how["agent"])
    listen = () if once else how["listen"] or settings.config().otlp.listen
    if once and how["listen"]:
        raise click.UsageError("--once reads files to their end; --listen receives for as long as it runs")
    outside = None if once else outside_of(settings, with_pulls=not paths)
    if once and not sources and (settings.config().pull or settings.config().otlp.listen):
        raise click.UsageError("--once reads files to their end; what is pulled and received comes without it")
    if not sources and not listen and outside is None:
        raise click.UsageError(
            f"no sources: name a file, folder or glob, or write [[source]] in {settings.config_folder}/andon.toml; "
            "or receive OTLP with --listen 127.0.0.1:4318, or write [[pull]]"
        )
    folder = require_store(settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # it says every change that it hears of; into a file of a watched folder, that would be heard as a change again
    for name in ("watchfiles", "uvicorn", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for line in reconcile_switches(folder):
        click.echo(f"andon: {line}", err=True)
    receivers = _receivers(settings, listen)
    collector = Collector(
        folder,
        sources,
        feeders=[*receivers, *([outside] if outside is not None else [])],
        tool_map=settings.registry().tool_map(),
        rules=settings.redaction_rules(),
        prices=settings.prices(),
        poll=how["poll"],
        quiet_s=settings.config().rotate_wait_s,
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
    for receiver in receivers:
        click.echo(f"andon: receiving OTLP on {receiver.address}", err=True)
    click.echo(f"andon: collecting into {folder.path}; Ctrl+C ends it, nothing is lost", err=True)
    collector.follow(stop)
    return 0


def _receivers(settings: Settings, addresses: tuple[str, ...]) -> list[Receiver]:
    """Bound and not started. Refused says why an address cannot be used."""
    if not addresses:
        return []
    from collectors.declared import CollectError
    from collectors.otlp.server import Receiver

    token = os.environ.get("ANDON_OTLP_TOKEN")
    if (named := settings.config().otlp.token_file) is not None:
        try:
            token = Path(named).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"the token file {named} cannot be read: {error}") from None
        if not token:
            raise Refused(f"the token file {named} is empty; write the token into it")
    try:
        return [Receiver(address, token) for address in addresses]
    except CollectError as error:
        raise Refused(str(error)) from None


def _end_with_parent(stop: threading.Event) -> None:
    """The console holds the other end: when it is gone, however it went, nobody is left to collect for."""
    while os.read(0, 4096):
        pass
    stop.set()


def _say_live(message: str) -> None:
    click.echo(f"andon: {one_line(message)}", err=True)


def _is_glob(path: Path) -> bool:
    return any(char in str(path) for char in "*?[")


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
    for reason, count in sorted(summary.reject_reasons.items(), key=lambda item: -item[1])[:10]:
        say(f"  rejected: {figures.plural(count, 'line')}: {reason}")
    for reason, count in sorted(summary.not_read.items(), key=lambda item: -item[1]):
        say(f"  not read: {figures.plural(count, 'file')}: {reason}")
    for name, count in sorted(summary.unknown_types.items(), key=lambda item: -item[1])[:10]:
        say(f"  row type passed over: {name} {count}x")
    for message in summary.messages:
        say(f"  ! {message}")
