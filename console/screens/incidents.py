"""The incidents, newest first."""

from __future__ import annotations

from textual.app import ComposeResult

from console import keys
from console.questions import AskIncidents
from console.screens.base import Look
from console.target import Target
from console.widgets.figures import age
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Column, Row, rule, text_row
from store.control.control import Incident

COLUMNS = (
    Column("   no", 6),
    Column("state", 9),
    Column("sev", 5, since=48),
    Column("age", 5, right=True),
    Column("agent", 18, gap=2, since=60),
    Column("title", 0, gap=2),
    Column("opened by", 22, gap=2, since=100),
)


class IncidentsScreen(Look):
    BINDINGS = keys.bindings("open", "stop", "arm", "blast", "export")
    DEFAULT_CSS = """
    IncidentsScreen #rule { height: 1; }
    IncidentsScreen #main { height: 1fr; }
    """
    crumbs = ("incidents",)

    def __init__(self) -> None:
        super().__init__()
        self._incidents: dict[str, Incident] = {}

    def body(self) -> ComposeResult:
        yield Lines(cursor=False, ascii_only=self.ascii_only, id="rule")
        yield Lines(COLUMNS, leads=True, ascii_only=self.ascii_only, id="main")

    def on_mount(self) -> None:
        self.lines("rule").show([rule("incidents")])
        self.lines("main").show([text_row("  reading…")])

    def ask_all(self) -> None:
        self.ask("incidents", AskIncidents())

    def answered(self, part: str, answer: object) -> None:
        if part != "incidents" or not isinstance(answer, tuple):
            return
        self._incidents = {str(one.id): one for one in answer}
        now_ns = self.andon.clock()
        rows = [_row(one, now_ns) for one in answer]
        empty = [text_row(""), text_row("  No incident. i on the board opens one; so does a stop.")]
        self.lines("main").show(rows or empty, keep_order=True)
        still_open = sum(one.closed_ns is None for one in answer)
        self.lines("rule").show([rule("incidents", f"{still_open} open of {len(answer)}")])

    def _chosen(self) -> Incident | None:
        return self._incidents.get(self.lines("main").key)

    def target(self) -> Target | None:
        chosen = self._chosen()
        if chosen is None:
            return None
        return Target(chosen.agent, chosen.session, narrow=chosen.agent is None, incident=chosen.id)

    def action_open(self) -> None:
        chosen, target = self._chosen(), self.target()
        if chosen is not None and target is not None:
            self.andon.open_incident_screen(chosen.id, chosen.runbook, target)


def _row(incident: Incident, now_ns: int) -> Row:
    is_open = incident.closed_ns is None
    return Row(
        str(incident.id),
        (
            Cell(f"{incident.id:>5}"),
            Cell("! open" if is_open else "✔ closed", "warn" if is_open else ""),
            Cell(incident.severity),
            Cell(age(now_ns - incident.opened_ns)),
            Cell(incident.agent or incident.scope),
            Cell(incident.title),
            Cell(incident.opened_by),
        ),
    )
