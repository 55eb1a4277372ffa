"""The rules of rules.toml, and those that users add in a file of the same form: read, checked, compiled.

A rule has `name`, `class` (what stands in the replacement; "" lets its match pass), `pattern` (RE2 over UTF-8 bytes;
`(?P<value>...)` marks what of the match is replaced, else all of it is), and may have `validator` (see validators.py)
and `ids` (false: not for ids and paths, where a number is only a number). At one place the first rule wins.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import re2

from collectors.enrich.validators import TOKEN, VALIDATORS, Validator

_CLASS = re.compile(r"[a-z_]{2,20}")
_GROUP = re.compile(r"\(\?P?<(\w+)>")
_MAX_MEM = 64 * 1024 * 1024
BASE64 = "base64"  # not a class of finds: what the match holds is decoded and looked at

SECRET_NAME = re.compile(
    r"passw(or)?d|passwd|passphrase|passcode|\bpwd\b|secret|api[_-]?key|(access|account|private|signing|encryption)[_-]?key"
    r"|(^|[_-])token$|[a-z]Token$|^credentials?$|^(proxy-)?authorization$",
    re.IGNORECASE,
)


class RulesError(Exception):
    """A file of rules cannot be used; the message names the file and the rule."""


class RuleRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """One rule as its file has it; picklable."""

    name: str
    class_: str
    pattern: str
    validator: str | None = None
    ids: bool = True


class Rule(NamedTuple):
    """`group` is the number of what the rule replaces. A rule without a class lets its match pass."""

    class_: str
    group: int
    accepts: Validator | None


class Compiled(NamedTuple):
    """One alternation over bytes, and what the group of each rule means. `bare` is the same without base64.

    `around`: what stands around a match may refuse it. Not in ids, which formats make of other ids.
    """

    pattern: Any
    rules: dict[int, Rule]
    bare: Compiled | None = None
    around: bool = True

    def around_nothing(self) -> Compiled:
        """The same rules, which take a match for itself."""
        bare = None if self.bare is None else self.bare._replace(around=False)
        return self._replace(bare=bare, around=False)


def load_rules(path: Path) -> tuple[RuleRow, ...]:
    """The rules of a user's file. RulesError names the rule whose key is unknown or whose pattern RE2 refuses."""
    try:
        return _rows(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RulesError(f"{path} cannot be read: {reason}") from None


@cache
def own_rules() -> tuple[RuleRow, ...]:
    """The rules that Andon comes with."""
    return _rows(files(__package__).joinpath("rules.toml").read_text("utf-8"), "rules.toml")


@cache
def compile_rules(added: tuple[RuleRow, ...] = (), *, for_ids: bool = False) -> Compiled:
    """The user's rules before our own. What is redacted already stays as it is."""
    rows = [RuleRow("a token", "", TOKEN.pattern), *added, *own_rules()]
    rows = [row for row in rows if row.ids or not for_ids]
    bare = _compiled([row for row in rows if row.class_ != BASE64])
    return _compiled(rows)._replace(bare=bare)


def re2_options() -> Any:
    """Bytes: \\x80-\\xff is any byte of a character beyond ASCII."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MAX_MEM
    options.log_errors = False
    return options


def _compiled(rows: Sequence[RuleRow]) -> Compiled:
    alternatives = [
        f"(?P<r{number}>{row.pattern.replace('(?P<value>', f'(?P<v{number}>')})" for number, row in enumerate(rows)
    ]
    pattern = re2.compile("|".join(alternatives).encode(), re2_options())
    groups = pattern.groupindex
    rules = {
        groups[f"r{number}".encode()]: Rule(
            row.class_,
            groups.get(f"v{number}".encode(), groups[f"r{number}".encode()]),
            VALIDATORS[row.validator] if row.validator is not None else None,
        )
        for number, row in enumerate(rows)
    }
    return Compiled(pattern, rules)


def _rows(text: str, where: str) -> tuple[RuleRow, ...]:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RulesError(f"{where} is not TOML: {error}") from None
    unknown = sorted(set(table) - {"rule"})
    if unknown:
        raise RulesError(f"{where}: {unknown[0]}: unknown key; a file of rules has [[rule]] only")
    listed = table.get("rule", [])
    if not isinstance(listed, list):
        raise RulesError(f"{where}: write [[rule]], one for each rule")
    return tuple(_row(one, f"{where}: rule {number}") for number, one in enumerate(listed, 1))


def _row(one: object, where: str) -> RuleRow:
    name = one.get("name") if isinstance(one, dict) else None
    where = f"{where} ({name})" if isinstance(name, str) else where
    try:
        row = msgspec.convert(one, RuleRow)
    except msgspec.ValidationError as error:
        raise RulesError(f"{where}: {error}") from None
    if row.class_ not in ("", BASE64) and _CLASS.fullmatch(row.class_) is None:
        raise RulesError(f"{where}: class {row.class_!r}: write 2 to 20 small letters or _")
    if row.validator is not None and row.validator not in VALIDATORS:
        raise RulesError(f"{where}: validator {row.validator!r} is not known; there are {', '.join(VALIDATORS)}")
    others = [group for group in _GROUP.findall(row.pattern) if group != "value"]
    if others or row.pattern.count("(?P<value>") > 1:
        raise RulesError(f"{where}: pattern: the one group with a name is (?P<value>...), and only once")
    try:
        pattern = re2.compile(row.pattern.encode(), re2_options())
    except re2.error as error:
        said = error.args[0] if error.args else error
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise RulesError(f"{where}: pattern: RE2 refuses it: {reason}") from None
    if pattern.search(b"") is not None:
        raise RulesError(f"{where}: pattern: it matches the empty text, so it would match everywhere")
    return row
