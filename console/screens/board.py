"""The first screen: how is the fleet, which agent needs a hand, what costs most."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from console import keys
from console.lamp import kill_of
from console.questions import AskBoard, AskIncidents, AskSessions
from console.screens import board_rows
from console.screens.base import Look
from console.target import Target
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Row, rule, text_row
from store.control.control import Incident
from store.telemetry.views import Board, SessionFilter, SessionRow

WINDOWS = ("15m", "1h", "24h", "7d")
PANE_SESSIONS = 20


class BoardScreen(Look):
    BINDINGS = keys.bindings(
        "open", "stop", "arm", "blast", "runbook", "sessions", "export", "window", "order", "incident"
    )
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (17, "-tall")]
    DEFAULT_CSS = """
    BoardScreen #fleet { height: 3; }
    BoardScreen .rule { height: 1; }
    BoardScreen #main { height: 1fr; min-height: 3; }
    BoardScreen #leaders { height: auto; max-height: 5; }
    BoardScreen #alerts { height: 1; }
    BoardScreen #pane { display: none; width: 38; height: 1fr; margin-left: 2; }
    BoardScreen.-wide #pane { display: block; }
    BoardScreen.-short #fleet { height: 2; }
    BoardScreen.-short #low { display: none; }
    BoardScreen #low { height: auto; }
    BoardScreen #middle { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._board: Board | None = None
        self._order = board_rows.ORDERS[0]
        self._incidents: tuple[Incident, ...] | None = None
        self._sessions: tuple[SessionRow, ...] = ()

    def body(self) -> ComposeResult:
        ascii_only = self.ascii_only
        yield Lines(cursor=False, ascii_only=ascii_only, id="fleet")
        yield Lines(cursor=False, ascii_only=ascii_only, id="agents-rule", classes="rule")
        with Horizontal(id="middle"):
            yield Lines(board_rows.AGENT_COLUMNS, leads=True, ascii_only=ascii_only, id="main")
            yield Lines(cursor=False, ascii_only=ascii_only, id="pane")
        with Vertical(id="low"):
            yield Lines(cursor=False, ascii_only=ascii_only, id="leaders-rule", classes="rule")
            yield Lines(board_rows.LEADER_COLUMNS, titles=False, ascii_only=ascii_only, id="leaders")
            yield Lines(cursor=False, ascii_only=ascii_only, id="alerts-rule", classes="rule")
            yield Lines(cursor=False, ascii_only=ascii_only, id="alerts")

    def on_mount(self) -> None:
        self.lines("fleet").show([text_row("reading…")])
        self.lines("main").show([text_row("  reading…")])
        self.lines("agents-rule").show([rule("agents")])
        self.lines("leaders-rule").show([rule("cost leaders")])
        self.lines("alerts-rule").show([rule("alerts")])
        self.lines("alerts").show(
            [text_row("  none are judged yet in this version: go by the lamps and the cost leaders")]
        )

    # asking and drawing

    def ask_all(self) -> None:
        self.ask("board", AskBoard(self.andon.window))
        self.ask("incidents", AskIncidents())
        self._ask_pane()

    def answered(self, part: str, answer: object) -> None:
        if part == "board" and isinstance(answer, Board):
            self._board = answer
            self._draw()
        elif part == "incidents" and isinstance(answer, tuple):
            self._incidents = answer
            self._draw()
        elif part == "pane" and isinstance(answer, tuple):
            self._sessions = answer
            self._draw_pane()

    def standing_changed(self) -> None:
        self._draw()

    def _draw(self) -> None:
        board = self._board
        if board is None or not self.is_whole:
            return
        standing = self.andon.standing
        still_open = None if self._incidents is None else sum(line.closed_ns is None for line in self._incidents)
        self.lines("fleet").show(board_rows.fleet_rows(board, standing, still_open))
        rows = board_rows.agent_rows(board, standing, self._order) or board_rows.empty_rows(board)
        main = self.lines("main")
        main.show(rows, keep_order=True)
        self._draw_rule()
        leaders = board_rows.leader_rows(board.leaders[:5])
        self.lines("leaders").show(
            leaders or [text_row(f"  nothing with a price ended in the last {board.window.label}")], keep_order=True
        )
        self.lines("leaders-rule").show([rule(f"cost leaders, {board.window.label}", "why")])
        self._draw_pane()

    def _draw_rule(self) -> None:
        board = self._board
        if board is not None:
            at = self.lines("main").place
            where = f"{at} of {len(board.agents)}" if at else f"{len(board.agents)}"
            self.lines("agents-rule").show([rule("agents", f"by {self._order} ── {where}")])

    def _draw_pane(self) -> None:
        board, agent = self._board, self._agent()
        rows: list[Row] = []
        if board is not None and agent is not None:
            kill = kill_of(agent, self.andon.standing)
            sessions = [row for row in self._sessions if row.agent == agent]
            # the pane is asked apart from the board and may know something newer
            as_of_ns = max([board.as_of_ns, *(row.ended_ns or 0 for row in sessions)])
            rows = board_rows.pane_rows(agent, self.context.registry, kill, sessions, as_of_ns)
        self.lines("pane").show(rows or [text_row(Cell("", "dim"))])

    def _ask_pane(self) -> None:
        agent = self._agent()
        if agent is not None and self.has_class("-wide"):
            self.ask("pane", AskSessions(SessionFilter(agent=agent, limit=PANE_SESSIONS)))

    @on(Lines.Moved, "#main")
    def _moved(self) -> None:
        self._draw_rule()
        self._draw_pane()
        self._ask_pane()

    # keys

    def _agent(self) -> str | None:
        kind, _, name = self.lines("main").key.partition(":")
        return name if kind == "agent" else None

    def target(self) -> Target | None:
        focused = self.focused_lines()
        if focused is not None and focused.id == "leaders" and self._board is not None:
            session = focused.key.partition(":")[2]
            for leader in self._board.leaders:
                if leader.session.session == session:
                    row = leader.session
                    return Target(row.agent, session, row.tenant_id, row.user_id, narrow=True)
        agent = self._agent()
        return Target(agent) if agent is not None else None

    def action_open(self) -> None:
        target = self.target()
        if target is None:
            return
        if target.session is not None:
            self.andon.open_session(target.session, target.agent)
        else:
            self.andon.open_sessions(target)

    def action_order(self) -> None:
        index = board_rows.ORDERS.index(self._order)
        self._order = board_rows.ORDERS[(index + 1) % len(board_rows.ORDERS)]
        if self._board is not None:
            self.lines("main").show(board_rows.agent_rows(self._board, self.andon.standing, self._order))
            self.lines("main").action_edge(last=False)
            self._draw_rule()

    def action_window(self) -> None:
        index = WINDOWS.index(self.andon.window) if self.andon.window in WINDOWS else 0
        self.andon.window = WINDOWS[(index + 1) % len(WINDOWS)]
        self.ask("board", AskBoard(self.andon.window))
