"""`andon trace SESSION`: its spans as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from console.cli.options import Refused, Settings, common_options
from console.cli.output import json_option, print_json, say, table
from console.cli.sessions import tokens_of
from console.widgets import figures

if TYPE_CHECKING:
    from store.telemetry.views import SpanRow, Trace


@click.command("trace")
@click.argument("session")
@json_option
@common_options
def trace_command(settings: Settings, session: str, as_json: bool) -> int:
    """One session as a tree of spans."""
    with settings.reader() as reader:
        trace = reader.trace(settings.stored_id(session), settings.moment_ns(reader))
    if trace is None:
        raise Refused(f"no session {session!r} as of that moment; `andon sessions` lists them", exit_code=1)
    if as_json:
        _print_json(trace)
    else:
        _print(trace)
    return 0


def _print(trace: Trace) -> None:
    head = trace.session
    say(f"{head.agent or '-'} › {head.session}  {head.status}  {figures.duration(head.duration_ns)}")
    say(
        f"{figures.usd(head.cost_nano)} $ ({head.cost_basis or 'no cost known'})  steps {trace.total_spans}"
        f"  model {head.llm_calls}  tool {head.tool_calls} (errors {head.errors})"
    )
    if trace.why:
        say(f"why {trace.why}")
    click.echo()
    table(
        ["step", "status", "took", "$", "tokens in/out", "started"],
        [_line(span) for span in trace.spans],
        right=(2, 3, 4),
        widest=60,
    )
    if trace.total_spans > len(trace.spans):
        click.echo(f"… {trace.total_spans - len(trace.spans):,} more spans are not shown")


def _line(span: SpanRow) -> tuple[str, ...]:
    label = f"{'  ' * min(span.depth, 12)}{span.kind} {span.tool or span.name or span.model or ''}"
    mark = f" ⚑ {span.effect_system}" if span.effect_system else ""
    fed = [n for n in (span.tokens_input, span.tokens_cache_read, span.tokens_cache_write) if n is not None]
    return (
        label + mark,
        span.status + (f" ({span.error_type})" if span.error_type else ""),
        figures.duration(span.duration_ns),
        figures.usd(span.cost_nano, 4),
        f"{figures.count(sum(fed))}/{figures.count(span.tokens_output)}" if fed else "-",
        figures.clock(span.started_ns, millis=True),
    )


def _print_json(trace: Trace) -> None:
    from console.cli.schemas import SpanShape, TraceShape

    print_json(
        TraceShape(
            session=trace.session.session,
            spans=[
                SpanShape.model_validate(
                    {
                        "span": span.span_id,
                        "parent": span.parent_id,
                        "kind": span.kind,
                        "name": span.name,
                        "model": span.model,
                        "tool": span.tool,
                        "started": span.started_ns,
                        "duration_ms": span.duration_ns,
                        "status": span.status,
                        "error_type": span.error_type,
                        "tokens": tokens_of(span),
                        "cost_usd": span.cost_nano,
                        "cost_basis": span.cost_basis,
                    }
                )
                for span in trace.spans
            ],
        )
    )
