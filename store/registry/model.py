"""agents.toml: who owns an agent and what each of its tools can do outside.

```toml
[agents.billing-bot]
owner = "payments"            # the people who answer for it
on_call = "@payments"
environment = "prod"
runbook = "runaway-loop"
may_stop = "any on-call"
health = "http://127.0.0.1:8080/healthz"  # probed: is its infrastructure up

[agents.billing-bot.tools.send_email]
tier = "high"                 # read | limited | high
reversible = "no"             # yes | no | unknown
system = "email"
```

`[tools.NAME]` declares a tool of every agent; `[systems.NAME]` says who owns a system. An unknown key is an
error that names it. A tool declared nowhere is unmapped: neither safe nor a write, and said so.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from store.record.tools import ToolFacts, ToolMap
from store.registry.url import checked_url


class RegistryError(Exception):
    """agents.toml cannot be used; the message names the file, the key and what to write instead."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tool(_Strict):
    tier: Literal["read", "limited", "high"]
    reversible: Literal["yes", "no", "unknown"] = "unknown"
    system: str | None = None
    undo: str | None = None  # how a write is undone, in words


class System(_Strict):
    owner: str | None = None
    check: str | None = None  # how to ask the system what really happened, in words


class Agent(_Strict):
    owner: str | None = None
    business_owner: str | None = None
    on_call: str | None = None
    may_stop: str | None = None
    environment: str | None = None
    runbook: str | None = None
    health: str | None = None  # a URL that answers 2xx while its infrastructure is up
    tools: dict[str, Tool] = Field(default_factory=dict)

    @field_validator("health")
    @classmethod
    def _can_be_asked(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)


class Registry(_Strict):
    agents: dict[str, Agent] = Field(default_factory=dict)
    tools: dict[str, Tool] = Field(default_factory=dict)
    systems: dict[str, System] = Field(default_factory=dict)

    def tool_map(self) -> ToolMap:
        """The plain map that classification takes: (agent or "", tool) -> facts."""
        shared = {("", name): tool for name, tool in self.tools.items()}
        own = {(agent, name): tool for agent, entry in self.agents.items() for name, tool in entry.tools.items()}
        return ToolMap(
            {
                key: ToolFacts(tool.tier, tool.system or key[1], tool.reversible, tool.undo)
                for key, tool in (shared | own).items()
            }
        )

    def health_urls(self) -> dict[str, str]:
        """What to probe, by agent."""
        return {agent: entry.health for agent, entry in self.agents.items() if entry.health is not None}

    def owner_of_system(self, system: str) -> str | None:
        entry = self.systems.get(system)
        return entry.owner if entry else None


def load_registry(path: Path) -> Registry:
    """Read agents.toml; a file that is not there is an empty registry. RegistryError names what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Registry()
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path} cannot be read: {error}; no agent is declared until it can be") from None
    try:
        return Registry.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"{path} is not TOML: {error}") from None
    except (ValidationError, RecursionError) as error:
        raise RegistryError(f"{path}: {first_problem(error)}") from None
    except ValueError as error:  # a number of thousands of digits
        raise RegistryError(f"{path} is not TOML that can be read: {error}") from None


def first_problem(error: ValidationError | RecursionError) -> str:
    """The first thing wrong, by the name of its key, and how many more there are."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    problems = error.errors()
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {where}{more}"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}{more}"
