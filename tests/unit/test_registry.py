"""agents.toml: an unknown key is an error that names it; what is declared nowhere stays unmapped."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.record.tools import effect_status_of
from store.registry.model import Registry, RegistryError, load_registry

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_registry_gives_facts_of_tools_and_owners_of_systems(tmp_path: Path) -> None:
    registry = load_registry(
        write(
            tmp_path / "agents.toml",
            """
            [agents.bot]
            owner = "payments"
            [agents.bot.tools.send]
            tier = "high"
            reversible = "no"
            system = "email"
            [tools]
            send = { tier = "read" }
            look = { tier = "read", system = "crm" }
            [systems.email]
            owner = "@mail"
            """,
        )
    )
    tools = registry.tool_map()
    own, shared, look = tools.of("bot", "send"), tools.of("other", "send"), tools.of(None, "look")
    assert own is not None
    assert (own.tier, own.system, own.reversible, own.writes) == ("high", "email", "no", True)
    assert shared is not None
    assert (shared.system, shared.writes) == ("send", False)
    assert look is not None
    assert tools.of("bot", "undeclared") is None
    assert tools.of("bot", None) is None
    assert registry.owner_of_system("email") == "@mail"
    assert registry.owner_of_system("crm") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[agents.bot]\nowner_team = 'x'\n", "unknown key agents.bot.owner_team"),
        ("[agent.bot]\n", "unknown key agent"),
        ("[tools.x]\ntier = 'some'\n", "tools.x.tier"),
        ("[tools.x]\n", "tools.x.tier"),
        ("[tools.x]\ntier = 'read'\nreversible = true\n", "tools.x.reversible"),
        ("[agents.bot\n", "not TOML"),
        pytest.param("a = " + "[" * 10_000, "agents.toml", id="nested"),
        pytest.param("[tools]\nx = " + "9" * 5000 + "\n", "agents.toml", id="digits"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load_registry(write(tmp_path / "agents.toml", text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_is_an_empty_registry_and_an_unreadable_one_an_error(tmp_path: Path) -> None:
    assert load_registry(tmp_path / "none.toml") == Registry()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RegistryError, match="cannot be read"):
        load_registry(tmp_path / "bytes.toml")
    with pytest.raises(RegistryError, match="cannot be read"):
        load_registry(tmp_path)


@pytest.mark.parametrize("path", ["docs/agents.toml.example", "console/demo/agents.toml"])
def test_what_is_shipped_is_valid(path: str) -> None:
    registry = load_registry(ROOT / path)
    assert registry.agents
    assert all(agent.owner for agent in registry.agents.values())


def test_the_outcome_of_a_declared_write_follows_its_span() -> None:
    answers = {status: effect_status_of(status) for status in ("ok", "error", "aborted", "unknown", None)}
    assert answers == {
        "ok": "confirmed",
        "error": "failed",
        "aborted": "unknown",
        "unknown": "unknown",
        None: "unknown",
    }
