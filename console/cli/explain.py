"""`andon collect --explain FILE`: how its records are read, field by field, and why the rest is not."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.options import Refused, Settings
from console.cli.output import print_json, say
from console.cli.sources import OWN_JSON, check_format, own_json_source
from console.widgets import figures
from console.widgets.sanitise import fit, one_line, wrap
from store.record.window import iso

if TYPE_CHECKING:
    from collectors.explain import Explained
    from collectors.explain.model import FieldRow, RecordRows, Totals
    from collectors.formats.base import Format

_MOST_SHOWN = 8
_UNUSED_SHOWN = 12
_UNUSED_WIDTH = 64


def explain(
    settings: Settings, path: Path, format_name: str | None, agent: str | None, *, records: int, as_json: bool
) -> int:
    """Print how FILE is read. 1 where nothing of it is. Refused where it cannot be opened."""
    from collectors.explain import explain_file

    form, known_by, own_agent = _declared(settings, path, format_name)
    try:
        explained = explain_file(
            path,
            form=form,
            known_by=known_by,
            agent=agent or own_agent,
            rules=settings.redaction_rules(),
            records=records,
        )
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    if as_json:
        from console.cli.schemas import ExplainShape

        print_json(ExplainShape.model_validate(_shape(explained)))
    else:
        _Print(shutil.get_terminal_size((80, 24)).columns).all(explained)
    return 0 if explained.totals.spans else 1


def _declared(settings: Settings, path: Path, format_name: str | None) -> tuple[Format | None, str, str | None]:
    """(format, who says so, agent): --format, else the [[source]] that finds the file, else nobody."""
    from collectors.declared import Declarations
    from collectors.discover import Selection
    from collectors.formats import by_name

    check_format(format_name)
    where = f"of {settings.config_folder}/andon.toml"
    if format_name is not None and format_name != OWN_JSON:
        return by_name(format_name), "asked for with --format", None
    absolute = str(path.absolute())
    if format_name is None:
        of_path = [one for one in settings.config().source if Selection([one.path]).accepts(absolute)]
        if not of_path or of_path[0].format is None:
            return None, "", of_path[0].agent if of_path else None
        if of_path[0].format != OWN_JSON:
            check_format(of_path[0].format)
            return by_name(of_path[0].format), f"declared by a [[source]] {where}", of_path[0].agent
    declared, number = own_json_source(settings, path)
    finds = Selection([declared.path]).accepts(absolute)
    said = f"by the mapping of [[source]] number {number} {where}"
    form = Declarations([dataclasses.replace(declared, path=path)]).form_of(absolute)
    return form, said if finds else f"{said}, whose path does not find this file", declared.agent


def _shape(explained: Explained) -> dict[str, object]:
    shape = dataclasses.asdict(explained)
    totals = shape["totals"]
    totals["never"] = [{"field": name, "path": path} for name, path in totals["never"]]
    totals["first"], totals["last"] = totals.pop("first_ns"), totals.pop("last_ns")
    totals["cost_usd"] = totals.pop("cost_nano")
    shape["sample"] = [{"path": path, "value": value} for path, value in shape["sample"]]
    return shape


class _Print:
    """Plain text of at most `width` cells; every text of the log is sanitised here."""

    def __init__(self, width: int) -> None:
        self._width = max(60, min(width, 132))

    def all(self, explained: Explained) -> None:
        kind = "one document" if explained.document else "lines"
        name = explained.format or "no known format"
        self._wrapped(f"{explained.path}: {figures.plural(explained.size_bytes, 'byte')}, {kind}", "")
        self._wrapped(f"{name}, {explained.known_by}", "  format    ")
        if explained.format is None:
            self._suggest(explained)
            return
        for record in explained.records:
            click.echo()
            self._record(record, explained)
        click.echo()
        self._totals(explained.totals, explained)

    def _record(self, record: RecordRows, explained: Explained) -> None:
        place = f"record {record.number}" if explained.document else f"line {record.number}"
        outcome = {"span": "", "rejected": "REJECTED: ", "passed_over": "passed over: ", "nothing": "says nothing"}
        spans = ", ".join(f"{one.kind or 'no kind'} {one.span}" for one in record.spans[:_MOST_SHOWN])
        self._wrapped(f"{outcome[record.outcome]}{record.reason or spans}", f"{place}  ")
        for span in record.spans:
            if len(record.spans) > 1:
                self._wrapped(f"{span.kind} {span.span}", "  span ")
            self._fields(span.fields)
        if record.unused:
            more = len(record.unused) - _UNUSED_SHOWN
            rest = [f"and {more} more"] if more > 0 else []
            shown = [one_line(one, _UNUSED_WIDTH) for one in record.unused[:_UNUSED_SHOWN]]
            self._wrapped("; ".join([*shown, *rest]), "  in no field: ")

    def _fields(self, every: list[FieldRow]) -> None:
        """What lies at a path, in columns; what came of the format, of lines before or of several values, in a line."""
        absent: dict[str, list[str]] = {}
        rows: list[FieldRow] = []
        rest: list[str] = []
        for row in every:
            if row.became is None and row.raw is None:
                absent.setdefault(row.why, []).append(row.field)
            elif row.path or row.became is None or row.why:
                rows.append(row)
            else:
                rest.append(f"{row.field} {one_line(row.became, 48)}")
        if rows:
            self._columns(rows)
        if absent:
            self._wrapped("; ".join(f"{why}: {', '.join(names)}" for why, names in absent.items()), "  not there: ")
        if rest:
            self._wrapped("; ".join(rest), "  of no one value: ")

    def _columns(self, rows: list[FieldRow]) -> None:
        clean = [[one_line(x, 400) for x in (r.field, r.path, r.raw or "", r.became or "")] for r in rows]
        for row, cells in zip(rows, clean, strict=True):
            if row.became is None:
                cells[3] = "(not read)"
            elif row.raw is None:
                cells[2] = "-"
        heads = ["field", "path", "in the log", "became"]
        needs = [max(len(row[at]) for row in [heads, *clean]) for at in range(4)]
        first, second = min(17, needs[0]), min(self._width // 4, needs[1])
        left = self._width - first - second - 8
        fourth = min(needs[3], max(left - needs[2], min(left - 10, 24)))  # a whole time is 24 wide
        widths = [first, second, left - fourth, fourth]
        click.echo("  " + "  ".join(fit(x, w) for x, w in zip(heads, widths, strict=True)).rstrip())
        for row, cells in zip(rows, clean, strict=True):
            cells[1] = _end_of(cells[1], widths[1])
            click.echo("  " + "  ".join(fit(x, w) for x, w in zip(cells, widths, strict=True)).rstrip())
            if row.why:
                self._wrapped(row.why, "  " + " " * first + "  ^ ")

    def _totals(self, totals: Totals, explained: Explained) -> None:
        counts = f"{figures.plural(totals.records, 'record')}, {figures.plural(totals.spans, 'span')}"
        lines = "" if explained.document else f"{figures.plural(totals.lines, 'line')}, "
        rejected = sum(totals.rejected.values())
        self._wrapped(
            f"{lines}{counts} in {figures.plural(totals.sessions, 'session')}, {rejected:,} rejected, "
            f"{sum(totals.unknown_types.values()):,} passed over",
            "the whole file  ",
        )
        if totals.cut_short:
            self._wrapped(f"only the first {totals.lines:,} lines were looked at", "  ! ")
        if totals.first_ns is not None and totals.last_ns is not None:
            self._wrapped(f"{iso(totals.first_ns)} to {iso(totals.last_ns)}", "  times     ")
        for name, counted in (("kinds", totals.kinds), ("statuses", totals.statuses), ("tokens", totals.tokens)):
            if counted:
                self._wrapped(", ".join(f"{what} {count:,}" for what, count in counted.items()), f"  {name:<10}")
        if totals.cost_nano is not None:
            self._wrapped(f"{totals.cost_nano / 1e9:.6f} $, as the log reports it", "  cost      ")
        for reason, count in totals.rejected.items():
            first = f" (first at line {totals.rejected_at[reason]})" if reason in totals.rejected_at else ""
            self._wrapped(f"{count:,}x {reason}{'' if explained.document else first}", "  rejected  ")
        self._pairs("passed over", totals.unknown_types, " (rows of a type that is not read)")
        self._pairs("flags", totals.flags, " (a value of the wrong type was left out, or mended)")
        for field, path in totals.never:
            self._wrapped(f"{field}: nothing was ever at {path}", "  never     ")
        for hint in explained.hints:
            self._wrapped(hint, "  look at   ")

    def _pairs(self, name: str, counted: dict[str, int], note: str) -> None:
        if counted:
            said = ", ".join(f"{what} {count:,}x" for what, count in list(counted.items())[:_MOST_SHOWN])
            self._wrapped(said + note, f"  {name:<10}" if len(name) < 10 else f"  {name} ")

    def _suggest(self, explained: Explained) -> None:
        """What the records hold, and the start of a mapping for them."""
        if not explained.sample:
            return
        click.echo()
        say("What the first records hold:")
        widest = min(34, max(len(path) for path, _ in explained.sample))
        for path, value in explained.sample:
            say("  " + fit(one_line(path), widest) + "  " + one_line(value, self._width - widest - 4))
        click.echo()
        self._lines(
            (
                "To read it as your own JSON, write into andon.toml, with your paths:",
                "",
                "  [[source]]",
                f"  path = {_toml_text(explained.path)}",
                '  format = "json"',
                "  [source.fields]",
                f"  session_id = {_guess(explained, ('session', 'conversation', 'thread', 'trace'))}",
                f'  kind = {{ path = {_guess(explained, ("kind", "type", "event"))}, map = {{ "…" = "llm" }} }}',
                f"  time = {_guess(explained, ('time', 'ts', 'date', 'created'))}",
                "",
                "and try it with andon collect --explain; docs/own-json.md lists the fields.",
            )
        )

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            say(line)

    def _wrapped(self, text: str, lead: str) -> None:
        """`lead` and then the text, its further lines below where it starts."""
        lead = one_line(lead)
        for number, piece in enumerate(wrap(one_line(text), max(20, self._width - len(lead)))):
            click.echo((lead if number == 0 else " " * len(lead)) + piece)


def _end_of(path: str, width: int) -> str:
    """A path that is too long keeps its end, which tells it from its neighbours."""
    return path if len(path) <= width else "…" + path[1 - width :]


def _guess(explained: Explained, words: tuple[str, ...]) -> str:
    """The first path that sounds right, as a string of TOML."""
    for word in words:
        for path, _ in explained.sample:
            if word in path.rpartition(".")[2].lower():
                return _toml_text(path)
    return '"…"'


def _toml_text(text: str) -> str:
    return "'" + text + "'" if '"' in text and "'" not in text else '"' + text.replace('"', '\\"') + '"'
