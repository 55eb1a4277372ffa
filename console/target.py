"""What a key acts on: frozen when a dialog opens, so that nothing that arrives later can change it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from store.record.scope import Scope

_TOKEN = re.compile(r"<[a-z_]+:[0-9a-f]{12}>")


@dataclass(frozen=True, slots=True)
class Target:
    """Raw names from logs; they are shown through the sanitiser only."""

    agent: str | None = None
    session: str | None = None
    tenant: str | None = None
    user: str | None = None
    narrow: bool = False  # the cursor was on a session: it is offered first
    incident: int | None = None

    def scopes(self) -> tuple[tuple[str, Scope], ...]:
        """(kind, scope) from the one first offered to the widest; `all` is always last."""
        kinds = ("session", "agent") if self.narrow else ("agent", "session")
        found = [(kind, getattr(self, kind)) for kind in (*kinds, "tenant", "user")]
        scopes = [(kind, Scope.of(**{kind: value})) for kind, value in found if value]
        return (*scopes, ("all", Scope()))

    def stoppable(self) -> tuple[Scope, ...]:
        """The scopes that a guard can be told. A value that was redacted is known to no agent."""
        return tuple(scope for _, scope in self.scopes() if not any(_TOKEN.search(value) for _, value in scope.parts))


def scope_text(scope: Scope) -> str:
    """How a scope is said on the screen: raw values, to be sanitised where they are drawn."""
    return " and ".join(f"{kind} {value}" for kind, value in scope.parts) or "everything"
