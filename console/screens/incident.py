"""An incident and its runbook: steps with who and when, what the step says, and the timeline."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Container

from console import keys
from console.questions import AskIncident
from console.screens.ask_text import AskTextScreen
from console.screens.base import Look
from console.target import Target
from console.views import IncidentView
from console.widgets.figures import age, clock
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Row, rule, text_row
from console.widgets.sanitise import block
from runbooks.playbooks.load import Playbook

DOES = {"K": "stop", "A": "arm", "b": "blast", "e": "export", "n": "note", "Enter": "sessions", "s": "sessions"}


class IncidentScreen(Look):
    """`incident` None: the runbook is shown to be read, nothing can be ticked."""

    BINDINGS = keys.bindings("open", "tick", "note", "blast", "stop", "arm", "export", "sessions", "incident")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide")]
    DEFAULT_CSS = """
    IncidentScreen #facts { height: 1; }
    IncidentScreen .rule { height: 1; }
    IncidentScreen #main { height: auto; max-height: 45%; }
    IncidentScreen #both { layout: vertical; height: 1fr; }
    IncidentScreen #body { height: 1fr; }
    IncidentScreen #timeline { height: auto; max-height: 5; }
    IncidentScreen.-wide #both { layout: horizontal; }
    IncidentScreen.-wide #body { width: 1fr; }
    IncidentScreen.-wide #timeline { width: 52; height: 1fr; max-height: 100%; margin-left: 2; }
    """

    def __init__(self, incident: int | None, playbook: Playbook | None, target: Target) -> None:
        super().__init__()
        self._incident = incident
        self._playbook = playbook
        self._target = target
        self._view: IncidentView | None = None
        name = playbook.name if playbook is not None else "no runbook"
        self.crumbs = (f"incident {incident}" if incident is not None else "runbook", name)

    def body(self) -> ComposeResult:
        yield Lines(cursor=False, ascii_only=self.ascii_only, id="facts")
        yield Lines(cursor=False, ascii_only=self.ascii_only, id="steps-rule", classes="rule")
        yield Lines(titles=False, leads=True, ascii_only=self.ascii_only, id="main")
        with Container(id="both"):
            yield Lines(ascii_only=self.ascii_only, id="body")
            yield Lines(cursor=False, ascii_only=self.ascii_only, id="timeline")

    def on_mount(self) -> None:
        self.remember_parts()
        self._draw()

    def ask_all(self) -> None:
        if self._incident is not None:
            self.ask("incident", AskIncident(self._incident))

    def answered(self, part: str, answer: object) -> None:
        if part == "incident" and isinstance(answer, IncidentView):
            self._view = answer
            self._draw()

    def _draw(self) -> None:
        if not self.is_whole:
            return
        self.lines("facts").show([self._facts()])
        steps = self._playbook.steps if self._playbook is not None else ()
        done = sum(self._view.mark(step.number) is not None for step in steps) if self._view else 0
        self.lines("steps-rule").show([rule("steps", f"{done} of {len(steps)} done" if self._incident else "")])
        none = [text_row("  agents.toml names a runbook that does not exist; runaway-loop is the one shipped")]
        self.lines("main").show([self._step_row(step.number) for step in steps] or none)
        self._draw_body()
        self.lines("timeline").show(self._timeline())

    def _facts(self) -> Row:
        target = self._target.agent or self._target.session or "everything"
        if self._view is None:
            hint = "i opens an incident, then steps can be ticked" if self._incident is None else "reading…"
            return text_row(Cell(target, "strong"), f"   {hint}")
        incident = self._view.incident
        since = age(self.andon.clock() - incident.opened_ns)
        state = "open" if incident.closed_ns is None else "closed"
        return text_row(
            Cell(incident.severity, "bad" if incident.severity == "SEV1" else "warn"),
            f" {state} {since} · by {incident.opened_by} · {incident.scope}: {incident.title}",
        )

    def _step_row(self, number: int) -> Row:
        assert self._playbook is not None
        step = self._playbook.steps[number - 1]
        mark = self._view.mark(number) if self._view is not None else None
        if mark is not None:
            glyph, right = "✔", f"{clock(mark.done_ns, self.context.tz)} {mark.done_by}"
        else:
            glyph, right = "·", f"{step.key} does it" if step.key else ""
        return text_row(
            f"  {glyph} {number} {step.title}", right=(Cell(right, "" if mark else "dim"),), key=str(number)
        )

    @on(Lines.Moved, "#main")
    @on(Lines.Resized, "#body")
    def _draw_body(self) -> None:
        step = self._step()
        if step is None or self._playbook is None:
            return
        text = self._playbook.steps[step - 1].body
        if step == 1 and self._playbook.about:
            text = f"{text}\n\n{self._playbook.about}"
        width = self.lines("body").size.width or self.size.width
        lines = block(_reflow(text), max(20, width - 4), ascii_only=self.ascii_only)
        rows = [text_row(f"  {line}", key=f"line:{index}") for index, line in enumerate(lines)]
        self.lines("body").show([rule(f"step {step}"), *rows])

    def _timeline(self) -> list[Row]:
        if self._view is None:
            return []
        newest = list(reversed(self._view.timeline))
        rows = [
            text_row(Cell(f"  {clock(line.at_ns, self.context.tz)} ", "dim"), f"{line.by}  {line.text}")
            for line in newest
        ]
        return [rule("timeline", "newest first"), *(rows or [text_row("  nothing yet: n writes a note")])]

    def _step(self) -> int | None:
        key = self.lines("main").key
        return int(key) if key.isdigit() else None

    # keys

    def target(self) -> Target | None:
        return self._target

    def action_open(self) -> None:
        """Do what the step asks for, where a key of the console does it."""
        step = self._step()
        key = self._playbook.steps[step - 1].key if step is not None and self._playbook is not None else None
        action = DOES.get(key or "")
        if action is None:
            self.andon.say("no key does this step; do it, then x ticks it off")
        elif self.check_action(action, ()):
            getattr(self, f"action_{action}")()

    def action_tick(self) -> None:
        step, incident, view = self._step(), self._incident, self._view
        if incident is None or step is None:
            self.andon.say("nothing can be ticked without an incident: i opens one")
            return
        done = view is not None and view.mark(step) is not None
        actions = self.andon.actions
        self.andon.do(
            lambda: actions.tick(incident, step, not done), self._told("taken back" if done else "done", step)
        )

    def _told(self, word: str, step: int) -> Callable[[object], None]:
        def words(_: object) -> str:
            self.ask_all()
            return f"step {step} {word}"

        return self.andon.done(words)

    def action_note(self) -> None:
        incident = self._incident
        if incident is None:
            self.andon.say("a note needs an incident: i opens one")
            return

        def write(text: str | None) -> None:
            if text:
                actions = self.andon.actions
                self.andon.do(lambda: actions.note(incident, text), self.andon.done(self._noted))

        self.app.push_screen(AskTextScreen("note", f"note to incident {incident}"), write)

    def _noted(self, _: object) -> str:
        self.ask_all()
        return "note written"


def _reflow(markdown: str) -> str:
    """Paragraphs on one line each, so that they wrap at the width of the screen and not of the file."""
    return "\n\n".join(
        " ".join(part.split()) if not part.lstrip().startswith(("-", "`", "|")) else part
        for part in markdown.split("\n\n")
    )
