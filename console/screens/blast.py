"""Blast radius: what a scope wrote outside, where, and what cannot be taken back."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult

from console import keys
from console.questions import AskBlast
from console.screens import blast_rows
from console.screens.base import Look
from console.target import Target, scope_text
from console.widgets.lines import Lines
from console.widgets.rows import text_row
from runbooks.effects.blast import Blast


class BlastScreen(Look):
    BINDINGS = keys.bindings("stop", "arm", "runbook", "incident", "export", "scope")
    VERTICAL_BREAKPOINTS = [(0, "-short"), (17, "-tall")]
    DEFAULT_CSS = """
    BlastScreen #answer { height: 1; }
    BlastScreen #main { height: auto; max-height: 50%; }
    BlastScreen #detail { height: 1fr; }
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target
        self._scopes = target.scopes()
        self._index = 0
        self._blast: Blast | None = None
        self._say_scope()

    def _say_scope(self) -> None:
        self.crumbs = (scope_text(self._scopes[self._index][1]), "blast radius")

    def body(self) -> ComposeResult:
        yield Lines(cursor=False, ascii_only=self.ascii_only, id="answer")
        yield Lines(blast_rows.COLUMNS, leads=True, ascii_only=self.ascii_only, id="main")
        yield Lines(ascii_only=self.ascii_only, id="detail")

    def on_mount(self) -> None:
        self.lines("answer").show([text_row("reading…")])

    def ask_all(self) -> None:
        self.ask("blast", AskBlast(self._scopes[self._index][1]))

    def answered(self, part: str, answer: object) -> None:
        if part != "blast" or not isinstance(answer, Blast):
            return
        self._blast = answer
        self.lines("answer").show([blast_rows.answer_row(answer)])
        self.lines("main").show(blast_rows.system_rows(answer) or blast_rows.empty_rows(), keep_order=True)
        self._draw_detail()

    @on(Lines.Moved, "#main")
    def _draw_detail(self) -> None:
        if self._blast is not None:
            key = self.lines("main").key
            detail = self.lines("detail")
            detail.show(blast_rows.detail_rows(self._blast, key, self.context.tz, self.size.width) if key else [])

    def target(self) -> Target | None:
        return self._target

    def action_scope(self) -> None:
        """The next scope that the target has: agent, session, tenant, user, everything."""
        self._index = (self._index + 1) % len(self._scopes)
        self._say_scope()
        self.draw_head()
        self.ask_all()
