"""Formats of coding agents are told from one another and from all else by content alone."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from collectors.formats import FORMATS, HEAD_LINES
from collectors.tail.document import is_whole
from tests.unit.format_files import DATA, lines_of, needs_data

AGENTS = {
    "claude-agent-sdk-cassette": "claude-agent-sdk",
    "codex": "codex",
    "copilot-cli": "copilot",
    "gemini-cli": "gemini",
    "opencode": "opencode",
}


def claimed_by(path: Path) -> set[str]:
    """Every format that would read this file, as lines or as one document, whatever the order they are asked in."""
    data = path.read_bytes()
    heads = [[line.data for line in lines_of(data)[:HEAD_LINES]]]
    if is_whole(data):
        heads.append([data])
    return {form.name for form in FORMATS for head in heads if head and form.recognises(head)}


@needs_data
def test_every_real_file_is_claimed_by_its_own_format_alone() -> None:
    claims: dict[str, set[str]] = defaultdict(set)
    for path in sorted(DATA.rglob("*")):
        if path.is_file():
            folder = path.relative_to(DATA).parts[0]
            if folder in AGENTS and "sdk/test-data" not in path.as_posix():
                assert claimed_by(path) == {AGENTS[folder]}, path
            else:
                claims[folder] |= claimed_by(path) & set(AGENTS.values())
    assert {folder: names for folder, names in claims.items() if names} == {}
