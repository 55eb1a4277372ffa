"""The rules of rules.toml, compiled, and the functions that may refuse a match."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

import re2

TOKEN = re.compile(r"<[a-z_]{2,20}:[0-9a-f]{12}>")
_PLACEHOLDERS = frozenset(
    [
        "none",
        "null",
        "nil",
        "true",
        "false",
        "undefined",
        "string",
        "str",
        "text",
        "number",
        "integer",
        "int",
        "bool",
        "boolean",
        "bytes",
        "any",
        "object",
        "optional",
        "required",
        "redacted",
        "hidden",
        "changeme",
        "password",
        "passwd",
        "secret",
        "token",
        "example",
        "placeholder",
        "field",
        "input",
        "value",
        "default",
        "unset",
        "empty",
        "missing",
        "invalid",
        "unknown",
    ]
)
SECRET_NAME = re.compile(
    r"passw(or)?d|passwd|passphrase|passcode|\bpwd\b|secret|api[_-]?key|(access|account|private|signing|encryption)[_-]?key"
    r"|(^|[_-])token$|[a-z]Token$|^credentials?$|^(proxy-)?authorization$",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_PATH = re.compile(r"[.~]?(/[\w.@+-]+){2,}/?")


class Rule(NamedTuple):
    """One rule of rules.toml; `group` is the number of what it replaces. A rule without a class passes its match by."""

    class_: str
    group: int
    accepts: Callable[[str], bool] | None


def may_be_secret(value: str) -> bool:
    """A value that may be a secret: no token of ours, no placeholder, no variable, no expression, no path."""
    value = value.strip()
    if len(value) < 3 or TOKEN.search(value) or value.lower() in _PLACEHOLDERS:
        return False
    if value[0] in "$%{<" or not value.strip("*.x#- _"):
        return False
    return _NAME.fullmatch(value) is None and _PATH.fullmatch(value) is None


def _has_digit(value: str) -> bool:
    return any(char.isdigit() for char in value)


def _mixed(value: str) -> bool:
    """Letters and digits together, as random values have them and words have not."""
    return _has_digit(value) and any(char.isalpha() for char in value) and may_be_secret(value)


_VALIDATORS: dict[str, Callable[[str], bool]] = {
    "assigned": may_be_secret,
    "has_digit": _has_digit,
    "mixed": _mixed,
}


def compile_rules() -> tuple[Any, dict[int, Rule]]:
    """rules.toml -> one alternation over bytes, and what the group of each rule means."""
    table = tomllib.loads(files(__package__).joinpath("rules.toml").read_text("utf-8"))["rule"]
    table.insert(0, {"class": "", "pattern": TOKEN.pattern})  # what is redacted already stays as it is
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes: \x80-\xff is any byte of a character beyond ASCII
    options.max_mem = 64 * 1024 * 1024
    options.log_errors = False
    alternatives = [
        f"(?P<r{number}>{rule['pattern'].replace('(?P<value>', f'(?P<v{number}>')})"
        for number, rule in enumerate(table)
    ]
    pattern = re2.compile("|".join(alternatives).encode("latin-1"), options)
    groups = pattern.groupindex
    rules = {
        groups[f"r{number}".encode()]: Rule(
            rule["class"],
            groups.get(f"v{number}".encode(), groups[f"r{number}".encode()]),
            _VALIDATORS[rule["validator"]] if "validator" in rule else None,
        )
        for number, rule in enumerate(table)
    }
    return pattern, rules
