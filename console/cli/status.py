"""`andon status`: the board, once."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from console.cli.options import Settings, common_options, now_window
from console.cli.output import json_option, print_json, say, table
from console.lamp import BY_TROUBLE, GLYPHS, WORDS, kill_of, lamp
from console.widgets import figures as say_figure
from store.record.span import NS_PER_S

if TYPE_CHECKING:
    from console.cli.schemas import FiguresShape, StatusShape
    from runbooks.switches.model import Kill
    from store.telemetry.views import AgentRow, Board, Figures


@click.command("status")
@click.option("--window", default="1h", metavar="15m|1h|24h|7d|FROM..TO", help="Stretch of time (default 1h).")
@json_option
@common_options
def status_command(settings: Settings, window: str, as_json: bool) -> int:
    """The board, once: fleet and agents over a window, as of a moment."""
    return show_status(settings, window, as_json=as_json)


def show_status(settings: Settings, window: str, *, as_json: bool) -> int:
    """Print the board of a store that may be empty, or have no switches yet."""
    with settings.reader() as reader:
        stretch, as_of_ns = now_window(settings, window, reader)
        board = reader.board(stretch, as_of_ns, day_start_ns(as_of_ns, settings.zone()))
        # a probe that came late still speaks for its pause
        step_ns = round(2 * settings.config().health_every_s * NS_PER_S) if as_json else 0
        uptime = {one.agent: one.availability for one in reader.uptime(stretch, as_of_ns, step_ns)} if as_json else {}
    kills = standing_or_said(settings)
    if as_json:
        print_json(_shape(board, kills, uptime))
    else:
        print_board(board, kills, now_ns=time.time_ns())
    return 0


def day_start_ns(as_of_ns: int, zone: str) -> int:
    """Midnight before `as_of_ns` in the zone, where today begins."""
    when = datetime.fromtimestamp(as_of_ns // NS_PER_S, UTC if zone == "UTC" else ZoneInfo(zone))
    return int(when.replace(hour=0, minute=0, second=0).timestamp()) * NS_PER_S


def standing_or_said(settings: Settings) -> list[Kill]:
    """The standing stops; where the switch folder cannot be read, that is said and the list is empty."""
    from runbooks.switches.folder import SwitchError, SwitchFolder
    from runbooks.switches.publish import standing

    if not SwitchFolder.of(settings.folder).file.exists() and not SwitchFolder.of(settings.folder).stop_file.exists():
        return []  # never initialised: nobody can have stopped anything, and no guard runs on it
    try:
        return list(standing(settings.folder))
    except SwitchError as error:
        click.echo(f"andon: {error}", err=True)
        return []


def by_trouble(board: Board, kills: list[Kill]) -> list[tuple[str, AgentRow]]:
    """(lamp, agent), the worst first."""
    rows = [(lamp(row, kills, board.as_of_ns), row) for row in board.agents]
    return sorted(rows, key=lambda pair: (BY_TROUBLE.index(pair[0]), -(pair[1].figures.cost_nano or 0), pair[1].agent))


def print_board(board: Board, kills: list[Kill], *, now_ns: int) -> None:
    """The board in plain text, the same words as on the screen."""
    fleet, cover = board.fleet, board.coverage
    newest = say_figure.age(board.as_of_ns - cover.newest_ns) if cover.newest_ns is not None else "never"
    collector = "collector alive" if cover.collector_alive else _nobody(cover.collector_seen_ns, now_ns)
    say(f"ANDON  as of {say_figure.day_clock(board.as_of_ns)}  newest record {newest} ago  {collector}")
    say(
        f"{board.window.label}  runs {say_figure.count(fleet.runs)}  ok {say_figure.percent(fleet.success_rate)}"
        f"  p50 {say_figure.duration(fleet.p50_ns)}  p95 {say_figure.duration(fleet.p95_ns)}"
        f"  p99 {say_figure.duration(fleet.p99_ns)}  running {fleet.running}"
        f"  cover {say_figure.percent(fleet.coverage, 0)}"
    )
    say(
        f"cost  {say_figure.usd(fleet.cost_nano)} $  {say_figure.usd(fleet.burn_nano_per_hour)} $/h"
        f"  today {say_figure.usd(board.today_nano)} $  unpriced {say_figure.plural(fleet.unpriced, 'call')}"
        f"  rejects {cover.rejects}  gaps {cover.gaps}"
    )
    click.echo()
    table(
        ["lamp", "agent", "runs", "ok%", "p50", "p99", "errors", "$", "$/h", "switch", "seen"],
        [_line(name, row, kills, board.as_of_ns) for name, row in by_trouble(board, kills)],
        right=(2, 3, 4, 5, 6, 7, 8),
    )
    if board.leaders:
        click.echo()
        table(
            ["$", "session", "agent", "why"],
            [(say_figure.usd(x.cost_nano), x.session.session, x.session.agent or "-", x.why) for x in board.leaders],
            right=(0,),
        )


def _nobody(seen_ns: int | None, now_ns: int) -> str:
    since = f" for {say_figure.age(now_ns - seen_ns)}" if seen_ns is not None else ""
    return f"nobody collects{since}"


def _line(name: str, row: AgentRow, kills: list[Kill], as_of_ns: int) -> tuple[str, ...]:
    own = row.figures
    kill = kill_of(row.agent, kills)
    return (
        f"{GLYPHS[name]} {WORDS[name]}",
        row.agent or "(no name)",
        say_figure.count(own.runs),
        say_figure.percent_figure(own.success_rate),
        say_figure.duration(own.p50_ns),
        say_figure.duration(own.p99_ns),
        say_figure.count(own.errors),
        say_figure.usd(own.cost_nano),
        say_figure.usd(own.burn_nano_per_hour),
        "on"
        if kill is None
        else f"{'OFF' if kill.verb == 'halt' else 'deny'} {say_figure.age(time.time_ns() - kill.at_ns)}",
        say_figure.age(None if row.last_seen_ns is None else as_of_ns - row.last_seen_ns),
    )


def _breaker(kill: Kill | None) -> str:
    if kill is None:
        return "closed"
    return "open" if kill.verb == "halt" else "half_open"


def _figures(figures: Figures) -> FiguresShape:
    from console.cli.schemas import FiguresShape

    return FiguresShape.model_validate(_figure_values(figures))


def _figure_values(figures: Figures) -> dict[str, int | float | None]:
    return {
        "runs": figures.runs,
        "running": figures.running,
        "p50_ms": figures.p50_ns,
        "p95_ms": figures.p95_ns,
        "p99_ms": figures.p99_ns,
        "success_rate": figures.success_rate,
        "errors": figures.errors,
        "cost_usd": figures.cost_nano,
        "burn_usd_per_hour": figures.burn_nano_per_hour,
        "coverage": figures.coverage,
        "unpriced": figures.unpriced,
    }


def _shape(board: Board, kills: list[Kill], uptime: dict[str, float | None]) -> StatusShape:
    from console.cli.schemas import AgentShape, CoverageShape, LeaderShape, StatusShape, WindowShape

    cover = board.coverage
    return StatusShape(
        as_of=board.as_of_ns,
        window=WindowShape(start=board.window.from_ns, end=board.window.to_ns, label=board.window.label),
        fleet=_figures(board.fleet),
        today_usd=board.today_nano,
        agents=[
            AgentShape.model_validate(
                {
                    **_figure_values(row.figures),
                    "agent": row.agent,
                    "lamp": name,
                    "last_seen": row.last_seen_ns,
                    "breaker": _breaker(kill_of(row.agent, kills)),
                    "infra_uptime": uptime.get(row.agent),
                }
            )
            for name, row in by_trouble(board, kills)
        ],
        cost_leaders=[
            LeaderShape(session=x.session.session, agent=x.session.agent, cost_usd=x.cost_nano, why=x.why)
            for x in board.leaders
        ],
        coverage=CoverageShape(
            newest=cover.newest_ns,
            future=cover.future,
            rejects=cover.rejects,
            gaps=cover.gaps,
            gap_bytes=cover.gap_bytes,
            sources=cover.sources,
            collector_alive=cover.collector_alive,
            collector_seen=cover.collector_seen_ns,
            lag_ms=cover.lag_ns,
        ),
    )
