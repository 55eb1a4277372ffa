"""Export: which scope, into which file; the path and the sum are shown when it is written."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from console.reader_worker import problem_of
from console.screens.dialog import Dialog
from console.target import Target, scope_text
from console.views import Exported
from console.widgets import figures
from console.widgets.fields import Choice, PlainInput
from console.widgets.rows import Cell, text_row


class ExportScreen(Dialog):
    HEADING = " EXPORT "
    AUTO_FOCUS: ClassVar[str | None] = "#path"

    def __init__(self, target: Target) -> None:
        super().__init__()
        incident = (f"incident:{target.incident}",) if target.incident is not None else ()
        self._scopes = (*incident, *(str(scope) for _, scope in target.scopes()))
        words = [scope_text(scope) for _, scope in target.scopes()]
        self._words = ([f"incident {target.incident}"] if target.incident is not None else []) + words
        self._sent = False

    def body(self) -> ComposeResult:
        yield self.text("what", text_row("A redacted bundle: spans, effects, timeline, report, and a sum of each."))
        yield self.field("scope", Choice(self._words, id="scope", ascii_only=self.ascii_only))
        yield self.field("file", PlainInput(id="path", value=str(self._path()), max_length=1000))
        yield self.text("result", text_row(""))
        yield self.text("hint", text_row(Cell("Enter write it", "dim"), right=(Cell("Esc leave"),)))

    def _path(self) -> Path:
        """Where it would go: our own words and the time, nothing that a log said."""
        stamp = figures.day_clock(self.andon.clock(), "UTC").replace(" ", "-").replace(":", "")
        return Path.cwd() / f"andon-{stamp}.zip"

    @on(PlainInput.Submitted, "#path")
    def _export(self) -> None:
        text = self.query_one("#path", PlainInput).value.strip()
        if self._sent or not text:
            return
        self._sent = True
        scope = self._scopes[self.query_one("#scope", Choice).index]
        path = Path(text).expanduser()
        self.lines("result").show([text_row("writing…")])
        actions, as_of_ns = self.andon.actions, self.andon.moment_ns()
        self.andon.do(lambda: actions.export(scope, path, as_of_ns), self._written)

    def _written(self, result: object) -> None:
        self._sent = False
        if isinstance(result, Exported):
            rows = [text_row(Cell("✔ ", "strong"), Cell(result.path, "strong")), text_row(result.summary)]
            if result.sha256:
                rows.append(text_row(f"sha256 {result.sha256}"))
            rows.append(text_row(Cell(f"check it:  andon verify {Path(result.path).name}", "dim")))
            self.andon.say(f"exported to {result.path}")
        else:
            problem = problem_of(result) if isinstance(result, Exception) else str(result)
            rows = [text_row(Cell("✖ not written: ", "bad"), Cell(problem, "bad"))]
        if self.is_whole:
            self.lines("result").show(rows)
