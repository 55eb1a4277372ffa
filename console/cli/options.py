"""Options of every command, and what they come to: folders, the moment, the zone."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from store.folder import StoreError, StoreFolder

if TYPE_CHECKING:
    from collectors.enrich import Enricher
    from collectors.enrich.price_table import PriceTable
    from collectors.enrich.rules import RuleRow
    from store.record.scope import Scope
    from store.registry.config import Config
    from store.registry.model import Registry
    from store.telemetry.reader import Reader


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked, before anything was opened. An option given after the command goes before one given before it."""

    store_path: Path | None = None
    config_path: Path | None = None
    as_of: str | None = None
    tz: str | None = None
    read_only: bool = False

    def over(self, outer: Settings) -> Settings:
        return Settings(
            self.store_path or outer.store_path,
            self.config_path or outer.config_path,
            self.as_of or outer.as_of,
            self.tz or outer.tz,
            self.read_only or outer.read_only,
        )

    @property
    def folder(self) -> StoreFolder:
        """The store folder; it need not exist yet."""
        if self.store_path is not None:
            return StoreFolder(self.store_path.absolute())
        import platformdirs

        return StoreFolder(Path(platformdirs.user_data_dir("andon", appauthor=False)))

    @property
    def config_folder(self) -> Path:
        if self.config_path is not None:
            return self.config_path.absolute()
        import platformdirs

        return Path(platformdirs.user_config_dir("andon", appauthor=False))

    @property
    def registry_path(self) -> Path:
        return self.config_folder / "agents.toml"

    def registry(self) -> Registry:
        """agents.toml; click.ClickException with the file and key where it cannot be used."""
        from store.registry.model import RegistryError, load_registry

        try:
            return load_registry(self.registry_path)
        except RegistryError as error:
            raise Refused(str(error)) from None

    def config(self) -> Config:
        from store.registry.config import load_config
        from store.registry.model import RegistryError

        try:
            return load_config(self.config_folder / "andon.toml")
        except RegistryError as error:
            raise Refused(str(error)) from None

    def redaction_rules(self) -> tuple[RuleRow, ...]:
        """The user's rules, named by the config. Refused with the rule where the file cannot be used."""
        named = self.config().redact.rules
        if named is None:
            return ()
        from collectors.enrich.rules import RulesError, load_rules

        try:
            return load_rules(self.config_folder / Path(named).expanduser())
        except RulesError as error:
            raise Refused(str(error)) from None

    def prices(self) -> PriceTable:
        """prices.toml of the config folder, or the file that the config names. Refused with the key that is wrong."""
        from collectors.enrich.price_file import PriceTableError, load_prices

        named = self.config().prices.file
        path = self.config_folder / Path(named or "prices.toml").expanduser()
        if named is not None and not path.exists():
            raise Refused(f"{path}, named by [prices] file in andon.toml, is not there")
        try:
            return load_prices(path)
        except PriceTableError as error:
            raise Refused(str(error)) from None

    def enricher(self, *, own_rules_only: bool = False) -> Enricher:
        """What makes a value that somebody typed raw into what the store holds. The store has a key already."""
        from collectors.enrich import Enricher
        from store.record.tools import ToolMap

        return Enricher(self.folder, ToolMap(), () if own_rules_only else self.redaction_rules())

    def zone(self) -> str:
        """The zone in which a day begins: --tz, else the config's, else UTC."""
        from zoneinfo import ZoneInfo

        name = self.tz or self.config().tz or "UTC"
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise click.UsageError(f"{name!r} is no time zone: write UTC, or a name such as Europe/Vienna") from None
        return name

    def moment_ns(self, reader: Reader) -> int:
        """`--as-of`: now, the newest event for `latest`, or the time that was named."""
        if self.as_of == "latest":
            return reader.latest_ns() or time.time_ns()
        return self.named_moment_ns() or time.time_ns()

    def named_moment_ns(self) -> int | None:
        """The moment where it can be told without the store; None for now and for `latest`."""
        if self.as_of is None or self.as_of == "latest":
            return None
        from store.record.window import TimeError, parse_time

        try:
            return parse_time(self.as_of, time.time_ns())
        except TimeError as error:
            raise click.UsageError(f"--as-of: {error}") from None

    def reader(self) -> Reader:
        """A reader of the store; a store of a newer Andon is read, with a warning."""
        from store.telemetry.reader import Reader

        reader = Reader(self.folder)
        if reader.warning is not None:
            click.echo(f"andon: {reader.warning}", err=True)
        return reader

    def raw_scope(self, text: str) -> Scope:
        """The scope as typed. click.UsageError says what to type instead."""
        from store.record.scope import Scope, ScopeError

        try:
            return Scope.parse(text)
        except ScopeError as error:
            raise click.UsageError(str(error)) from None

    def stored_scope(self, scope: Scope, *, own_rules_only: bool = False) -> Scope:
        """The scope as the store knows it: a value that redaction replaced is looked up by its token."""
        if not scope.parts or not self.folder.redact_key.exists():
            return scope
        enricher = self.enricher(own_rules_only=own_rules_only)
        return type(scope)(
            tuple(
                (kind, (enricher.id_of if kind == "session" else enricher.token_of)(value))
                for kind, value in scope.parts
            )
        )

    def stored_value(self, value: str | None) -> str | None:
        """A value typed raw (`bob@example.org`) as the store has it."""
        if value is None or not self.folder.redact_key.exists():
            return value
        return self.enricher().token_of(value)

    def stored_id(self, value: str) -> str:
        """The id of a session typed raw as the store has it."""
        return self.enricher().id_of(value) if self.folder.redact_key.exists() else value


