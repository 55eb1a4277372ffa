"""What one run of the collector came to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_MESSAGES = 1_000
_OWN = re.compile(r"(?: at character \d+| \(.*\))$")


@dataclass(slots=True)
class Summary:
    """Counts of this run alone, not of the store.

    `lines`: complete lines that are not blank. `records`: versions of spans handed to the store; `spans`: spans that
    were new to it; `sessions`: sessions named by the records. `by_format`: format -> files, lines, records, rejected;
    files of no known format are counted under `unknown`, and in `not_read` by why. `reject_reasons`: why lines were
    rejected, without what differs from line to line. `messages`: one line of plain text each.
    """

    files: int = 0
    lines: int = 0
    records: int = 0
    spans: int = 0
    sessions: int = 0
    rejected: int = 0
    duplicates: int = 0
    gaps: int = 0
    by_format: dict[str, dict[str, int]] = field(default_factory=dict)
    unknown_types: dict[str, int] = field(default_factory=dict)
    reject_reasons: dict[str, int] = field(default_factory=dict)
    not_read: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def of_format(self, name: str) -> dict[str, int]:
        """The counts of a format, to be added to."""
        return self.by_format.setdefault(name, {"files": 0, "lines": 0, "records": 0, "rejected": 0})

    def rejected_for(self, reason: str) -> None:
        """Count a reject by its reason; what stands after a colon or in brackets is of that line alone."""
        kind = _OWN.sub("", reason)
        self.reject_reasons[kind] = self.reject_reasons.get(kind, 0) + 1

    def say(self, message: str) -> bool:
        """Keep a message that was not said yet, up to MAX_MESSAGES; False if it was."""
        if message in self.messages or len(self.messages) >= MAX_MESSAGES:
            return False
        self.messages.append(message)
        return True
