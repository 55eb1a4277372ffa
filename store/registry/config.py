"""andon.toml: what to collect, where the switches lie. Read from the user's config folder, never from the working one.

```toml
environment = "prod"
tz = "Europe/Vienna"

[[source]]
path = "/var/log/agents/*.jsonl"
format = "andon"              # default: recognised by content
agent = "billing-bot"         # for logs that name no agent
```
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from store.registry.model import RegistryError, first_problem


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(_Strict):
    path: str
    format: str | None = None
    agent: str | None = None


class Config(_Strict):
    environment: str = ""
    tz: str | None = None
    source: tuple[SourceConfig, ...] = Field(default=())


def load_config(path: Path) -> Config:
    """Read andon.toml; a file that is not there is the default. RegistryError names what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path} cannot be read: {error}") from None
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"{path} is not TOML: {error}") from None
    except (ValidationError, RecursionError) as error:
        raise RegistryError(f"{path}: {first_problem(error)}") from None
