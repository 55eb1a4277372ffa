"""One record of your own JSON, by its mapping: each field's path, what was there, what it became and why not."""

from __future__ import annotations

from typing import Any

from collectors.explain.model import FieldRow, Shown
from collectors.formats.own_mapping import TIMES, Found, OwnField, OwnMapping
from collectors.formats.own_paths import MISSING, Path, leaves_of, near_of, path_text
from store.record.span import KINDS, Span
from store.record.window import iso

_UNUSED = 200
_CACHED = ("cache_read", "cache_write_5m", "cache_write_1h")
_STATUSES = "ok, error, aborted, capped, refused or cancelled"


def rows_of(row: dict[str, Any], span: Span | None, mapping: OwnMapping, shown: Shown) -> list[FieldRow]:
    """Every mapped field, in the order of the mapping. `span` None: the record became none."""
    found = {one.name: one.read(row, mapping) for one in mapping.fields}
    flags = set((span.flags or "").split(",")) if span is not None else set()
    rows = [_row(one, found[one.name], found, flags, mapping, shown) for one in mapping.fields]
    for one, own in zip(mapping.fields, rows, strict=True):
        if own.raw is None and own.became is None and (near := near_of(row, one.paths[0])) is not None:
            own.why += f" (is it {shown.text(near)}?)"
    return rows


def unused_in(row: dict[str, Any], mapping: OwnMapping, shown: Shown) -> list[str]:
    """Paths of the record that no field is read from, with their values."""
    taken = [path for one in mapping.fields for path in one.paths]
    taken += [mapping.where.path] if mapping.where is not None else []
    return [
        f"{shown.text(path_text(path))} = {shown.raw(value)}"
        for path, value in leaves_of(row, _UNUSED)
        if not any(_leads_to(one, path) for one in taken)
    ]


def _leads_to(mapped: Path, path: Path) -> bool:
    return len(mapped) <= len(path) and all(
        a == b or a == "-1" for a, b in zip(mapped, path[: len(mapped)], strict=True)
    )


def _row(
    one: OwnField, found: Found, every: dict[str, Found], flags: set[str], mapping: OwnMapping, shown: Shown
) -> FieldRow:
    raw = None if found.raw is MISSING else shown.raw(found.raw)
    if found.value is MISSING:
        return FieldRow(one.name, found.path, raw, None, found.why)
    if one.name == "kind" and found.value not in KINDS:
        mend = "add it to the map" if one.words is not None else "give kind a map"
        return FieldRow(one.name, found.path, raw, None, f"no kind: {mend}; kinds are {', '.join(KINDS)}")
    if one.name in flags:
        return FieldRow(one.name, found.path, raw, None, _refused(one))
    value = found.value
    why = ""
    if one.name == "tokens.input" and mapping.input_includes_cache:
        value, why = _fresh(value, every)
    if found.raw is MISSING:
        why = "a constant" if not found.path else "nothing is there: the default"
    return FieldRow(one.name, found.path, raw, _said(one, value, shown), why)


def _refused(one: OwnField) -> str:
    if one.name == "status":
        return f"no status: give it a map to {_STATUSES}"
    if one.name == "started_at":
        return "it lies after the end: left out"
    return "out of the field's range: left out"


def _fresh(whole: Any, every: dict[str, Found]) -> tuple[Any, str]:
    each = [every[f"tokens.{name}"].value for name in _CACHED if f"tokens.{name}" in every]
    cached = sum(one for one in each if isinstance(one, int))
    if cached > whole:
        return whole, f"{cached} cached tokens are more than all input: is input_includes_cache right?"
    return whole - cached, f"{whole} less {cached} cached" if cached else ""


def _said(one: OwnField, value: Any, shown: Shown) -> str:
    if one.name in TIMES:
        return iso(value)
    if one.name.endswith("_ms"):
        return f"{value:,.3f} ms"
    if one.name == "cost_usd":
        return f"{value:.6f} $"
    return shown.text(value) if isinstance(value, str) else shown.raw(value)
