"""The board in words: a frozen answer of the store becomes rows. No Textual here."""

from __future__ import annotations

from collections.abc import Sequence

from console.lamp import BY_TROUBLE, GLYPHS, TONES, WORDS, kill_of, lamp
from console.widgets import figures
from console.widgets.figures import age, count, duration, percent, percent_figure, usd
from console.widgets.rows import Cell, Column, Row, text_row
from runbooks.switches.model import Kill
from store.registry.model import Registry
from store.telemetry.views import AgentRow, Board, CostLeader, Coverage, SessionRow

AGENT_COLUMNS = (
    Column("  lamp", 7, gap=1),
    Column("agent", 0),
    Column("runs", 6, right=True),
    Column("live", 5, right=True, since=106),
    Column("ok %", 5, right=True, since=42),
    Column("p50", 6, right=True, since=73),
    Column("p95", 6, right=True, since=92),
    Column("p99", 6, right=True),
    Column("err", 5, right=True, since=100),
    Column("$/run", 7, right=True, since=80),
    Column("$/h", 7, right=True, since=50),
    Column("switch", 8, gap=2, since=66),
    Column("seen", 5, right=True, since=56),
)
LEADER_COLUMNS = (
    Column("", 8, right=True),
    Column("", 9, gap=2),
    Column("", 13, gap=1, since=60),
    Column("", 0, gap=2),
)
ORDERS = ("trouble", "cost", "name")


def fleet_rows(board: Board, standing: Sequence[Kill], incidents_open: int | None) -> list[Row]:
    """What the fleet does, what it costs, what needs a hand."""
    fleet, cover = board.fleet, board.coverage
    rate = fleet.success_rate
    ok_tone = "" if rate is None or rate >= 0.97 else "bad" if rate < 0.90 else "warn"
    first = text_row(
        Cell(board.window.label, "strong"),
        f"  runs {count(fleet.runs)} + {count(fleet.running)} live  ",
        Cell(f"ok {percent(rate)}", ok_tone),
        f"  p50 {duration(fleet.p50_ns)}  p95 {duration(fleet.p95_ns)}  p99 {duration(fleet.p99_ns)}",
        f"  cover {percent(fleet.coverage, 0)}",
    )
    unpriced = fleet.unpriced / fleet.llm_calls if fleet.llm_calls else None
    second = text_row(
        Cell("cost", "strong"),
        f" {usd(fleet.burn_nano_per_hour)} $/h   today {usd(board.today_nano)} $   "
        f"in {board.window.label} {usd(fleet.cost_nano)} $   ",
        Cell(f"unpriced {_share(unpriced)}", "warn" if fleet.unpriced else ""),
        f"   lag {duration(cover.lag_ns)}",
    )
    off = sum(kill.verb == "halt" for kill in standing)
    third = text_row(
        Cell(f"■ {off} off", "warn" if off else ""),
        "   " + ("" if incidents_open is None else figures.plural(incidents_open, "open incident") + "   "),
        Cell(f"{figures.plural(fleet.errors, 'error')}   ", "warn" if fleet.errors else ""),
        *_losses(cover),
    )
    return [first, second, third]


def _share(part: float | None) -> str:
    """A small part of something is not none of it."""
    return "<1%" if part is not None and 0 < part < 0.01 else percent(part, 0)


def _losses(cover: Coverage) -> list[Cell]:
    cells = [Cell(figures.plural(cover.gaps, "gap"), "bad" if cover.gaps else "")]
    cells.append(Cell(f"   {figures.plural(cover.rejects, 'line')} not read", "warn" if cover.rejects else ""))
    if cover.future:
        cells.append(Cell(f"   {count(cover.future)} from the future", "warn"))
    return cells


def sorted_agents(board: Board, standing: Sequence[Kill], order: str) -> list[AgentRow]:
    """The agents by trouble, cost or name."""

    def cost(row: AgentRow) -> int:
        return -(row.figures.cost_nano or 0)

    if order == "name":
        return sorted(board.agents, key=lambda row: row.agent)
    if order == "cost":
        return sorted(board.agents, key=lambda row: (cost(row), row.agent))
    return sorted(
        board.agents,
        key=lambda row: (BY_TROUBLE.index(lamp(row, standing, board.as_of_ns)), cost(row), row.agent),
    )


