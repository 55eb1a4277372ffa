"""What one tool call is judged to have done, whatever kind of tool it was."""

from __future__ import annotations

from typing import NamedTuple

# How bad it is to overlook: of several effects of one call, the row holds the one with the greatest weight.
LOCAL, UNKNOWN, DESTROYS, OUTSIDE = 20, 40, 50, 60
_WORSE = {"no": 9, "unknown": 5, "yes": 0}


class Found(NamedTuple):
    """One effect. `basis`: argument, name or unknown. `reversible`: yes, no, unknown."""

    system: str
    operation: str
    resource: str | None = None
    reversible: str = "unknown"
    weight: int = OUTSIDE
    basis: str = "argument"

    @property
    def severity(self) -> int:
        return self.weight + _WORSE[self.reversible]


class Verdict(NamedTuple):
    """`effects`: worst first; empty is a read. `basis`: what told, also that it is a read."""

    basis: str
    effects: tuple[Found, ...] = ()


READ_BY_ARGUMENT = Verdict("argument")
READ_BY_NAME = Verdict("name")


def verdict_of(found: list[Found]) -> Verdict:
    """Everything that one call did, each once, worst first; nothing found by its arguments is a read."""
    if not found:
        return READ_BY_ARGUMENT
    if len(found) > 1:
        found = sorted(dict.fromkeys(found), key=lambda one: -one.severity)
    return Verdict(found[0].basis, tuple(found))


def one(
    system: str, operation: str, resource: str | None = None, reversible: str = "unknown", **more: object
) -> Verdict:
    """A verdict of one effect; `more` is `weight` or `basis`."""
    found = Found(system, operation, resource, reversible, **more)  # type: ignore[arg-type]
    return Verdict(found.basis, (found,))