class Refused(click.ClickException):
    """An input cannot be used (exit 2), or what was asked is refused or not there (exit 1): one line, no traceback."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.code = exit_code

    def show(self, file: Any = None) -> None:
        click.echo(f"andon: {self.format_message()}", err=True, file=file)


_PATH = click.Path(path_type=Path)


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command; the function gets them as `settings`."""

    @click.option("--store", "store_path", type=_PATH, envvar="ANDON_STORE", help="Store folder.")
    @click.option(
        "--config", "config_path", type=_PATH, envvar="ANDON_CONFIG", help="Folder of andon.toml, agents.toml."
    )
    @click.option("--as-of", metavar="TIME|latest", help="Look at the store as of this moment (default now).")
    @click.option("--tz", metavar="ZONE", help="Zone in which a day begins (default UTC).")
    @click.option("--read-only", is_flag=True, help="Change nothing.")
    @click.pass_context
    @functools.wraps(command)
    def wrapped(ctx: click.Context, /, **values: Any) -> Any:
        names = ("store_path", "config_path", "as_of", "tz", "read_only")
        settings = Settings(**{name: values.pop(name) for name in names})
        if ctx.parent is not None and isinstance(ctx.parent.obj, Settings):
            settings = settings.over(ctx.parent.obj)
        ctx.obj = settings
        return command(settings=settings, **values)

    return wrapped


def require_store(settings: Settings) -> StoreFolder:
    """The folder, prepared for writing. StoreError where it cannot be, or where --read-only forbids it."""
    if settings.read_only:
        raise StoreError("--read-only: nothing was changed; leave the option out to do this")
    return settings.folder.prepare()


def now_window(settings: Settings, text: str, reader: Reader) -> tuple[Any, int]:
    """(window, as_of_ns) of `--window`. click.UsageError for a window that is none."""
    from store.record.window import TimeError, parse_window

    as_of_ns = settings.moment_ns(reader)
    try:
        return parse_window(text, as_of_ns), as_of_ns
    except TimeError as error:
        raise click.UsageError(f"--window: {error}") from None


def is_terminal() -> bool:
    return os.isatty(0) and os.isatty(1)
