"""How your own JSON is read: for each field of Andon NDJSON where it lies in a record, and how its values are written.

Made once from `[[source]]` of andon.toml (docs/own-json.md); plain tuples and dicts, so that it can be pickled. What is
wrong with it is said when it is made, by the name of its key.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from collectors.formats.andon_line import AndonLine
from collectors.formats.andon_span import FIELDS
from collectors.formats.decode import canonical, type_name
from collectors.formats.own_paths import MISSING, Path, Tree, at_path, break_of, parse_path, path_text, tree_of
from collectors.formats.own_values import (
    NS_PER_UNIT,
    PER_USD,
    TimeFormat,
    Unfit,
    dollars,
    duration_ms,
    plain_text,
    real_number,
    whole_number,
)
from store.record.span import KINDS

TIMES = frozenset({"time", "started_at", "ended_at"})
DURATIONS = frozenset({"duration_ms", "ttft_ms", "wait.human_ms", "wait.queue_ms"})
COUNTS = frozenset({"attempt", "context_tokens", "context_limit", "guard.action"})
AS_THEY_ARE = frozenset({"input", "output", "tool.args", "tool.result", "effect.reversible"})
_SPEC_KEYS = ("path", "value", "map", "default", "time_format")


class MappingError(ValueError):
    """The mapping cannot be used; one line that names the key and says what to write."""


def field_names() -> tuple[str, ...]:
    """Every field that can be mapped; those of a group by `group.name`."""
    return tuple(
        name if nested is None else f"{name}.{inner}"
        for name, (_, nested) in FIELDS[AndonLine].items()
        for inner in (FIELDS[nested] if nested is not None else ("",))
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What a field of one record came to. `value` is MISSING where there is none, and `why` says why not."""

    path: str
    raw: Any
    value: Any
    why: str = ""


@dataclass(frozen=True, slots=True)
class OwnField:
    """One field: the first of `paths` where there is something, else `otherwise`; `words` are values by other names."""

    name: str
    paths: tuple[Path, ...] = ()
    otherwise: Any = MISSING
    words: dict[str, str] | None = None
    time: TimeFormat = TimeFormat()  # noqa: RUF009 - it is frozen

    def read(self, row: dict[str, Any], mapping: OwnMapping) -> Found:
        """What it came to, with the reason where that is nothing."""
        for path in self.paths:
            raw = at_path(row, path)
            if raw is not MISSING:
                value = self._fitted(raw, mapping)
                unfit = isinstance(value, Unfit)
                return Found(path_text(path), raw, MISSING, value.why) if unfit else Found(path_text(path), raw, value)
        if self.otherwise is not MISSING:
            return Found("" if not self.paths else path_text(self.paths[0]), MISSING, self.otherwise)
        first = self.paths[0]
        return Found(path_text(first), MISSING, MISSING, break_of(row, first))

    def value(self, row: dict[str, Any], mapping: OwnMapping) -> Any:
        """What it came to, alone: MISSING where nothing is there, Unfit where it cannot be taken."""
        for path in self.paths:
            raw = at_path(row, path)
            if raw is not MISSING:
                return self._fitted(raw, mapping)
        return self.otherwise

    def _fitted(self, raw: Any, mapping: OwnMapping) -> Any:
        value: Any = raw
        if self.words is not None:
            value = self.words.get(raw if isinstance(raw, str) else canonical(raw), MISSING)
            if value is MISSING and self.otherwise is not MISSING:
                value = self.otherwise
            elif value is MISSING and not isinstance(raw, str):
                return Unfit("the map has no such value")
            value = raw if value is MISSING else value
        if self.name in TIMES:
            return self.time.ns(value)
        if self.name in DURATIONS:
            return duration_ms(value, mapping.duration_unit)
        if self.name in COUNTS or self.name.startswith("tokens."):
            return whole_number(value)
        if self.name == "cost_usd":
            return dollars(value, mapping.cost_unit)
        if self.name == "score.value":
            return real_number(value)
        return value if self.name in AS_THEY_ARE else plain_text(value)


