"""How a command answers: JSON by its schema, or plain text in columns, with nothing in it that moves a cursor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len

from console.widgets.sanitise import fit, one_line

if TYPE_CHECKING:
    from pydantic import BaseModel

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


def print_json(shape: BaseModel | Sequence[BaseModel]) -> None:
    """One JSON document, in the order of the schema, ASCII only, so that no terminal reads anything into it."""
    rows: Any = (
        [row.model_dump(mode="json") for row in shape] if isinstance(shape, Sequence) else shape.model_dump(mode="json")
    )
    click.echo(json.dumps(rows, indent=2))


def say(text: str) -> None:
    """One line of ours that may quote untrusted text."""
    click.echo(one_line(text))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), widest: int = 40) -> None:
    """Columns as wide as their content, at most `widest` cells, the last 120; those in `right` end at the right."""
    clean = [[*(one_line(cell, widest) for cell in row[:-1]), one_line(row[-1], 120)] for row in rows]
    widths = [max(cell_len(row[index]) for row in [list(heads), *clean]) for index in range(len(heads))]
    for row in [list(heads), *clean]:
        cells = [fit(cell, widths[index], right=index in right) for index, cell in enumerate(row)]
        click.echo("  ".join(cells).rstrip())
