"""One model call or tool call that a guard let through."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Action:
    """`instance` and `action` (the guard's own numbering from 1) are what an agent logs of the call.

    Used as a context manager, or handed to `guard.done`, the guard knows when it has ended.
    """

    __slots__ = ("_begin", "_end", "action", "instance", "kind", "values")

    def __init__(
        self,
        instance: str,
        action: int,
        kind: str,
        values: dict[str, str | None],
        begin: Callable[[Action], None],
        end: Callable[[Action], None],
    ) -> None:
        self.instance = instance
        self.action = action
        self.kind = kind
        self.values = values
        self._begin = begin
        self._end = end

    def as_log(self) -> dict[str, str | int]:
        """The value of the field `guard` in Andon NDJSON."""
        return {"instance": self.instance, "action": self.action}

    def __str__(self) -> str:
        """`tool send_email #96`, `llm #97`: what the console shows as in flight."""
        tool = self.values["tool"]
        return f"{self.kind} {tool} #{self.action}" if tool else f"{self.kind} #{self.action}"

    def __enter__(self) -> Action:
        self._begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(self)
