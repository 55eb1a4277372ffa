"""What tests of formats that are one JSON document share: a value as a document, and real files read as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collectors.formats import recognise
from collectors.formats.base import Line, Parsed
from tests.unit.format_files import DATA, Rows, merged, parse, parts_of, rejected


def files_of(folder: str, *patterns: str) -> list[Path]:
    """The real files of a folder of the data; none where the data is absent."""
    return sorted(path for pattern in patterns for path in (DATA / folder).rglob(pattern))


def name_of(path: Path) -> str:
    return "/".join(path.parts[-2:])[-60:]


def loaded(path: Path) -> Any:
    return json.loads(path.read_bytes())


def document(value: object) -> list[Line]:
    return [Line(0, json.dumps(value, indent=1).encode())]


def read_file(path: Path, name: str) -> Parsed:
    """A real document: recognised as `name`, read without a reject or an unknown type."""
    data = path.read_bytes()
    found = recognise([data])
    assert found is not None
    assert found.name == name
    parsed = parse(name, [Line(0, data)], str(path))
    assert not parsed.bad, rejected(parsed)
    assert not parsed.unknown_types
    return parsed


def rows_in(name: str, value: object, path: str = "/logs/a/b/c.json") -> Rows:
    """The rows that a document comes to, none of it rejected."""
    parsed = parse(name, document(value), path)
    assert not parsed.bad, rejected(parsed)
    return merged(parsed.spans)


def by_id(rows: Rows, span_id: str) -> dict[str, Any]:
    (row,) = (row for (_, own), row in rows.items() if own == span_id)
    return row


def total(rows: Rows, field: str) -> int:
    return sum(row[field] or 0 for row in rows.values())


def same_when_read_in_versions(name: str, versions: list[object], path: str = "/logs/a/b/c.json") -> None:
    """Each version of a document that grows, read anew and twice, comes to what the last one says alone."""
    spans = [span for one in versions * 2 for span in parse(name, document(one), path).spans]
    alone = parse(name, document(versions[-1]), path).spans
    assert merged(spans) == merged(alone)
    assert parts_of(spans) == parts_of(alone)
