"""What can be stopped, listed or exported: `all`, `kind:value`, or a pair joined by `+`.

Canonical text is what is stored, shown and hashed: parts in the order of KINDS, values percent-encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

KINDS = ("agent", "tenant", "user", "session", "tool")


class ScopeError(ValueError):
    """The text is not a scope; the message says what to type instead."""


def quote_value(value: str) -> str:
    """Percent-encode `%`, `+`, white space and control bytes; all else is kept as it is."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        if char in "%+" or char.isspace() or not char.isprintable()
        else char
        for char in value
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """A set of conditions that must all hold; no condition at all is `all`."""

    parts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, **values: str) -> Scope:
        """`Scope.of(agent="a", tool="t")`; the values are raw text. ScopeError for an unknown kind."""
        return cls(_ordered(list(values.items())))

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read `all`, `agent:a` or `agent:a+tool:t`; split at the first `:`. ScopeError says what is wrong."""
        text = text.strip()
        if text == "all":
            return cls()
        pairs: list[tuple[str, str]] = []
        for part in text.split("+"):
            kind, colon, value = part.partition(":")
            if not colon:
                raise ScopeError(f"{text!r} is not a scope: write all, or kind:value with {_kinds()}")
            pairs.append((kind, unquote(value, errors="surrogateescape")))
        return cls(_ordered(pairs))

    def __str__(self) -> str:
        return "+".join(f"{kind}:{quote_value(value)}" for kind, value in self.parts) or "all"

    def get(self, kind: str) -> str | None:
        """The raw value asked of `kind`, or None where the scope does not ask."""
        return next((value for own, value in self.parts if own == kind), None)

    def matches(self, **values: str | None) -> bool:
        """True where every part of the scope equals the value of its kind."""
        return all(values.get(kind) == value for kind, value in self.parts)


def _kinds() -> str:
    return ", ".join(KINDS[:-1]) + " or " + KINDS[-1]


def _ordered(pairs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    for kind, value in pairs:
        if kind not in KINDS:
            raise ScopeError(f"{kind!r} is not a kind of scope: use {_kinds()}")
        if not value:
            raise ScopeError(f"{kind}: has no value")
    if len({kind for kind, _ in pairs}) != len(pairs):
        raise ScopeError("a scope names each kind once")
    return tuple(sorted(pairs, key=lambda pair: KINDS.index(pair[0])))