@dataclass(frozen=True, slots=True)
class Where:
    """Which records are read: those whose value at `path` is one of `values`."""

    path: Path
    values: frozenset[str]

    def passes_over(self, row: dict[str, Any]) -> str | None:
        """The name of its type, for a record that is passed over; None for one that is read."""
        raw = at_path(row, self.path)
        if raw is MISSING:
            return type_name(None)
        text = raw if isinstance(raw, str) else canonical(raw)
        return None if text in self.values else type_name(text)


@dataclass(frozen=True, slots=True)
class OwnMapping:
    """All of it. `digest` is of what it says: another mapping reads a file anew."""

    fields: tuple[OwnField, ...]
    where: Where | None = None
    input_includes_cache: bool = False
    cost_unit: str = "usd"
    duration_unit: str = "ms"
    digest: str = ""
    taken: Tree = field(default_factory=dict)  # paths whose value is in a field as it is

    def read(self, row: dict[str, Any], flags: set[str]) -> dict[str, Any]:
        """The record as an object of Andon NDJSON; a value that was not taken is named in `flags`."""
        line: dict[str, Any] = {}
        for one in self.fields:
            value = one.value(row, self)
            if value is MISSING:
                continue
            if value.__class__ is Unfit:
                flags.add(one.name)
                continue
            group, dot, inner = one.name.partition(".")
            if dot:
                line.setdefault(group, {})[inner] = value
            else:
                line[group] = value
        if self.input_includes_cache:
            _take_cache_out(line.get("tokens"), flags)
        return line

    def paths_of(self, name: str) -> str:
        """Where a field is looked for, for a message."""
        own = next((one for one in self.fields if one.name == name), None)
        return " or ".join(path_text(path) for path in own.paths) if own is not None else ""


def _take_cache_out(tokens: dict[str, int] | None, flags: set[str]) -> None:
    """FORMATS: stored input is fresh only. Where cached tokens exceed the whole, the parts stay and are flagged."""
    if tokens is None or "input" not in tokens:
        return
    cached = sum(tokens.get(name, 0) for name in ("cache_read", "cache_write_5m", "cache_write_1h"))
    if cached <= tokens["input"]:
        tokens["input"] -= cached
    else:
        flags.add("total_tokens")


def own_mapping(
    fields: Mapping[str, Any],
    *,
    where: Mapping[str, Any] | None = None,
    time_format: str = "",
    time_zone: str | None = None,
    input_includes_cache: bool = False,
    cost_unit: str = "usd",
    duration_unit: str = "ms",
) -> OwnMapping:
    """The mapping that `[[source]]` says. MappingError names the key that is wrong."""
    if cost_unit not in PER_USD:
        raise MappingError(f"cost_unit: write one of {', '.join(PER_USD)}")
    if duration_unit not in NS_PER_UNIT:
        raise MappingError(f"duration_unit: write one of {', '.join(NS_PER_UNIT)}")
    times = _time_format("time_format", time_format, _zone(time_zone))
    made = tuple(_field(name, said, times) for name, said in _flat(fields))
    names = {one.name for one in made}
    for name, why in (("session_id", "every record is of a session"), ("kind", f"one of {', '.join(KINDS)}")):
        if name not in names:
            raise MappingError(f"fields.{name} is missing: {why}")
    if not names & TIMES:
        raise MappingError("fields has no time: map time, started_at or ended_at")
    return OwnMapping(
        fields=made,
        where=None if where is None else _where(where),
        input_includes_cache=input_includes_cache,
        cost_unit=cost_unit,
        duration_unit=duration_unit,
        digest=_digest(fields, where, time_format, time_zone, input_includes_cache, cost_unit, duration_unit),
        taken=tree_of([path for one in made if one.words is None for path in one.paths]),
    )


