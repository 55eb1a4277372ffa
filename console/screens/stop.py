"""Stop: a frozen target, what it hits, a short code; then, from a thread of its own, how far it is proven."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from console.questions import AskProgress, AskStopFacts, StopFacts
from console.reader_worker import problem_of
from console.screens import stop_rows
from console.screens.dialog import Dialog
from console.target import Target, scope_text
from console.views import Stopped
from console.widgets.fields import Choice, PlainInput
from console.widgets.rows import Cell, Row, text_row
from runbooks.switches.model import VERBS, Kill, StopProgress
from store.record.scope import Scope

VERB_WORDS = {"halt": "halt", "deny_tools": "deny tools only"}
PROGRESS_EVERY_S = 0.25


class StopScreen(Dialog):
    """The target is the one of the moment that the key was pressed; nothing that arrives changes it."""

    HEADING = " STOP "
    AUTO_FOCUS: ClassVar[str | None] = "#code"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._scopes: tuple[Scope, ...] = target.stoppable()
        self.agent = target.agent
        self.code = ""
        self.kill: Kill | None = None
        self._sent = False
        self.progress: StopProgress | None = None

    @property
    def scope(self) -> Scope:
        return self._scopes[self.query_one("#scope", Choice).index]

    @property
    def verb(self) -> str:
        return VERBS[self.query_one("#verb", Choice).index]

    def body(self) -> ComposeResult:
        self.code = self.andon.make_code()
        ascii_only = self.ascii_only
        yield self.text("who")
        yield self.text("facts", text_row("reading…"), classes="spare")
        yield self.text("gap", text_row(""), classes="spare")
        yield self.field("scope", Choice([scope_text(s) for s in self._scopes], id="scope", ascii_only=ascii_only))
        words = [VERB_WORDS[verb] for verb in VERBS]
        yield self.field("how", Choice(words, id="verb", ascii_only=ascii_only))
        yield self.field("reason", PlainInput(id="reason"))
        yield self.field(f"type {self.code}", PlainInput(id="code", max_length=len(self.code)))
        yield self.text("result", text_row(""))
        yield self.text("hint", self._hint())

    def _hint(self, words: str = "Esc leave it running") -> Row:
        return text_row(Cell("Tab other fields", "dim"), right=(Cell(words),))

    def on_mount(self) -> None:
        self._scope_changed()

    @on(Choice.Chosen, "#scope")
    def _scope_changed(self) -> None:
        scope = self.scope
        self.lines("who").show(stop_rows.target_rows(scope, self.context.registry))
        self.lines("facts").show([text_row("reading…")])
        self.ask("facts", AskStopFacts(scope))

    def answered(self, part: str, answer: object) -> None:
        if part == "facts" and isinstance(answer, StopFacts):
            self.lines("facts").show(stop_rows.fact_rows(answer))
        elif part == "progress" and isinstance(answer, StopProgress):
            self.progress = answer
            self._draw_progress(answer)

    def _draw_progress(self, progress: StopProgress) -> None:
        self.lines("result").show(stop_rows.progress_rows(progress, self.andon.clock(), self.context.tz))

    # the code is the confirmation

    @on(PlainInput.Changed, "#code")
    def _typed(self, event: PlainInput.Changed) -> None:
        typed = event.value.strip().upper()
        if self._sent or len(typed) < len(self.code):
            return
        if typed == self.code:
            self._stop()
        else:
            event.input.value = ""
            self.lines("result").show([text_row(Cell(f"! that was not {self.code}: nothing was stopped", "warn"))])

    @on(PlainInput.Submitted, "#reason")
    def _to_code(self) -> None:
        self.query_one("#code").focus()

    def _stop(self) -> None:
        self._sent = True
        scope, verb = str(self.scope), self.verb
        reason = self.query_one("#reason", PlainInput).value.strip() or "no reason given"
        for name in ("scope", "verb", "reason", "code"):
            self.query_one(f"#{name}").disabled = True
        self.lines("result").show([text_row(Cell("… REQUESTED", "warn"))])
        actions = self.andon.actions

        def then(result: object) -> None:
            if isinstance(result, Stopped):
                self._written(result)
            elif self.is_whole:
                problem = problem_of(result) if isinstance(result, Exception) else str(result)
                self._failed(problem)

        self.andon.do(lambda: actions.stop(scope, verb, reason, self.agent), then)

    def _written(self, result: Stopped) -> None:
        if result.problem is not None:
            self.andon.say(result.problem, "bad")
        if not self.is_whole:
            return
        self.kill = result.kill
        self.ask("progress", AskProgress(result.kill, result.written_ms), PROGRESS_EVERY_S)
        for field in self.query(".field"):
            field.display = False
        self.lines("facts").display = False
        incident = f"   incident {result.incident}" if result.incident is not None else ""
        self.lines("hint").show([self._hint_after(incident)])

    def _hint_after(self, incident: str) -> Row:
        return text_row(Cell("the stop stands when this is closed" + incident, "dim"), right=(Cell("Esc close"),))

    def _failed(self, problem: str) -> None:
        self.lines("result").show(
            [
                text_row(Cell("✖ NOT WRITTEN: nothing was stopped", "bad")),
                text_row(Cell(problem, "bad")),
                text_row(f"by hand, it stops everything:  touch {self.context.store.switches / 'STOP'}"),
            ]
        )
