"""What to collect, from the command line or andon.toml, as the collector takes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.options import Refused, Settings

if TYPE_CHECKING:
    from collectors.declared import Declared
    from collectors.pull.outside import Outside
    from store.registry.config import SourceConfig

OWN_JSON = "json"


def declared_sources(
    settings: Settings, paths: tuple[Path, ...], format_name: str | None, agent: str | None
) -> list[Declared]:
    """PATH... of the command line, else every [[source]]. click.UsageError or Refused says what cannot be used."""
    from collectors.declared import Declared

    if not paths:
        return [declared_of(settings, source) for source in settings.config().source]
    check_format(format_name)
    if format_name != OWN_JSON:
        return [Declared(path, format_name, agent) for path in paths]
    declared = []
    for path in paths:
        own, _ = own_json_source(settings, path)
        declared.append(Declared(path, OWN_JSON, agent or own.agent, own.mapping))
    return declared


def declared_of(settings: Settings, source: SourceConfig) -> Declared:
    """One [[source]]. Refused names the key of its mapping that is wrong."""
    from collectors.declared import Declared
    from collectors.formats.own_mapping import MappingError, own_mapping

    check_format(source.format)
    if source.fields is None:
        return Declared(source.path, source.format, source.agent)
    try:
        mapping = own_mapping(
            source.fields,
            where=source.where,
            time_format=source.time_format,
            time_zone=source.time_zone,
            input_includes_cache=source.input_includes_cache,
            cost_unit=source.cost_unit,
            duration_unit=source.duration_unit,
        )
    except MappingError as error:
        raise Refused(
            f"{settings.config_folder}/andon.toml: [[source]] number {number_of(settings, source)}: {error}"
        ) from None
    return Declared(source.path, OWN_JSON, source.agent, mapping)


def own_json_source(settings: Settings, path: Path) -> tuple[Declared, int]:
    """The [[source]] of your own JSON that finds `path`, else the only one there is, and its number in andon.toml.

    click.UsageError where there is none, or several and none of them finds it.
    """
    from collectors.discover import Selection

    own = [source for source in settings.config().source if source.format == OWN_JSON]
    absolute = str(path.absolute())
    of_path = [source for source in own if Selection([source.path]).accepts(absolute)]
    where = f"{settings.config_folder}/andon.toml"
    if not own:
        raise click.UsageError(
            f'{where} has no [[source]] with format = "json": docs/own-json.md says how to write one'
        )
    if not of_path and len(own) > 1:
        raise click.UsageError(
            f'none of the {len(own)} sources with format = "json" in {where} finds {path}: give one of them its path'
        )
    source = (of_path or own)[0]
    return declared_of(settings, source), number_of(settings, source)


def number_of(settings: Settings, source: SourceConfig) -> int:
    """Which [[source]] of andon.toml it is, from 1."""
    return next(number for number, one in enumerate(settings.config().source, 1) if one == source)


def check_format(name: str | None) -> None:
    """click.UsageError where there is no format of that name."""
    from collectors.formats import FORMATS, by_name

    if name is not None and name != OWN_JSON and by_name(name) is None:
        known = ", ".join([*(each.name for each in FORMATS), OWN_JSON])
        raise click.UsageError(f"{name!r} is no format: use {known}")


def outside_of(settings: Settings, *, with_pulls: bool) -> Outside | None:
    """What the config says to pull (where `with_pulls`) and to probe, not started; None where it says neither.

    Refused where a token's variable is not set.
    """
    import os

    config, urls = settings.config(), settings.registry().health_urls()
    wanted = config.pull if with_pulls else ()
    if not wanted and not urls:
        return None
    from collectors.pull.health import Health
    from collectors.pull.outside import Outside
    from collectors.pull.phoenix import PhoenixSource

    pulls = []
    for one in wanted:
        token = None if one.token_env is None else os.environ.get(one.token_env)
        if one.token_env is not None and not token:
            raise Refused(f"[[pull]] {one.url}: the variable {one.token_env} is not set; put the token into it")
        pulls.append(PhoenixSource(one.url, one.project, one.agent, token, one.every_s))
    return Outside(pulls, Health(urls, config.health_every_s))
