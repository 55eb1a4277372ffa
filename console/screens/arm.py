"""Start again what is stopped: which stop, why, and a code. It starts nothing by itself."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from console.reader_worker import problem_of
from console.screens.dialog import Dialog
from console.widgets import figures
from console.widgets.fields import Choice, PlainInput
from console.widgets.rows import Cell, Row, text_row
from runbooks.switches.model import Kill


class ArmScreen(Dialog):
    """The list of stops is the one of the moment that the key was pressed."""

    HEADING = " ARM: let it run again "
    AUTO_FOCUS: ClassVar[str | None] = "#reason"

    def __init__(self, kills: tuple[Kill, ...]) -> None:
        super().__init__()
        self._kills = kills
        self.code = ""
        self._sent = False

    @property
    def kill(self) -> Kill:
        return self._kills[self.query_one("#which", Choice).index]

    def body(self) -> ComposeResult:
        self.code = self.andon.make_code()
        which = Choice([kill.shown or kill.scope for kill in self._kills], id="which", ascii_only=self.ascii_only)
        yield self.field("stop", which)
        yield self.text("facts")
        yield self.text("gap", text_row(""), classes="spare")
        yield self.field("reason", PlainInput(id="reason"))
        yield self.field(f"type {self.code}", PlainInput(id="code", max_length=len(self.code)))
        yield self.text("result", text_row(""))
        yield self.text("hint", text_row(Cell("Tab other fields", "dim"), right=(Cell("Esc leave it off"),)))

    def on_mount(self) -> None:
        self._draw()

    @on(Choice.Chosen, "#which")
    def _draw(self) -> None:
        kill = self.kill
        since = figures.age(max(0, self.andon.clock() - kill.at_ns))
        self.lines("facts").show(
            [
                _line("scope", Cell(kill.shown or kill.scope, "strong")),
                _line("off", f"asked {since} ago by {kill.by} ({kill.verb})"),
                _line("because", kill.reason),
                _line("kill id", kill.kill_id),
            ]
        )

    @on(PlainInput.Submitted, "#reason")
    def _to_code(self) -> None:
        self.query_one("#code").focus()

    @on(PlainInput.Changed, "#code")
    def _typed(self, event: PlainInput.Changed) -> None:
        typed = event.value.strip().upper()
        if self._sent or len(typed) < len(self.code):
            return
        if typed != self.code:
            event.input.value = ""
            self._say(Cell(f"! that was not {self.code}: it stays off", "warn"))
        elif not self.query_one("#reason", PlainInput).value.strip():
            event.input.value = ""
            self._say(Cell("! starting again takes a reason", "warn"))
            self.query_one("#reason").focus()
        else:
            self._arm()

    def _arm(self) -> None:
        self._sent = True
        kill, reason = self.kill, self.query_one("#reason", PlainInput).value.strip()
        for name in ("which", "reason", "code"):
            self.query_one(f"#{name}").disabled = True
        actions = self.andon.actions

        def then(result: object) -> None:
            if isinstance(result, Exception):
                self.andon.say(problem_of(result), "bad")
                if self.is_whole:
                    self._say(Cell("✖ NOT RE-ARMED: ", "bad"), Cell(problem_of(result), "bad"))
            else:
                self.andon.say(f"re-armed {kill.shown or kill.scope}: it may run again; nothing was started by this")
                if self.is_whole:
                    self.dismiss()

        self.andon.do(lambda: actions.rearm(kill, reason), then)

    def _say(self, *cells: Cell) -> None:
        self.lines("result").show([text_row(*cells)])


def _line(label: str, *cells: Cell | str) -> Row:
    return text_row(Cell(f"{label:<9}", "dim"), *cells)
