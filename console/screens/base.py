"""What every screen has: a first line with state and age, a line for messages, the keys, and what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widget import Widget

from console import keys
from console.screens.asks import Asks
from console.target import Target
from console.widgets import figures
from console.widgets.keyline import KeyLine
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Row, text_row
from store.record.span import NS_PER_S

MESSAGE_LINES = 4
OLD_NS, VERY_OLD_NS = 60 * NS_PER_S, 600 * NS_PER_S


class Look(Asks):
    """A full screen. Subclasses compose `body`, ask questions in `ask_all` and draw in `answered`."""

    BINDINGS = keys.bindings()
    AUTO_FOCUS: ClassVar[str | None] = "Lines#main"
    DEFAULT_CSS = """
    Look { layout: vertical; background: $background; overflow: hidden hidden; }
    Look > #head { height: 1; }
    Look > #message { height: 1; display: none; }
    """
    crumbs: tuple[str, ...] = ()

    # what a subclass says

    def body(self) -> ComposeResult:
        yield from ()

    def ask_all(self) -> None:
        """Ask every question of this screen; called whenever the screen is looked at."""

    def target(self) -> Target | None:
        """What the cursor is on."""
        return None

    def message_rows(self) -> list[Row]:
        """What must be said above everything else."""
        return []

    # the frame

    def compose(self) -> ComposeResult:
        yield Lines(cursor=False, ascii_only=self.ascii_only, id="head")
        yield Lines(cursor=False, ascii_only=self.ascii_only, id="message")
        yield from self.body()
        yield KeyLine(ascii_only=self.ascii_only)

    def on_mount(self) -> None:
        # Textual calls the handler of every class of a widget, so a screen's own needs no call of this one.
        self.remember_parts()
        self.draw_head()
        self.draw_message()
        self.ask_all()

    def on_resize(self) -> None:
        self.draw_head()
        self.draw_message()

    def on_screen_resume(self) -> None:
        self.draw_head()
        self.draw_message()
        self.ask_all()

    def on_screen_suspend(self) -> None:
        for lines in self.query(Lines):
            lines.hold()
        self.andon.worker_thread.drop(self.serial)

    def unanswered(self) -> None:
        """The store could not answer; why is said above. What was shown before stays."""
        for lines in self.query(Lines):
            if any("reading…" in cell.text for row in lines.rows[:1] for cell in row.cells):
                lines.show([text_row(Cell("  not known: the store cannot be read", "dim"))])

    def standing_changed(self) -> None:
        """Other things are stopped than before."""

    def draw_head(self) -> None:
        """The first line: where we are, and how old what we see is."""
        if not self.is_whole:
            return
        self.lines("head").show([self._head_row()])

    def _head_row(self) -> Row:
        width = self.size.width
        if self.crumbs:
            left = [Cell("ANDON", "strong"), Cell(" › " + " › ".join(self.crumbs))]
        else:
            place = " · ".join(part for part in (self.context.environment, self.context.actor) if part)
            left = [Cell("ANDON", "strong"), Cell(f"  {place}")]
        state, age, clock = self.andon.header_state()
        mode = "[RO]" if self.context.read_only else "[RW]"
        right = [state, Cell("  "), age]
        if width >= 60:
            right += [Cell("  "), clock]
        return text_row(*left, right=(*right, Cell(" " + mode, "warn" if self.context.read_only else "")))

    def draw_message(self) -> None:
        """The line under the head: a problem of the store, or what was just done; hidden where there is none."""
        if not self.is_whole:
            return
        rows = [*self.andon.message_rows(self.size.width), *self.message_rows()]
        message = self.lines("message")
        message.styles.height = min(MESSAGE_LINES, len(rows))
        message.display = bool(rows)
        message.show(rows)

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.context.read_only and action in keys.CHANGES:
            return None
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        if len(self.app.screen_stack) > 1:
            self.dismiss()

    def with_target(self, act: Callable[[Target], None]) -> None:
        target = self.target()
        if target is None:
            self.andon.say("the cursor is on nothing that this key could act on")
        else:
            act(target)

    def action_stop(self) -> None:
        self.andon.open_stop(self.target() or Target())

    def action_arm(self) -> None:
        self.andon.open_arm(self.target() or Target())

    def action_blast(self) -> None:
        self.with_target(self.andon.open_blast)

    def action_runbook(self) -> None:
        self.with_target(self.andon.open_runbook)

    def action_incident(self) -> None:
        self.with_target(self.andon.open_incident)

    def action_incidents(self) -> None:
        self.andon.open_incidents()

    def action_export(self) -> None:
        self.with_target(self.andon.open_export)

    def action_sessions(self) -> None:
        self.andon.open_sessions(self.target())

    def action_pause(self) -> None:
        self.andon.pause()

    def action_palette(self) -> None:
        self.andon.open_palette(self)

    def action_help(self) -> None:
        self.andon.open_help()

    def action_leave(self) -> None:
        self.andon.ask_to_leave()

    @on(Lines.Left)
    def _next_list(self, message: Lines.Left) -> None:
        """Past the end of a list the cursor goes on in the next one."""
        lists = [widget for widget in self.query(Lines) if widget.can_focus and widget.display and widget.rows]
        if message.lines in lists:
            index = lists.index(message.lines) + message.step
            if 0 <= index < len(lists):
                lists[index].focus()

    def focused_lines(self) -> Lines | None:
        focused: Widget | None = self.focused
        return focused if isinstance(focused, Lines) else None


def age_cell(newest_ns: int | None, now_ns: int) -> Cell:
    """`newest 3s`: amber after a minute, red after ten."""
    if newest_ns is None:
        return Cell("no record yet", "warn")
    old_ns = now_ns - newest_ns
    tone = "bad" if old_ns >= VERY_OLD_NS else "warn" if old_ns >= OLD_NS else ""
    return Cell(f"newest {figures.age(old_ns)}", tone)
