"""What a tool call did outside, as agents.toml declares it; a pure function of a span and the tool map."""

from __future__ import annotations

from store.record.span import Rank, Span
from store.record.tools import ToolMap, effect_status_of


def classify(span: Span, tool_map: ToolMap) -> None:
    """Give a call of a declared write its effect. An effect that the record reports stands as it is.

    A call in flight counts as `sent`: from outside nobody can tell whether it has arrived. Its outcome then
    says confirmed, failed or unknown. A read and an undeclared tool get none: undeclared is unmapped, not safe.
    """
    if span.kind != "tool" or span.effect_basis is not None:
        return
    facts = tool_map.of(span.agent, span.tool)
    if facts is None or not facts.writes:
        return
    span.effect_system = facts.system
    span.effect_operation = span.tool
    span.effect_reversible = facts.reversible
    span.effect_status = "sent" if span.rank == Rank.STARTED else effect_status_of(span.status)
    span.effect_basis = "declared"
