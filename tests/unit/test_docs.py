"""What the documentation says of formats is complete: each has its section and its place in the table."""

from __future__ import annotations

import re
from pathlib import Path

from collectors.formats import FORMATS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_format_has_a_section_and_a_row() -> None:
    text = (DOCS / "formats.md").read_text(encoding="utf-8")
    names = {one.name for one in FORMATS} | {"json"}
    assert set(re.findall(r"^## (.+)$", text, flags=re.MULTILINE)) == names
    assert set(re.findall(r"^\| \[`(.+?)`\]", text, flags=re.MULTILINE)) == names


def test_links_between_the_docs_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (DOCS / link).exists(), f"{page.name} links to {link}"
