"""What the console is opened with: one frozen value, made by the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from store.folder import StoreFolder
from store.registry.model import Registry

if TYPE_CHECKING:
    from collectors.enrich.rules import RuleRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`as_of_ns` None is now; `tz` is a zone name of the system; `banner` lines are said once at the start."""

    store: StoreFolder
    registry: Registry = field(default_factory=Registry)
    registry_path: Path | None = None
    actor: str = ""  # who looks, as the header says it: `sre@bastion-1`
    as_of_ns: int | None = None
    tz: str = "UTC"
    read_only: bool = False
    environment: str = ""
    banner: tuple[str, ...] = ()
    ascii_only: bool = False
    rules: tuple[RuleRow, ...] = ()  # the user's rules of redaction, for what is typed raw
    collector_note: str | None = None  # what becomes of the collector when the console is left
