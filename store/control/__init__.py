"""What people decided, and who: control.db."""

from __future__ import annotations

from store.control.actor import Actor
from store.control.audit import AuditRow, BadRow
from store.control.control import Control, Incident, Note, Step, SwitchRow

__all__ = ["Actor", "AuditRow", "BadRow", "Control", "Incident", "Note", "Step", "SwitchRow"]
