"""The blast radius in words. No Textual here."""

from __future__ import annotations

from console.widgets.figures import clock, count, plural
from console.widgets.rows import Cell, Column, Row, rule, text_row
from console.widgets.sanitise import block, one_line
from runbooks.effects.blast import Blast, Effect, SystemBlast, UnmappedTool

COLUMNS = (
    Column("  system", 0),
    Column("owner", 16, since=74),
    Column("writes", 6, right=True),
    Column("ok", 5, right=True, since=48),
    Column("failed", 6, right=True, since=56),
    Column("unknown", 7, right=True),
    Column("dup", 4, right=True, since=48),
    Column("undone", 6, right=True, since=100),
    Column("undo", 8, gap=2, since=40),
)
UNDO = {"yes": "yes", "no": "NO", "unknown": "?"}
BASIS = {"argument": "told by its arguments", "name": "told by its name", "unknown": "of unknown kind"}
EFFECTS_SHOWN = 500


def answer_row(blast: Blast) -> Row:
    """The answer, in one line."""
    return text_row(
        Cell(f"{plural(blast.writes, 'write')}, {plural(len(blast.systems), 'system')}", "strong"),
        " · ",
        Cell(f"{count(blast.unknown)} unknown", "bad" if blast.unknown else ""),
        " · ",
        Cell(f"{count(blast.duplicates)} dup", "warn" if blast.duplicates else ""),
        " · ",
        Cell(f"{count(blast.cannot_undo)} without undo", "bad" if blast.cannot_undo else ""),
        f" · {plural(blast.reads, 'read')} · ",
        Cell(f"{count(len(blast.unmapped))} unmapped", "warn" if blast.unmapped else ""),
    )


def system_rows(blast: Blast) -> list[Row]:
    rows = [_system_row(system) for system in blast.systems]
    return rows + [_unmapped_row(tool) for tool in blast.unmapped]


def _system_row(system: SystemBlast) -> Row:
    if system.unknown or system.cannot_undo:
        glyph, tone = "✖", "bad"
    elif system.duplicates or system.failed:
        glyph, tone = "!", "warn"
    elif system.untold:
        glyph, tone = "?", "warn"
    else:
        glyph, tone = "✔", ""
    return Row(
        f"system:{system.system}",
        (
            Cell(f"{glyph} {system.system}", tone),
            Cell(system.owner or "not declared", "" if system.owner else "warn"),
            Cell(count(system.writes)),
            Cell(count(system.ok)),
            Cell(count(system.failed), "warn" if system.failed else ""),
            Cell(count(system.unknown), "bad" if system.unknown else ""),
            Cell(count(system.duplicates), "warn" if system.duplicates else ""),
            Cell(count(system.undone)),
            Cell(UNDO.get(system.undo, "?"), "bad" if system.undo == "no" else ""),
        ),
    )


def _unmapped_row(tool: UnmappedTool) -> Row:
    """A tool nothing tells about: it may have written anything, so no figure is given but its calls."""
    return Row(
        f"tool:{tool.agent or ''}\x00{tool.tool}",
        (
            Cell(f"? {one_line(tool.tool, 24)}, {plural(tool.calls, 'call')}", "warn"),
            Cell("unmapped tool", "warn"),
            Cell("?", "warn"),
            Cell("-"),
            Cell("-"),
            Cell("?", "warn"),
            Cell("-"),
            Cell("-"),
            Cell("?"),
        ),
    )


def detail_rows(blast: Blast, key: str, zone: str, width: int) -> list[Row]:
    """What was written to the chosen system, in order; or what is to be done about an unmapped tool."""
    kind, _, name = key.partition(":")
    if kind == "tool":
        agent, _, tool = name.partition("\x00")
        return [
            rule(tool, "unmapped"),
            text_row("  Neither agents.toml, nor its name, nor its arguments say what it does: it may write."),
            text_row(
                "  Declare it:  ",
                Cell(f"[agents.{agent or 'NAME'}.tools.{tool}]", "strong"),
                "  tier = read | limited | high",
            ),
        ]
    system = next((one for one in blast.systems if one.system == name), None)
    if system is None:
        return []
    rows = [rule(f"{system.system}, in order", plural(len(system.effects), "effect"))]
    rows += [_effect_row(index, effect, zone) for index, effect in enumerate(system.effects[:EFFECTS_SHOWN])]
    if len(system.effects) > EFFECTS_SHOWN:
        rows.append(text_row(f"  … {len(system.effects) - EFFECTS_SHOWN:,} more: andon blast {blast.scope}"))
    if system.check:
        rows.append(rule(f"how to check {system.system}", "agents.toml"))
        rows += [text_row(Cell("  "), line) for line in block(system.check, max(20, width - 4))]
    undo = next((effect.undo_how for effect in system.effects if effect.undo_how), None)
    if undo:
        rows += [text_row(Cell("  undo: "), line) for line in block(undo, max(20, width - 10))]
    return rows


def _effect_row(index: int, effect: Effect, zone: str) -> Row:
    row = effect.row
    status_tone = {"unknown": "bad", "sent": "bad", "failed": "warn"}.get(row.status, "")
    known = "  ".join(
        f"{word} {value}" for word, value in (("id", row.external_id), ("key", row.idempotency_key)) if value
    )
    return text_row(
        f"  {clock(row.at_ns, zone)}  {row.operation or row.tool or '?'}  ",
        Cell(row.resource or "", "quote"),
        "  ",
        Cell(row.status, status_tone),
        f"  {known}" if known else "",
        Cell("  duplicate", "warn") if effect.duplicate_of else "",
        Cell("" if effect.declared else f"  {BASIS.get(row.basis or '', 'tool not declared')}", "dim"),
        key=f"effect:{index}",
    )


def empty_rows() -> list[Row]:
    return [
        text_row(""),
        text_row(
            "  Nothing was written outside, as far as the logs say: no effect reported, no declared write tool called."
        ),
    ]
