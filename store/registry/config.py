"""andon.toml: what to collect, where the switches lie. Read from the user's config folder, never from the working one.

```toml
environment = "prod"
tz = "Europe/Vienna"
rotate_wait = "30s"           # how long a rotated or deleted file is read on after its last line
health_every = "30s"          # how often the health URLs of agents.toml are probed

[redact]
rules = "redact.toml"         # rules of your own, looked at first; beside this file unless the path is absolute

[prices]
file = "prices.toml"          # prices of your own, looked at first; beside this file unless the path is absolute

[otlp]
listen = ["127.0.0.1:4318"]   # receive traces and logs; a public address needs a token
token_file = "/home/me/.config/andon/otlp-token"   # default: ANDON_OTLP_TOKEN

[[source]]
path = "/var/log/agents/*.jsonl"
format = "andon"              # default: recognised by content
agent = "billing-bot"         # for logs that name no agent

[[pull]]
kind = "phoenix"              # spans from a running Arize Phoenix
url = "http://127.0.0.1:6006"
project = "default"
agent = "billing-bot"         # default: what the spans say
token_env = "PHOENIX_API_KEY" # the environment variable that holds the token
every = "10s"
```

A source with `format = "json"` says in `[source.fields]` where each field lies (docs/own-json.md). Its names and paths
are checked by who collects: this file knows their shape alone.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from store.record.span import NS_PER_S
from store.record.window import parse_age
from store.registry.model import RegistryError, first_problem
from store.registry.url import checked_url, is_plain_and_far

OWN_JSON_KEYS = frozenset(
    {"fields", "where", "time_format", "time_zone", "input_includes_cache", "cost_unit", "duration_unit"}
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(_Strict):
    path: str
    format: str | None = None
    agent: str | None = None
    # your own JSON
    fields: dict[str, Any] | None = None
    where: dict[str, Any] | None = None
    time_format: str = ""
    time_zone: str | None = None
    input_includes_cache: bool = False
    cost_unit: str = "usd"
    duration_unit: str = "ms"

    @model_validator(mode="after")
    def _mapping_is_of_own_json(self) -> SourceConfig:
        said = sorted(self.model_fields_set & OWN_JSON_KEYS)
        if self.format != "json" and said:
            raise ValueError(f'{", ".join(said)}: only with format = "json"')
        if self.format == "json" and not self.fields:
            raise ValueError('format = "json" needs [source.fields], which says where each field lies')
        return self


class PullConfig(_Strict):
    """A program that is asked for its spans. The token is in the environment, never in this file."""

    kind: Literal["phoenix"]
    url: str
    project: str = "default"
    agent: str | None = None
    token_env: str | None = None
    every: str = "10s"

    @field_validator("url")
    @classmethod
    def _can_be_asked(cls, url: str) -> str:
        if "?" in url:
            raise ValueError("leave the ? and what follows out of it: the URL is kept as the name of the feed")
        return checked_url(url)

    @field_validator("every")
    @classmethod
    def _is_an_age(cls, text: str) -> str:
        if parse_age(text) < NS_PER_S:
            raise ValueError("at least 1s")
        return text

    @model_validator(mode="after")
    def _token_stays_private(self) -> PullConfig:
        if self.token_env is not None and is_plain_and_far(self.url):
            raise ValueError("the token would cross the network in the clear: use https")
        return self

    @property
    def every_s(self) -> float:
        return parse_age(self.every) / NS_PER_S


class RedactConfig(_Strict):
    rules: str | None = None  # a file of rules (docs/redaction.md)


class PricesConfig(_Strict):
    file: str | None = None  # default: prices.toml beside andon.toml (collectors.enrich.price_file)


class OtlpConfig(_Strict):
    """Where OTLP is received. The token is in a file or in the environment, never in this one."""

    listen: tuple[str, ...] = ()
    token_file: str | None = None


class Config(_Strict):
    environment: str = ""
    tz: str | None = None
    rotate_wait: str = "30s"
    health_every: str = "30s"
    redact: RedactConfig = RedactConfig()
    prices: PricesConfig = PricesConfig()
    otlp: OtlpConfig = OtlpConfig()
    source: tuple[SourceConfig, ...] = Field(default=())
    pull: tuple[PullConfig, ...] = Field(default=())

    @field_validator("rotate_wait")
    @classmethod
    def _is_an_age(cls, text: str) -> str:
        parse_age(text)
        return text

    @field_validator("health_every")
    @classmethod
    def _is_a_pause(cls, text: str) -> str:
        if parse_age(text) < NS_PER_S:
            raise ValueError("at least 1s")
        return text

    @property
    def rotate_wait_s(self) -> float:
        return parse_age(self.rotate_wait) / NS_PER_S

    @property
    def health_every_s(self) -> float:
        return parse_age(self.health_every) / NS_PER_S


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
