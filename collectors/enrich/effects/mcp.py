"""MCP tools: `mcp__server__tool` names the system. What the tool does there, its SQL or its verb says."""

from __future__ import annotations

from typing import Any

from collectors.enrich.effects import names, sql
from collectors.enrich.effects.verdict import READ_BY_NAME, Verdict, one

_PREFIX = "mcp__"


def parts_of(tool: str) -> tuple[str, str] | None:
    """(server, tool) of an MCP tool's name, or None. A plugin's server keeps the last part of its name."""
    if not tool.startswith(_PREFIX):
        return None
    server, separator, own = tool[len(_PREFIX) :].partition("__")
    return (server, own) if separator and server and own else None


def judge(server: str, tool: str, arguments: dict[str, Any] | None, resource: str | None) -> Verdict:
    """The call of a server's tool. One whose verb is not known is an effect: nobody can say that it only reads."""
    if arguments and (statements := sql.statements_of(arguments)) is not None:
        return sql.judge(statements, tool, server)
    verb, writes = names.verb_of(names.words_of(tool))
    if verb is not None and not writes:
        return READ_BY_NAME
    reversible = "no" if verb in names.NEVER_BACK else "unknown"
    return one(server, tool, resource, reversible, basis="name")