def agent_rows(board: Board, standing: Sequence[Kill], order: str) -> list[Row]:
    return [_agent_row(row, standing, board.as_of_ns) for row in sorted_agents(board, standing, order)]


def _agent_row(row: AgentRow, standing: Sequence[Kill], as_of_ns: int) -> Row:
    figure = row.figures
    word = lamp(row, standing, as_of_ns)
    per_run = figure.cost_nano // figure.runs if figure.cost_nano is not None and figure.runs else None
    seen_ns = None if row.last_seen_ns is None else as_of_ns - row.last_seen_ns
    return Row(
        f"agent:{row.agent}",
        (
            Cell(f"{GLYPHS[word]} {WORDS[word]}", TONES[word]),
            Cell(row.agent),
            Cell(count(figure.runs)),
            Cell(count(figure.running)),
            Cell(percent_figure(figure.success_rate), TONES[word] if word in {"bad", "warn"} else ""),
            Cell(duration(figure.p50_ns)),
            Cell(duration(figure.p95_ns)),
            Cell(duration(figure.p99_ns)),
            Cell(count(figure.errors), "warn" if figure.errors else ""),
            Cell(usd(per_run, 3)),
            Cell(usd(figure.burn_nano_per_hour)),
            _switch_cell(kill_of(row.agent, standing), as_of_ns),
            Cell(age(seen_ns)),
        ),
    )


def _switch_cell(kill: Kill | None, now_ns: int) -> Cell:
    if kill is None:
        return Cell("on")
    word = "OFF" if kill.verb == "halt" else "deny"
    return Cell(f"{word} {age(max(0, now_ns - kill.at_ns))}", "warn")


def leader_rows(leaders: Sequence[CostLeader]) -> list[Row]:
    return [
        Row(
            f"session:{leader.session.session}",
            (
                Cell(usd(leader.cost_nano) + " $"),
                Cell(leader.session.session),
                Cell(leader.session.agent or "?"),
                Cell(leader.why),
            ),
        )
        for leader in leaders
    ]


def empty_rows(board: Board) -> list[Row]:
    """No agent is known: what we know of why, and what to do."""
    cover = board.coverage
    if cover.newest_ns is None:
        first = "No record yet."
    else:
        first = f"No agent in the last {board.window.label}. Newest record {age(board.as_of_ns - cover.newest_ns)} ago."
    collector = "Collector alive" if cover.collector_alive else "Nobody collects"
    second = f"{collector}, {figures.plural(cover.sources, 'source')}."
    hint = (
        "Press t for a longer window."
        if cover.newest_ns is not None
        else "Give it logs:  andon collect PATH    or look at a made-up fleet:  andon demo"
    )
    return [text_row(""), text_row(f"  {first} {second}"), text_row(f"  {hint}")]


def pane_rows(
    agent: str, registry: Registry, kill: Kill | None, sessions: Sequence[SessionRow], now_ns: int
) -> list[Row]:
    """The second pane: who answers for the agent, and its newest sessions."""
    entry = registry.agents.get(agent)
    rows = [text_row(Cell(agent, "strong"))]
    if entry is None:
        rows += [text_row(Cell("not declared in agents.toml:", "warn")), text_row("  no owner, its tools are unmapped")]
    else:
        writes = sum(tool.tier != "read" for tool in entry.tools.values())
        rows += [
            text_row(f"owner    {entry.owner or '?'}"),
            text_row(f"on call  {entry.on_call or '?'}"),
            text_row(f"may stop {entry.may_stop or 'not said'}"),
            text_row(f"runbook  {entry.runbook or 'runaway-loop'}"),
            text_row(f"tools    {len(entry.tools)} declared, {writes} write"),
        ]
    if kill is not None:
        rows += [text_row(Cell(f"■ {kill.verb} by {kill.by}", "warn")), text_row(f"  {kill.reason}")]
    rows.append(text_row(""))
    rows.append(text_row(Cell("newest sessions", "dim")))
    for session in sessions:
        seen = age(now_ns - session.ended_ns) if session.ended_ns is not None else figures.UNKNOWN
        rows.append(
            text_row(
                f"{session.session[:9]:<9} {session.status:<9} ",
                right=(Cell(f"{usd(session.cost_nano)} $ {seen:>4}"),),
            )
        )
    return rows
