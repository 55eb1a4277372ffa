"""`andon sessions`: what ran, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from console.cli.options import Settings, common_options
from console.cli.output import json_option, print_json, table
from console.widgets import figures

if TYPE_CHECKING:
    from console.cli.schemas import SessionShape, Tokens
    from store.telemetry.views import SessionRow, SpanRow

STATUSES = ("running", "ok", "error", "aborted", "capped", "refused", "cancelled", "unknown")


@click.command("sessions")
@click.option("--agent", help="Only of this agent.")
@click.option("--user", help="Only of this user, typed raw.")
@click.option("--tenant", help="Only of this tenant.")
@click.option("--since", metavar="TIME", help="Active at or after this time.")
@click.option("--until", metavar="TIME", help="Started before this time.")
@click.option("--status", type=click.Choice(STATUSES), help="Status of the newest run.")
@click.option("--tool", help="That called this tool.")
@click.option("--error-type", help="With an error of this type.")
@click.option("--text", help="With this text in an id, a name, a tool or an error.")
@click.option("--order", type=click.Choice(["newest", "cost", "duration", "errors"]), default="newest")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1000, help="At most so many (default 1000).")
@json_option
@common_options
def sessions_command(settings: Settings, as_json: bool, **wanted: str | int | None) -> int:
    """List sessions, newest first."""
    from store.telemetry.views import SessionFilter

    with settings.reader() as reader:
        as_of_ns = settings.moment_ns(reader)
        rows = reader.sessions(
            SessionFilter(
                agent=settings.stored_value(_text(wanted["agent"])),
                user=settings.stored_value(_text(wanted["user"])),
                tenant=settings.stored_value(_text(wanted["tenant"])),
                since_ns=_time(wanted["since"], as_of_ns, "--since"),
                until_ns=_time(wanted["until"], as_of_ns, "--until"),
                status=_text(wanted["status"]),
                tool=settings.stored_value(_text(wanted["tool"])),
                error_type=_text(wanted["error_type"]),
                text=settings.stored_value(_text(wanted["text"])),
                order=str(wanted["order"]),
                limit=int(wanted["limit"] or 1),
            ),
            as_of_ns,
        )
    if as_json:
        print_json([_shape(row) for row in rows])
    elif rows:
        _print(rows, as_of_ns)
    else:
        click.echo("No session matches. `andon status` says how old the newest record is and whether anybody collects.")
    return 0


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _time(value: str | int | None, as_of_ns: int, option: str) -> int | None:
    from store.record.window import TimeError, parse_time

    if value is None:
        return None
    try:
        return parse_time(str(value), as_of_ns)
    except TimeError as error:
        raise click.UsageError(f"{option}: {error}") from None


def _print(rows: tuple[SessionRow, ...], as_of_ns: int) -> None:
    table(
        ["session", "agent", "status", "runs", "llm", "tool", "err", "tokens in/out", "$", "took", "last"],
        [
            (
                row.session or "(none)",
                row.agent or "-",
                row.status,
                str(row.runs),
                figures.count(row.llm_calls),
                figures.count(row.tool_calls),
                figures.count(row.errors),
                f"{figures.count(row.tokens_input + row.tokens_cache_read + row.tokens_cache_write)}/"
                f"{figures.count(row.tokens_output)}",
                figures.usd(row.cost_nano),
                figures.duration(row.duration_ns),
                figures.age(None if row.ended_ns is None else as_of_ns - row.ended_ns),
            )
            for row in rows
        ],
        right=(3, 4, 5, 6, 7, 8, 9, 10),
        widest=36,
    )


def tokens_of(row: SessionRow | SpanRow) -> Tokens:
    """The tokens of a session or a span, by kind."""
    from console.cli.schemas import Tokens

    return Tokens(
        input=row.tokens_input,
        cache_read=row.tokens_cache_read,
        cache_write=row.tokens_cache_write,
        output=row.tokens_output,
        reasoning=row.tokens_reasoning,
    )


def _shape(row: SessionRow) -> SessionShape:
    from console.cli.schemas import SessionShape

    return SessionShape.model_validate(
        {
            "session": row.session,
            "agent": row.agent,
            "format": row.format,
            "started": row.started_ns,
            "ended": row.ended_ns,
            "status": row.status,
            "runs": row.runs,
            "llm_calls": row.llm_calls,
            "tool_calls": row.tool_calls,
            "errors": row.errors,
            "tokens": tokens_of(row),
            "cost_usd": row.cost_nano,
            "cost_basis": row.cost_basis,
            "duration_ms": row.duration_ns,
        }
    )
