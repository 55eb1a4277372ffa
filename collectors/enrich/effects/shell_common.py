"""One simple command, and what the judge of every program needs of its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collectors.enrich.effects.verdict import LOCAL, UNKNOWN, Found

_MAX_RESOURCE = 200
_NONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Call:
    """A program and its words. `words` and `line` judge what it would run itself (`find -exec`, `ssh host '…'`)."""

    program: str
    arguments: list[str]
    text: str | None  # of a here document
    is_fed: bool  # its input is a pipe or a file
    words: Callable[[list[str]], list[Found]]
    line: Callable[[str], list[Found]]

    def has(self, *options: str) -> bool:
        """True if any of these words is among its own."""
        return any(one in self.arguments for one in options)


def options_and_rest(words: list[str], values: frozenset[str] = _NONE) -> tuple[list[str], list[str]]:
    """(options, the rest) of a program's words; an option in `values` takes the next word with it."""
    options: list[str] = []
    rest: list[str] = []
    takes = False
    for word in words:
        if takes or (word[:1] == "-" and len(word) > 1):
            options.append(word)
            takes = not takes and word in values
        else:
            rest.append(word)
    return options, rest


def value_of(words: list[str], *names: str) -> str | None:
    """What an option is given, as the next word or after `=`, or None."""
    for number, word in enumerate(words):
        if word in names:
            return words[number + 1] if number + 1 < len(words) else None
        if word[:1] == "-":
            name, equals, value = word.partition("=")
            if equals and name in names:
                return value
    return None


def first_of(words: list[str]) -> str | None:
    """The first word that is no option."""
    return next((word for word in words if word[:1] != "-"), None)


def short(resource: str | None) -> str | None:
    """A resource of a sane length; None for none."""
    return resource[:_MAX_RESOURCE] if resource else None


def unknown(program: str, resource: str | None = None) -> list[Found]:
    """A program that may do anything."""
    return [Found("shell", program[:80] or "run", short(resource), "unknown", UNKNOWN, "unknown")]


def local(operation: str, resource: str | None = None, reversible: str = "unknown") -> list[Found]:
    """A write of files of the machine."""
    return [Found("files", operation, short(resource), reversible, LOCAL)]
