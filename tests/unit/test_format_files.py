"""Every real file of the formats: recognised by content, read without an exception, the same after any restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.formats import FORMATS, HEAD_LINES, by_name, recognise
from collectors.formats.base import BadLine
from collectors.formats.decode import CANNOT
from tests.unit.format_files import (
    CLAUDE,
    DATA,
    PI_FILE,
    VIEWER,
    lines_from,
    lines_of,
    merged,
    needs_data,
    parse,
    parse_with_restarts,
    parts_of,
)

# Kept in the data on purpose as files that are not what their folder says.
NOT_TRANSCRIPTS = {"duplicate-assistant-response-2.jsonl"}


def claude_files() -> list[Path]:
    return [path for path in sorted(CLAUDE.rglob("*.jsonl")) if path.name not in NOT_TRANSCRIPTS]


def pi_files() -> list[Path]:
    return [*sorted((DATA / "pi").rglob("*.jsonl")), *sorted((DATA / "other-cli").glob("*/pi/*.jsonl"))]


def name_of(path: Path) -> str:
    return path.parent.name + "/" + path.name


def head(path: Path) -> list[bytes]:
    return [line.data for line in lines_of(path.read_bytes())[:HEAD_LINES]]


@needs_data
@pytest.mark.parametrize("path", claude_files(), ids=name_of)
def test_every_claude_file_is_recognised_and_read(path: Path) -> None:
    found = recognise(head(path))
    assert found is not None
    assert found.name == "claude-code"
    no_fault_of_ours(parse(found.name, lines_of(path.read_bytes()), str(path)).bad)


@needs_data
@pytest.mark.parametrize("path", pi_files(), ids=name_of)
def test_every_pi_file_is_recognised_and_read(path: Path) -> None:
    found = recognise(head(path))
    assert found is not None
    assert found.name == "pi"
    parsed = parse(found.name, lines_of(path.read_bytes()), str(path))
    assert not parsed.bad
    assert parsed.spans


@needs_data
def test_files_of_other_formats_are_not_taken_for_ours() -> None:
    ours = {"claude-code", "pi", "bad-json", "naughty-strings"}
    others = [path for path in sorted(DATA.rglob("*")) if path.is_file() and not ours & set(path.parts)]
    lines = {"andon", "claude-code", "pi"}
    found = {path: recognise(head(path)) for path in others}
    taken = {path.relative_to(DATA).parts[2] for path, form in found.items() if form is not None and form.name in lines}
    assert taken <= {"openclaw"}  # an agent built on Pi, which writes its format


@needs_data
@pytest.mark.parametrize("path", [*claude_files(), *pi_files()], ids=name_of)
def test_a_restart_at_every_line_changes_nothing(path: Path) -> None:
    lines = lines_of(path.read_bytes())
    found = recognise([line.data for line in lines[:HEAD_LINES]])
    assert found is not None
    whole = parse(found.name, lines, str(path))
    pieces = parse_with_restarts(found.name, lines, str(path))
    assert merged(pieces.spans) == merged(whole.spans)
    assert parts_of(pieces.spans) == parts_of(whole.spans)
    assert pieces.bad == whole.bad
    assert pieces.unknown_types == whole.unknown_types


@needs_data
@pytest.mark.parametrize("path", [next(VIEWER.glob("5c03*"), Path()), PI_FILE], ids=["claude", "pi"])
def test_versions_may_arrive_in_any_order_and_twice(path: Path) -> None:
    lines = lines_of(path.read_bytes())
    found = recognise([line.data for line in lines[:HEAD_LINES]])
    assert found is not None
    spans = parse(found.name, lines, str(path)).spans
    assert merged(list(reversed(spans))) == merged(spans) == merged(spans + spans)


def test_a_state_of_another_version_starts_anew() -> None:
    from collectors.formats.base import SourceFacts

    for one in FORMATS:
        parser = one.parser(SourceFacts("s", "/x.jsonl"), b"\xff not a state")
        assert parser.parse(lines_from({"type": "summary", "leafUuid": "x"})) is not None


def test_formats_are_known_by_name() -> None:
    names = [one.name for one in FORMATS]
    assert len(names) == len(set(names))
    assert [by_name(name) for name in names] == list(FORMATS)
    assert by_name("no such format") is None


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello\nworld", b"{}", b"[1]\n[2]", b"\0" * 100, b"\xff\xfe{\0}\0"])
def test_what_is_of_no_format_is_of_no_format(content: bytes) -> None:
    assert recognise(content.split(b"\n")) is None


def test_one_broken_line_does_not_hide_a_format() -> None:
    good = b'{"session_id":"s","kind":"llm","time":1769825640}'
    assert getattr(recognise([b"{broken", good, good]), "name", None) == "andon"
    assert recognise([b"{broken", b"text"]) is None


def no_fault_of_ours(bad: list[BadLine]) -> None:
    assert [one.reason for one in bad if one.reason.startswith(CANNOT)] == []
