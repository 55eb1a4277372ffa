"""The console as an application: it wires screens, the thread that reads, and what keys do. Drawing is elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import signal
import time
from collections.abc import Callable
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from console.actions import Actions
from console.context import Context
from console.questions import AskPulse, Pulse
from console.reader_worker import Answered, OpenReader, ReaderThread, Unanswered, problem_of
from console.screens.arm import ArmScreen
from console.screens.base import Look, age_cell
from console.screens.blast import BlastScreen
from console.screens.board import BoardScreen
from console.screens.export import ExportScreen
from console.screens.help import HelpScreen
from console.screens.incident import IncidentScreen
from console.screens.incidents import IncidentsScreen
from console.screens.leave import LeaveScreen
from console.screens.palette import PaletteScreen
from console.screens.session import SessionScreen
from console.screens.sessions import SessionsScreen
from console.screens.stop import StopScreen
from console.target import Target
from console.widgets import figures
from console.widgets.rows import Cell, Row, text_row
from console.widgets.sanitise import one_line, wrap
from runbooks.playbooks.load import Playbook
from runbooks.switches.model import Kill
from store.control.control import Incident

CODE_LETTERS = "ACDEFGHJKLMNPQRTUVWXY34679"  # none that is read as another
PULSE = (0, "pulse")
SAID_FOR_S = 8.0
BANNER_FOR_S = 30.0


class AndonApp(App[None], inherit_bindings=False):
    """`open_reader` opens one reader for the one thread that asks; `clock` is the wall clock in ns."""

    TITLE = "Andon"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", "quit", show=False),
        Binding("tab", "focus_next", "next", show=False),
        Binding("shift+tab", "focus_previous", "before", show=False),
    ]
    CSS = """
    Screen { layers: base; }
    """

    def __init__(
        self,
        context: Context,
        *,
        open_reader: OpenReader,
        actions: Actions | None = None,
        clock: Callable[[], int] = time.time_ns,
        make_code: Callable[[], str] | None = None,
        for_s: float | None = None,
    ) -> None:
        super().__init__()
        self.context = context
        self.actions = actions or Actions(context)
        self.clock = clock
        self.make_code = make_code or _code
        self._for_s = for_s
        self.window = "1h"
        self.paused_ns: int | None = None
        self.pulse: Pulse | None = None
        self._problem: str | None = None
        self._said: Row | None = None
        self._banner = list(context.banner)
        self.worker_thread = ReaderThread(context, self.actions, open_reader, self.post_message, clock)

    # life

    def get_default_screen(self) -> Screen[None]:
        return BoardScreen()

    def on_mount(self) -> None:
        self.worker_thread.ask(PULSE, AskPulse())
        self.worker_thread.start()
        self.set_interval(1.0, self._tick)
        self.set_timer(BANNER_FOR_S, self._end_banner)
        if self._for_s is not None:
            self.set_timer(self._for_s, self.exit)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, self.exit)
            except (RuntimeError, ValueError, NotImplementedError) as error:
                # Only the main thread may; there the driver puts the terminal back as it was.
                self.log(f"no handler for signal {number}: {error}")

    def _end_banner(self) -> None:
        self._banner.clear()
        self._redraw_messages()

    def on_unmount(self) -> None:
        self.worker_thread.close()

    # what arrives

    def on_answered(self, message: Answered) -> None:
        if self._problem is not None and message.slot != PULSE:
            self._problem = None
            self._redraw_messages()
        if message.slot == PULSE:
            assert isinstance(message.answer, Pulse)
            before, self.pulse = self.pulse, message.answer
            self._tick()
            if before is None or (before.problem, before.unsafe) != (self.pulse.problem, self.pulse.unsafe):
                self._redraw_messages()
            if before is None or before.standing != self.pulse.standing:
                self._on_looks(lambda look: look.standing_changed())
            return
        serial, part = message.slot
        for screen in self.screen_stack:
            taker = getattr(screen, "take", None)
            if taker is not None and getattr(screen, "serial", None) == serial:
                taker(part, message.question, message.answer, message.at_ns)

    def on_unanswered(self, message: Unanswered) -> None:
        if message.problem != self._problem:
            self._problem = message.problem
            self._redraw_messages()
        for screen in self.screen_stack:
            if message.slot is not None and isinstance(screen, Look) and screen.serial == message.slot[0]:
                screen.unanswered()

    def _tick(self) -> None:
        self._on_looks(lambda look: look.draw_head())

    def _on_looks(self, act: Callable[[Look], None]) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, Look):
                act(screen)

    def _redraw_messages(self) -> None:
        self._on_looks(lambda look: look.draw_message())

    # what is said on every screen

    @property
    def standing(self) -> tuple[Kill, ...]:
        return self.pulse.standing if self.pulse else ()

    def moment_ns(self) -> int:
        """The moment that is looked at."""
        held = self.context.as_of_ns if self.context.as_of_ns is not None else self.paused_ns
        return self.clock() if held is None else held

    def header_state(self) -> tuple[Cell, Cell, Cell]:
        """(LIVE or what else, age of the newest record, time of day)."""
        moment_ns = self.moment_ns()
        clock = Cell(figures.clock(moment_ns, self.context.tz))
        if self.context.as_of_ns is not None:
            state = Cell("■ AS OF", "warn")
            clock = Cell(figures.day_clock(moment_ns, self.context.tz), "warn")
        elif self.paused_ns is not None:
            state = Cell("■ PAUSED", "warn")
        elif self.pulse is not None and self.pulse.problem is not None:
            state = Cell("✖ NO STORE", "bad")
        elif self.pulse is not None and not self.pulse.collector.alive:
            state = Cell("! NOT COLLECTING", "warn")
        else:
            state = Cell("● LIVE")
        age = Cell("reading…") if self.pulse is None else age_cell(self.pulse.newest_ns, moment_ns)
        return state, age, clock

    def message_rows(self, width: int) -> list[Row]:
        """What every screen says under its first line; a problem is said whole, over several lines."""
        pulse = self.pulse
        problems = (pulse.unsafe if pulse else None, (pulse.problem if pulse else None) or self._problem)
        rows = [
            text_row(Cell("  " if index else "✖ ", "bad"), Cell(line, "bad"))
            for problem in problems
            if problem is not None
            for index, line in enumerate(wrap(one_line(problem), max(20, width - 3)))
        ]
        if self._said is not None:
            rows.append(self._said)
        elif self._banner:
            rows.append(text_row(Cell("! ", "warn"), Cell(" · ".join(self._banner), "warn")))
        return rows

    def say(self, text: str, tone: str = "") -> None:
        """One line under the head for a few seconds; also takes the place of the banner."""
        self._said = row = text_row(Cell("ⓘ " if not tone else "✖ ", tone), Cell(text, tone))
        self._banner.clear()
        self._redraw_messages()

        def unsay() -> None:
            if self._said is row:
                self._said = None
                self._redraw_messages()

        self.set_timer(SAID_FOR_S if not tone else SAID_FOR_S * 3, unsay)

    # what keys do

    def do(self, deed: Callable[[], object], then: Callable[[object], None]) -> None:
        """Run a deed that touches files in a thread; `then` gets its result, or the error that it raised."""

        def run() -> None:
            result: object
            try:
                result = deed()
            except Exception as error:  # noqa: BLE001 - what went wrong is shown; the console lives
                result = error
            self.call_from_thread(then, result)

        self.run_worker(run, thread=True, exit_on_error=False, group="deeds")

    def done(self, words: Callable[[object], str]) -> Callable[[object], None]:
        """A `then` that says how it went."""

        def then(result: object) -> None:
            if isinstance(result, Exception):
                self.say(problem_of(result), "bad")
            else:
                self.say(words(result))

        return then

    def pause(self) -> None:
        if self.context.as_of_ns is not None:
            self.say("this console looks at one moment (--as-of); there is nothing to pause")
            return
        self.paused_ns = self.clock() if self.paused_ns is None else None
        self.worker_thread.hold(self.paused_ns)
        self._tick()

    def open_stop(self, target: Target) -> None:
        self.push_screen(StopScreen(target))

    def open_arm(self, target: Target) -> None:
        scopes = {str(scope) for kind, scope in target.scopes() if kind != "all"}
        fitting = tuple(kill for kill in self.standing if kill.scope in scopes)
        kills = fitting or self.standing
        if not kills:
            self.say("nothing is off, so there is nothing to start again")
            return
        self.push_screen(ArmScreen(kills))

    def open_session(self, session: str, agent: str | None) -> None:
        self.push_screen(SessionScreen(session, agent))

    def open_sessions(self, target: Target | None) -> None:
        self.push_screen(SessionsScreen(target.agent if target else None))

    def open_blast(self, target: Target) -> None:
        self.push_screen(BlastScreen(target))

    def open_export(self, target: Target) -> None:
        self.push_screen(ExportScreen(target))

    def open_incidents(self) -> None:
        self.push_screen(IncidentsScreen())

    def open_incident_screen(self, incident: int, runbook: str | None, target: Target) -> None:
        """Show an incident with the runbook that it was opened with."""

        def then(result: object) -> None:
            if isinstance(result, Exception):
                self.say(problem_of(result), "bad")
            else:
                book = result.get(runbook or "") if isinstance(result, dict) else None
                self.push_screen(IncidentScreen(incident, book, dataclasses.replace(target, incident=incident)))

        self.do(self.actions.playbooks, then)

    def open_runbook(self, target: Target) -> None:
        """The newest open incident of the target, else the runbook to read."""
        scopes = [str(scope) for _, scope in target.scopes()]

        def find() -> tuple[Incident | None, Playbook | None]:
            return self.actions.find_open_incident(scopes, target.agent), self.actions.runbook_of(target.agent)

        def then(result: object) -> None:
            if isinstance(result, tuple):
                incident, book = result
                if incident is None:
                    self.push_screen(IncidentScreen(None, book, target))
                else:
                    self.open_incident_screen(incident.id, incident.runbook, target)
            else:
                self.say(problem_of(result) if isinstance(result, Exception) else str(result), "bad")

        self.do(find, then)

    def open_incident(self, target: Target) -> None:
        """Open an incident, or the one that is open already, and show its runbook."""
        scope = target.scopes()[0][1]
        actions = self.actions

        def opened() -> tuple[int, Playbook | None]:
            return actions.open_incident(str(scope), target.agent, "opened by hand"), actions.runbook_of(target.agent)

        def then(result: object) -> None:
            if isinstance(result, tuple):
                number, book = result
                self.push_screen(IncidentScreen(number, book, dataclasses.replace(target, incident=number)))
            else:
                self.say(problem_of(result) if isinstance(result, Exception) else str(result), "bad")

        self.do(opened, then)

    def open_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def open_palette(self, look: Look) -> None:
        self.push_screen(PaletteScreen(look))

    def action_leave(self) -> None:
        self.ask_to_leave()

    def ask_to_leave(self) -> None:
        self.push_screen(LeaveScreen())


def _code() -> str:
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(3))
