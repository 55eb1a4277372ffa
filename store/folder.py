"""The store folder: where every file of Andon lies, and with which mode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class StoreError(Exception):
    """Something about the store stops us; the message says what, what was kept and what to do next."""


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """Paths only; `prepare` makes the folder 0700 with what must be there."""

    path: Path

    @property
    def telemetry(self) -> Path:
        return self.path / "telemetry.db"

    @property
    def control(self) -> Path:
        return self.path / "control.db"

    @property
    def collector_lock(self) -> Path:
        return self.path / "collector.lock"

    @property
    def redact_key(self) -> Path:
        return self.path / "redact.key"

    @property
    def switches(self) -> Path:
        return self.path / "switches"

    @property
    def emergency(self) -> Path:
        return self.path / "emergency"

    @property
    def log(self) -> Path:
        return self.path / "log"

    def prepare(self) -> StoreFolder:
        """Make the folders, 0700. StoreError where that is not possible."""
        try:
            for folder in (self.path, self.switches, self.emergency, self.log):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_uid == os.getuid():
                self.path.chmod(0o700)
        except OSError as error:
            raise StoreError(
                f"the store folder {self.path} cannot be used: {error.strerror}; nothing was changed. "
                "Name another with --store or ANDON_STORE."
            ) from None
        return self


def private_file(path: Path) -> None:
    """Make sure `path` exists with mode 0600, whatever the umask; its content is kept."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o777 != 0o600:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
