"""The README's tables come from the code. To renew them: python -m tests.unit.test_readme"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from console.cli.main import COMMANDS
from console.keys import key_table

README = Path(__file__).resolve().parents[2] / "README.md"


def tables() -> dict[str, str]:
    """Each generated part of the README, by its mark."""
    keys = "\n".join(f"| `{key}` | {says} |" for key, says in key_table())
    commands = "\n".join(f"| `andon {name}` | {says} |" for name, (_, says) in COMMANDS.items())
    return {
        "keys": f"| Key | What it does |\n| --- | --- |\n{keys}",
        "commands": f"| Command | What it does |\n| --- | --- |\n| `andon` | The console. |\n{commands}",
    }


def renewed(text: str) -> str:
    for name, table in tables().items():
        found = re.search(rf"<!-- {name}:.*?-->\n(.*?)<!-- /{name} -->", text, flags=re.DOTALL)
        assert found is not None, f"the README has no mark for its {name}"
        text = text[: found.start(1)] + table + "\n" + text[found.end(1) :]
    return text


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == renewed(text), "run: python -m tests.unit.test_readme"


def test_what_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / unquote(link)).exists()] == []


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
