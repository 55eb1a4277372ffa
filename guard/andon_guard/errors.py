"""What a guard raises."""

from __future__ import annotations


class GuardError(Exception):
    """The guard cannot start; the message says what is missing and what to do."""


class Halted(BaseException):
    """This agent may not go on. Nothing was started.

    Not an `Exception`, for the reason asyncio's CancelledError is none: retry loops, tool wrappers and model
    fallbacks catch `Exception`, would take the stop for a failure and try the next thing. Code that must tidy
    up uses `finally`, or catches `Halted` by name.

    `kill_id` is None where no kill is known and the switch folder could not be verified; `reason` then begins
    with `blocked: unverified`. `scope` is the scope of the kill and `verb` its verb, None likewise.
    """

    def __init__(
        self,
        reason: str,
        *,
        kill_id: str | None = None,
        scope: str | None = None,
        verb: str | None = None,
        by: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kill_id = kill_id
        self.scope = scope
        self.verb = verb
        self.by = by

    def __str__(self) -> str:
        if self.kill_id is None:
            return self.reason
        return f"{self.verb} of {self.scope} by {self.by} ({self.kill_id}): {self.reason}"


class Denied(Halted, Exception):  # noqa: N818 - a decision, not an error
    """This tool call is denied and the agent may go on (verb `deny_tools`).

    An `Exception` too, unlike `Halted`: agent frameworks hand it to the model as the tool's answer, which is
    what denying a tool means. `except Halted` catches both.
    """
