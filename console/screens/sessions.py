"""The sessions, newest first, with a filter."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult

from console import keys
from console.questions import AskSessions
from console.screens import sessions_rows
from console.screens.base import Look
from console.target import Target
from console.widgets.fields import PlainInput
from console.widgets.lines import Lines
from console.widgets.rows import rule, text_row
from store.telemetry.views import SessionFilter, SessionRow

LIMIT = 1000


class SessionsScreen(Look):
    BINDINGS = keys.bindings("open", "stop", "arm", "blast", "runbook", "incident", "export", "find", "order")
    DEFAULT_CSS = """
    SessionsScreen #rule { height: 1; }
    SessionsScreen #main { height: 1fr; }
    SessionsScreen #filter { dock: bottom; display: none; margin-bottom: 1; }
    """
    crumbs: tuple[str, ...] = ("sessions",)

    def __init__(self, agent: str | None = None) -> None:
        super().__init__()
        self._filter_text = f"agent:{agent}" if agent and not agent.split()[1:] else ""
        self._wanted = SessionFilter(agent=agent, limit=LIMIT)
        self._sessions: dict[str, SessionRow] = {}
        if agent:
            self.crumbs = (agent, "sessions")

    def body(self) -> ComposeResult:
        yield Lines(cursor=False, ascii_only=self.ascii_only, id="rule")
        yield Lines(sessions_rows.COLUMNS, leads=True, ascii_only=self.ascii_only, id="main")
        yield PlainInput(id="filter")

    def on_mount(self) -> None:
        self.lines("rule").show([rule("sessions")])
        self.lines("main").show([text_row("  reading…")])

    def ask_all(self) -> None:
        self.ask("sessions", AskSessions(self._wanted))

    def answered(self, part: str, answer: object) -> None:
        if part != "sessions" or not isinstance(answer, tuple):
            return
        self._sessions = {row.session: row for row in answer}
        rows = sessions_rows.session_rows(answer, self.seen_ns, self.context.tz)
        self.lines("main").show(rows or sessions_rows.empty_rows(self._filter_text), keep_order=True)
        self._draw_rule()

    @on(Lines.Moved, "#main")
    def _draw_rule(self) -> None:
        number = len(self._sessions)
        more = "+" if number >= LIMIT else ""
        place = self.lines("main").place
        where = f"{place} of {number:,}{more}" if place else f"{number}{more}"
        title = f"sessions  {self._filter_text}" if self._filter_text else "sessions"
        self.lines("rule").show([rule(title, f"by {self._wanted.order} ── {where}")])

    def target(self) -> Target | None:
        row = self._sessions.get(self.lines("main").key)
        return None if row is None else Target(row.agent, row.session, row.tenant_id, row.user_id, narrow=True)

    def action_open(self) -> None:
        row = self._sessions.get(self.lines("main").key)
        if row is not None:
            self.andon.open_session(row.session, row.agent)

    def action_order(self) -> None:
        index = sessions_rows.ORDERS.index(self._wanted.order)
        order = sessions_rows.ORDERS[(index + 1) % len(sessions_rows.ORDERS)]
        self._ask_for(sessions_rows.parse_filter(self._filter_text, SessionFilter(order=order, limit=LIMIT)))

    def _ask_for(self, wanted: SessionFilter) -> None:
        self._wanted = wanted
        self.lines("main").action_edge(last=False)
        self.ask_all()
        self._draw_rule()

    # the filter

    def action_find(self) -> None:
        field = self.query_one("#filter", PlainInput)
        field.placeholder = sessions_rows.FILTER_HELP
        field.value = self._filter_text
        field.display = True
        field.focus()

    @on(PlainInput.Submitted, "#filter")
    def _find(self, event: PlainInput.Submitted) -> None:
        self._filter_text = event.value.strip()
        self._close_filter()
        base = SessionFilter(order=self._wanted.order, limit=LIMIT)
        self._ask_for(sessions_rows.parse_filter(self._filter_text, base))

    def _close_filter(self) -> None:
        self.query_one("#filter").display = False
        self.lines("main").focus()

    def action_back(self) -> None:
        if self.query_one("#filter").display:
            self._close_filter()
        else:
            super().action_back()
