"""The check inside an agent's process: stop when the switch folder says stop, and prove it.

Standard library only. `Guard` is made once per agent and process; `guard.check(...)` goes before every
model call and every tool call.
"""

from __future__ import annotations

from andon_guard.action import Action
from andon_guard.errors import Denied, GuardError, Halted
from andon_guard.guard import Guard

__all__ = ["Action", "Denied", "Guard", "GuardError", "Halted", "__version__"]
__version__ = "0.1.0"
