"""`andon blast SCOPE`: what it did outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from console.cli.options import Settings, common_options
from console.cli.output import json_option, print_json, say, table
from console.widgets import figures

if TYPE_CHECKING:
    from runbooks.effects.blast import Blast


@click.command("blast")
@click.argument("scope")
@click.option("--window", metavar="1h|FROM..TO", help="Only this stretch of time (default: all of it).")
@json_option
@common_options
def blast_command(settings: Settings, scope: str, window: str | None, as_json: bool) -> int:
    """What a scope wrote outside, by system, in order; what it only read; what nobody declared."""
    from console.cli.options import now_window
    from runbooks.effects.blast import blast

    wanted = settings.stored_scope(settings.raw_scope(scope))
    with settings.reader() as reader:
        stretch, as_of_ns = now_window(settings, window, reader) if window else (None, settings.moment_ns(reader))
        found = blast(reader, wanted, settings.registry(), as_of_ns, stretch)
    if as_json:
        _print_json(found)
    else:
        _print(found)
    return 0


def _print(found: Blast) -> None:
    say(
        f"{found.scope}: {figures.plural(found.writes, 'write')}, {figures.plural(len(found.systems), 'system')}"
        f" · {found.unknown} unknown · {figures.plural(found.duplicates, 'duplicate')}"
        f" · {found.cannot_undo} cannot be undone · {figures.plural(found.reads, 'read')}"
    )
    for system in found.systems:
        click.echo()
        say(f"{system.system}  owner {system.owner or 'not declared'}  {figures.plural(system.writes, 'write')}")
        table(
            ["when", "operation", "resource", "status", "undo", "told by", "key", "external id", "session", ""],
            [
                (
                    figures.clock(effect.row.at_ns),
                    effect.row.operation or "-",
                    effect.row.resource or "-",
                    effect.row.status,
                    effect.undo,
                    effect.row.basis or "-",
                    effect.row.idempotency_key or "-",
                    effect.row.external_id or "-",
                    effect.row.session or "-",
                    "duplicate" if effect.duplicate_of else "",
                )
                for effect in system.effects
            ],
            widest=24,
        )
    if found.unmapped:
        click.echo()
        click.echo(
            "Unmapped: neither agents.toml, nor their name, nor their arguments say what they did. They may write."
        )
        table(
            ["tool", "agent", "calls", "errors"],
            [(tool.tool, tool.agent or "-", str(tool.calls), str(tool.errors)) for tool in found.unmapped],
            right=(2, 3),
        )


def _print_json(found: Blast) -> None:
    from console.cli.schemas import BlastShape, EffectShape, SystemShape, UnmappedShape

    print_json(
        BlastShape(
            scope=str(found.scope),
            reads=found.reads,
            systems=[
                SystemShape(
                    system=system.system,
                    owner=system.owner,
                    effects=[
                        EffectShape.model_validate(
                            {
                                "at": effect.row.at_ns,
                                "operation": effect.row.operation,
                                "resource": effect.row.resource,
                                "status": effect.row.status,
                                "reversible": effect.undo,
                                "undo": effect.undo_how,
                                "basis": effect.row.basis,
                                "idempotency_key": effect.row.idempotency_key,
                                "external_id": effect.row.external_id,
                                "session": effect.row.session,
                                "span": effect.row.span_id,
                            }
                        )
                        for effect in system.effects
                    ],
                )
                for system in found.systems
            ],
            unmapped_tools=[UnmappedShape(tool=t.tool, agent=t.agent, calls=t.calls) for t in found.unmapped],
        )
    )