def _digest(*said: object) -> str:
    return hashlib.blake2b(canonical(said).encode("utf-8", "replace"), digest_size=4).hexdigest()


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(field, what is said of it). A group is written as `"tokens.input" = …`, `tokens.input = …` or a table."""
    known = set(field_names())
    groups = {name.partition(".")[0] for name in known if "." in name}
    for name, said in fields.items():
        if name in known:
            yield name, said
        elif name in groups and isinstance(said, Mapping):
            for inner, own in said.items():
                if f"{name}.{inner}" not in known:
                    raise MappingError(f"unknown key fields.{name}.{inner}: {_nearest(name + '.' + inner, known)}")
                yield f"{name}.{inner}", own
        elif name in groups:
            inner_names = ", ".join(sorted(one for one in known if one.startswith(f"{name}.")))
            raise MappingError(f"fields.{name} is a group: map {inner_names}")
        else:
            raise MappingError(f"unknown key fields.{name}: {_nearest(name, known)}")


def _nearest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else "docs/own-json.md lists the fields"


def _field(name: str, said: Any, times: TimeFormat) -> OwnField:
    key = f"fields.{name}"
    if isinstance(said, str | list):
        said = {"path": said}
    if not isinstance(said, Mapping):
        raise MappingError(f"{key}: write a path, or {{value = …}} for a constant")
    for own in said:
        if own not in _SPEC_KEYS:
            raise MappingError(f"unknown key {key}.{own}: known are {', '.join(_SPEC_KEYS)}")
    if ("path" in said) == ("value" in said):
        raise MappingError(f"{key}: write either path or value")
    if "value" in said and len(said) > 1:
        raise MappingError(f"{key}: a constant value stands alone")
    words = _words(key, name, said["map"]) if "map" in said else None
    otherwise = said.get("value", said.get("default", MISSING))
    if otherwise is not MISSING:
        _check_constant(key, name, otherwise)
    if "time_format" in said:
        if name not in TIMES:
            raise MappingError(f"{key}.time_format: {name} is no time")
        times = _time_format(f"{key}.time_format", said["time_format"], times.zone)
    paths = _paths(key, said["path"]) if "path" in said else ()
    return OwnField(name, paths, otherwise, words, times)


def _paths(key: str, said: Any) -> tuple[Path, ...]:
    each = [said] if isinstance(said, str) else said
    if not isinstance(each, list) or not each or not all(isinstance(one, str) for one in each):
        raise MappingError(f"{key}.path: write a path, or a list of paths of which the first that is there counts")
    try:
        return tuple(parse_path(one) for one in each)
    except ValueError as error:
        raise MappingError(f"{key}: {error}") from None


def _words(key: str, name: str, said: Any) -> dict[str, str]:
    if not isinstance(said, Mapping) or not said or not all(isinstance(one, str) for one in said.values()):
        raise MappingError(f"{key}.map: write the log's values and what each stands for, as text")
    for value in said.values():
        _check_constant(f"{key}.map", name, value)
    return dict(said)


def _check_constant(key: str, name: str, value: Any) -> None:
    if name in TIMES or name in DURATIONS:
        raise MappingError(f"{key}: {name} cannot be a constant")
    allowed = _WORDS_OF.get(name)
    if allowed and value not in allowed:
        raise MappingError(f"{key}: {value!r} is no {name}: use {', '.join(allowed)}")
    if isinstance(value, bool) and name in AS_THEY_ARE:
        return
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MappingError(f"{key}: a constant is text or a number")


_WORDS_OF: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "status": ("ok", "error", "aborted", "capped", "refused", "cancelled"),
    "effect.status": ("planned", "sent", "confirmed", "failed", "unknown", "compensated"),
}


def _where(said: Mapping[str, Any]) -> Where:
    for own in said:
        if own not in ("path", "in"):
            raise MappingError(f"unknown key where.{own}: known are path, in")
    path, values = said.get("path"), said.get("in")
    if not isinstance(path, str):
        raise MappingError("where.path: write the path of the value that tells records apart")
    if not isinstance(values, list | tuple) or not values:
        raise MappingError('where.in: write the values of records to read, such as ["llm_call", "tool_call"]')
    try:
        parts = parse_path(path)
    except ValueError as error:
        raise MappingError(f"where.path: {error}") from None
    return Where(parts, frozenset(one if isinstance(one, str) else canonical(one) for one in values))


def _zone(name: str | None) -> tzinfo:
    if name is None or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise MappingError(f"time_zone: {name!r} is no time zone: write a name such as Europe/Vienna") from None


def _time_format(key: str, said: Any, zone: tzinfo) -> TimeFormat:
    if not isinstance(said, str):
        raise MappingError(f"{key}: write iso, s, ms, us, ns, or a pattern such as %Y-%m-%d %H:%M:%S")
    made = TimeFormat(said, zone)
    if (problem := made.problem()) is not None:
        raise MappingError(f"{key} = {said!r}: {problem}")
    return made
