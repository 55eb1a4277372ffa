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

    def _is_ours(self) -> bool:
        """True for an empty folder, and for one in which a store was begun."""
        names = {entry.name for entry in os.scandir(self.path)}
        return not names or bool(names & {"telemetry.db", "control.db", "switches"})

    def prepare(self) -> StoreFolder:
        """Make the folders, 0700. StoreError where that is not possible, or where the folder is something else.

        A folder that holds other things is never taken over: a mistyped --store must not change the mode of a
        home folder, nor put a database among somebody's logs.
        """
        try:
            if self.path.is_dir() and not self._is_ours():
                raise StoreError(
                    f"{self.path} holds other things and is no store; nothing was changed. "
                    "Name an empty or a new folder with --store or ANDON_STORE."
                )
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
