"""Blast radius: every write of a scope, in order, by the system it went to, and what is not known about it.

A write counts as a duplicate when an earlier write that did not fail went to the same system with the same
operation and the same idempotency key; where neither gives a key, when the same session did the same operation on
the same resource with the same arguments. A write with neither key nor arguments cannot be told to be one. Nor is one
of unknown kind, or to the machine's own files and repositories, which may well be done twice, unless it has a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from store.record.scope import Scope
from store.record.tools import ToolMap
from store.record.window import Window
from store.registry.model import Registry
from store.telemetry.views import EffectRow, ToolUse

DUPLICATE_RULE = (
    "same system, operation and idempotency key as an earlier write that did not fail; without a key: same session, "
    "system, operation, resource and arguments (not compared: own files and repositories, and what is of unknown kind)"
)
_TOLD = frozenset({"argument", "name"})  # the call itself tells what it did, though nobody declared its tool
_OWN = frozenset({"files", "git", "packages", "shell", "processes"})
MAY_HAVE_HAPPENED = frozenset({"sent", "confirmed", "unknown"})
PRUNED = "(pruned)"  # what the reader says where retention took the arguments away
ARGUMENTS_READ = 5_000  # writes without a key whose arguments are compared; the rest is counted as not compared


class EffectReader(Protocol):
    """The part of the store's Reader that this needs."""

    def effects(
        self, scope: Scope, as_of_ns: int, tool_map: ToolMap, window: Window | None = None
    ) -> tuple[EffectRow, ...]: ...

    def tool_uses(self, scope: Scope, as_of_ns: int, window: Window | None = None) -> tuple[ToolUse, ...]: ...

    def parts(self, namespace: str, span_id: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Effect:
    """One write. `duplicate_of` is the span id of the first of its kind; `declared`: agents.toml knows its tool."""

    row: EffectRow
    undo: str  # yes, no, unknown
    undo_how: str | None
    duplicate_of: str | None
    declared: bool

    @property
    def may_have_happened(self) -> bool:
        return self.row.status in MAY_HAVE_HAPPENED

    @property
    def needs_a_hand(self) -> bool:
        """Nobody knows whether it happened, it failed, it happened before, or nothing tells what its tool does."""
        untold = not self.declared and self.row.basis not in _TOLD
        return self.row.status in {"unknown", "sent", "failed"} or self.duplicate_of is not None or untold


@dataclass(frozen=True, slots=True)
class SystemBlast:
    """The writes to one system in time order. `owner` and `check` are what agents.toml says, None if nothing."""

    system: str
    owner: str | None
    check: str | None
    effects: tuple[Effect, ...]

    def count(self, *statuses: str) -> int:
        return sum(effect.row.status in statuses for effect in self.effects)

    @property
    def writes(self) -> int:
        """Every write but those that were only planned."""
        return len(self.effects) - self.count("planned")

    @property
    def ok(self) -> int:
        return self.count("confirmed")

    @property
    def failed(self) -> int:
        return self.count("failed")

    @property
    def unknown(self) -> int:
        """Sent without an answer, or of an outcome that nobody logged: ask the system before undoing it."""
        return self.count("unknown", "sent")

    @property
    def undone(self) -> int:
        return self.count("compensated")

    @property
    def duplicates(self) -> int:
        return sum(effect.duplicate_of is not None for effect in self.effects)

    @property
    def cannot_undo(self) -> int:
        return sum(effect.undo == "no" and effect.may_have_happened for effect in self.effects)

    @property
    def untold(self) -> int:
        """Calls that may have written: nothing tells what they did."""
        return sum(effect.row.basis == "unknown" for effect in self.effects)

    @property
    def undo(self) -> str:
        """The worst of its writes: `no`, then `unknown`, then `yes`."""
        answers = {effect.undo for effect in self.effects}
        return next((answer for answer in ("no", "unknown") if answer in answers), "yes")


@dataclass(frozen=True, slots=True)
class UnmappedTool:
    """A tool with calls that nothing tells about: neither agents.toml, nor its name, nor their arguments.

    Only those calls are counted. Each of them is an effect of unknown kind where it was collected as one.
    """

    agent: str | None
    tool: str
    calls: int
    errors: int
    open_spans: int


@dataclass(frozen=True, slots=True)
class Blast:
    scope: Scope
    as_of_ns: int
    window: Window | None
    systems: tuple[SystemBlast, ...]  # the ones that need a hand first
    reads: int
    unmapped: tuple[UnmappedTool, ...]
    not_compared: int = 0  # writes without a key, past the first ARGUMENTS_READ
    duplicate_rule: str = DUPLICATE_RULE

    @property
    def writes(self) -> int:
        return sum(system.writes for system in self.systems)

    @property
    def failed(self) -> int:
        return sum(system.failed for system in self.systems)

    @property
    def unknown(self) -> int:
        return sum(system.unknown for system in self.systems)

    @property
    def duplicates(self) -> int:
        return sum(system.duplicates for system in self.systems)

    @property
    def cannot_undo(self) -> int:
        return sum(system.cannot_undo for system in self.systems)


def blast(reader: EffectReader, scope: Scope, registry: Registry, as_of_ns: int, window: Window | None = None) -> Blast:
    """Everything `scope` did outside up to `as_of_ns`, or inside `window`. Reads the store, changes nothing."""
    tools = registry.tool_map()
    rows = sorted(reader.effects(scope, as_of_ns, tools, window), key=_order)
    effects, not_compared = _judged(reader, rows, tools)
    by_system: dict[str, list[Effect]] = {}
    for effect in effects:
        by_system.setdefault(effect.row.system, []).append(effect)
    systems = [
        SystemBlast(
            system=name,
            owner=registry.owner_of_system(name),
            check=registry.systems[name].check if name in registry.systems else None,
            effects=tuple(own),
        )
        for name, own in by_system.items()
    ]
    reads = 0
    unmapped: list[UnmappedTool] = []
    for use in reader.tool_uses(scope, as_of_ns, window):
        facts = tools.of(use.agent, use.tool)
        if facts is None and use.did == "read":
            reads += use.calls
        elif facts is None and use.did == "unknown":
            unmapped.append(UnmappedTool(use.agent, use.tool, use.calls, use.errors, use.open_spans))
        elif facts is not None and not facts.writes:
            reads += use.calls
    return Blast(
        scope=scope,
        as_of_ns=as_of_ns,
        window=window,
        systems=tuple(sorted(systems, key=_trouble)),
        reads=reads,
        unmapped=tuple(sorted(unmapped, key=lambda tool: (-tool.calls, tool.tool, tool.agent or ""))),
        not_compared=not_compared,
    )


def _order(row: EffectRow) -> tuple[bool, int, str, str]:
    return (row.at_ns is None, row.at_ns or 0, row.namespace, row.span_id)


def _trouble(system: SystemBlast) -> tuple[int, int, int, int, str]:
    return (-system.unknown, -system.cannot_undo, -system.duplicates, -system.writes, system.system)


def _judged(reader: EffectReader, rows: Sequence[EffectRow], tools: ToolMap) -> tuple[list[Effect], int]:
    """Each row with its undo and, where it has one, the first write it repeats; and how many were not compared."""
    first: dict[tuple[str | None, ...], EffectRow] = {}
    effects: list[Effect] = []
    arguments_left, not_compared = ARGUMENTS_READ, 0
    for row in rows:
        facts = tools.of(row.agent, row.tool)
        undo = row.reversible
        if undo not in {"yes", "no"}:
            undo = facts.reversible if facts else "unknown"
        duplicate_of = None
        if row.status in MAY_HAVE_HAPPENED:
            if row.idempotency_key is None and not _is_comparable(row):
                key = None
            elif row.idempotency_key is None and arguments_left == 0:
                not_compared += 1
                key = None
            else:
                arguments_left -= row.idempotency_key is None
                key = _likeness(reader, row)
            if key is not None:
                earlier = first.setdefault(key, row)
                duplicate_of = None if earlier is row else earlier.span_id
        effects.append(Effect(row, undo, facts.undo if facts else None, duplicate_of, facts is not None))
    return effects, not_compared


def _is_comparable(row: EffectRow) -> bool:
    """False for a write that may be done twice as a matter of course, or whose kind nobody knows."""
    return row.basis != "unknown" and not (row.basis in _TOLD and row.system in _OWN)


def _likeness(reader: EffectReader, row: EffectRow) -> tuple[str | None, ...] | None:
    """Two writes that give the same are duplicates; None: it cannot be told."""
    if row.idempotency_key is not None:
        return ("key", row.system, row.operation, row.idempotency_key)
    arguments = reader.parts(row.namespace, row.span_id).get("input")
    if arguments is None or arguments == PRUNED:
        return None
    digest = hashlib.sha256(arguments.encode("utf-8", "surrogatepass")).hexdigest()
    return ("arguments", row.session, row.agent, row.tool, row.system, row.operation, row.resource, digest)
