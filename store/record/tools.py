"""What is declared of a tool, as a plain map: classification and blast radius read it, nobody writes it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolFacts:
    tier: str  # read, limited, high
    system: str
    reversible: str  # yes, no, unknown
    undo: str | None = None

    @property
    def writes(self) -> bool:
        return self.tier != "read"


@dataclass(frozen=True, slots=True)
class ToolMap:
    """(agent, tool) -> facts; the agent's own declaration goes before the one of all agents ("")."""

    facts: dict[tuple[str, str], ToolFacts] = field(default_factory=dict)

    def of(self, agent: str | None, tool: str | None) -> ToolFacts | None:
        """None: the tool is unmapped."""
        if tool is None:
            return None
        return self.facts.get((agent or "", tool)) or self.facts.get(("", tool))


def effect_status_of(span_status: str | None) -> str:
    """What the outcome of a declared write says of its effect, where the record reports none."""
    if span_status == "ok":
        return "confirmed"
    return "failed" if span_status == "error" else "unknown"
