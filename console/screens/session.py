"""One session: its steps as a tree with times and cost, and what the chosen step was given and gave."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Container

from console import keys
from console.questions import AskParts, AskTrace
from console.screens import tree
from console.screens.base import Look
from console.screens.sessions_rows import GLYPHS
from console.target import Target
from console.widgets import figures
from console.widgets.lines import Lines
from console.widgets.rows import Cell, Row, rule, text_row
from console.widgets.sanitise import block
from store.telemetry.views import SpanRow, Trace

CONTENT_CHARS = 20_000


class SessionScreen(Look):
    BINDINGS = keys.bindings("open", "stop", "arm", "blast", "runbook", "incident", "export")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (17, "-tall")]
    DEFAULT_CSS = """
    SessionScreen #facts { height: 3; }
    SessionScreen .rule { height: 1; }
    SessionScreen #both { layout: vertical; height: 1fr; }
    SessionScreen #main { height: 1fr; min-height: 3; }
    SessionScreen #below { height: 7; }
    SessionScreen #content { height: 1fr; }
    SessionScreen.-wide #both { layout: horizontal; }
    SessionScreen.-wide #main { width: 1fr; height: 1fr; }
    SessionScreen.-wide #below { width: 44; height: 1fr; margin-left: 1; }
    SessionScreen.-short #facts { height: 1; }
    SessionScreen.-short #below { height: 3; }
    """

    def __init__(self, session: str, agent: str | None) -> None:
        super().__init__()
        self._session = session
        self._agent = agent
        self.crumbs = (agent or "?", session)
        self._trace: Trace | None = None
        self._folded: frozenset[str] | None = None
        self._parts: tuple[str, dict[str, str]] | None = None

    def body(self) -> ComposeResult:
        ascii_only = self.ascii_only
        yield Lines(cursor=False, ascii_only=ascii_only, id="facts")
        yield Lines(cursor=False, ascii_only=ascii_only, id="steps-rule", classes="rule")
        with Container(id="both"):
            yield Lines(tree.COLUMNS, leads=True, ascii_only=ascii_only, id="main")
            with Container(id="below"):
                yield Lines(cursor=False, ascii_only=ascii_only, id="content-rule", classes="rule")
                yield Lines(ascii_only=ascii_only, id="content")

    def on_mount(self) -> None:
        self.lines("facts").show([text_row("reading…")])
        self.lines("steps-rule").show([rule("steps")])

    # asking and drawing

    def ask_all(self) -> None:
        self.ask("trace", AskTrace(self._session))
        self._ask_parts()

    def answered(self, part: str, answer: object) -> None:
        if part == "parts" and isinstance(answer, dict):
            self._parts = (self.lines("main").key, answer)
            self._draw_content()
        elif part == "trace":
            if not isinstance(answer, Trace):
                self.lines("facts").show([text_row("This session is not in the store (any more).")])
                return
            if self._folded is None:
                self._folded = tree.folded_at_first(answer)
            self._trace = answer
            self._draw()

    def _rows(self) -> tree.TreeRows | None:
        rows = self.lines("main").rows
        return rows if isinstance(rows, tree.TreeRows) else None

    def _draw(self) -> None:
        if self._trace is None or not self.is_whole:
            return
        main = self.lines("main")
        self.lines("facts").show(self._fact_rows(self._trace))
        main.show(tree.TreeRows(self._trace, self._folded or frozenset(), self.seen_ns))
        total = max(self._trace.total_spans, len(self._trace.spans))
        more = f", the first {len(self._trace.spans):,}" if total > len(self._trace.spans) else ""
        self.lines("steps-rule").show([rule("steps", f"{total:,} spans{more}")])
        self._draw_content()

    def _fact_rows(self, trace: Trace) -> list[Row]:
        row = trace.session
        glyph, tone = GLYPHS.get(row.status, ("?", "warn"))
        models = sorted({span.model for span in trace.spans if span.model})
        model = "" if not models else f"   model {models[0]}" + (f" +{len(models) - 1}" if len(models) > 1 else "")
        prompt = f"   prompt {trace.prompt_hash[:8]}" if trace.prompt_hash else ""
        basis = "" if row.cost_basis in {None, "reported", "computed"} else f" ({row.cost_basis})"
        started = figures.day_clock(row.started_ns, self.context.tz)
        return [
            text_row(
                Cell(f"{glyph} {row.status}", tone or "strong"),
                f" {figures.duration(row.duration_ns)}   {figures.usd(row.cost_nano)} ${basis}   "
                f"runs {figures.count(row.runs)}   model {figures.count(row.llm_calls)}   "
                f"tool {figures.count(row.tool_calls)}   ",
                Cell(figures.plural(row.errors, "error"), "warn" if row.errors else ""),
            ),
            text_row(
                Cell("user ", "dim"), row.user_id or "?", Cell("  tenant ", "dim"), row.tenant_id or "?",
                f"{model}{prompt}",
                right=(Cell(f"began {started}", "dim"),) if self.size.width >= 100 else (),
            ),
            text_row(Cell("why ", "dim"), trace.why or "nothing stands out in its spans"),
        ]  # fmt: skip

    def _selected(self) -> SpanRow | None:
        rows = self._rows()
        return rows.span(self.lines("main").key) if rows is not None else None

    def _ask_parts(self) -> None:
        span = self._selected()
        if span is not None:
            self.ask("parts", AskParts(span.namespace, span.span_id), 5.0 if span.status == "running" else None)

    @on(Lines.Moved, "#main")
    def _moved(self) -> None:
        self._draw_content()
        self._ask_parts()

    @on(Lines.Resized, "#content")
    def _draw_content(self) -> None:
        span = self._selected()
        content = self.lines("content")
        if span is None:
            return
        self.lines("content-rule").show([rule(span.tool or span.model or span.name or span.kind, "from the log")])
        parts = self._parts[1] if self._parts is not None and self._parts[0] == self.lines("main").key else None
        width = max(20, content.size.width - 4)
        rows = [text_row(*cells, key=f"line:{index}") for index, cells in enumerate(self._content(span, parts, width))]
        content.show(rows)

    def _content(self, span: SpanRow, parts: dict[str, str] | None, width: int) -> list[tuple[Cell, ...]]:
        """Our own words first, plain; then what the log says, every line behind a `│`."""
        took = figures.clock(span.started_ns, self.context.tz, millis=True)
        ours = [f"{span.kind}  {span.status}  began {took}"]
        tokens = [
            f"{name} {figures.count(value)}"
            for name, value in (
                ("in", span.tokens_input),
                ("cache read", span.tokens_cache_read),
                ("cache write", span.tokens_cache_write),
                ("out", span.tokens_output),
            )
            if value is not None
        ]
        if tokens:
            ours.append("tokens  " + "  ".join(tokens))
        if span.cost_basis:
            ours.append(f"cost {figures.usd(span.cost_nano, 4)} $ {span.cost_basis}")
        if span.flags:
            ours.append(f"mended or dropped: {span.flags}")
        lines: list[tuple[Cell, ...]] = [(Cell(text),) for text in ours]
        if span.error_type or span.error_message:
            lines.append((Cell("error", "bad"),))
            lines += self._quoted(f"{span.error_type or ''} {span.error_message or ''}".strip(), width)
        if parts is None:
            lines.append((Cell("reading…" if span.part_names else "the log has no content for it", "dim"),))
        for name, text in sorted((parts or {}).items()):
            lines.append((Cell(f"{name}, {figures.count(len(text))} characters", "dim"),))
            lines += self._quoted(text, width)
        return lines

    def _quoted(self, text: str, width: int) -> list[tuple[Cell, ...]]:
        lines = block(text, width, ascii_only=self.ascii_only, limit=CONTENT_CHARS)
        return [(Cell("│ ", "dim"), Cell(line)) for line in lines]

    # keys

    def target(self) -> Target | None:
        row = self._trace.session if self._trace is not None else None
        agent = row.agent if row is not None else self._agent
        return Target(agent, self._session, row.tenant_id if row else None, row.user_id if row else None, narrow=True)

    def action_open(self) -> None:
        """Fold or unfold the step under the cursor."""
        span = self._selected()
        if span is None or not span.children or self._folded is None:
            return
        self._folded = self._folded ^ {tree.key_of(span)}
        self._draw()
