"""The switch folder as its publishers keep it: private, or shared with the agents of other users."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from andon_guard import switches as guard_view

from store.folder import StoreError, StoreFolder

LOCK_NAME = "switches.lock"
RESERVE_NAME = ".reserve"
_RESERVE_BYTES = 64 * 1024  # a stop on a full disk gives this back to write itself


class SwitchError(StoreError):
    """A switch could not be read or changed; the message says what, what still holds and what to do."""


@dataclass(frozen=True, slots=True)
class SwitchFolder:
    """`shared` says that agents of other users read it; `trusted_uids` may own its files besides us and root."""

    path: Path
    shared: bool = False
    trusted_uids: frozenset[int] = frozenset()

    @classmethod
    def of(cls, folder: StoreFolder, switches: SwitchFolder | None = None) -> SwitchFolder:
        """The one that the config names, else the private one of the store."""
        return switches or cls(folder.switches)

    @property
    def file(self) -> Path:
        return self.path / guard_view.FILE

    @property
    def kills(self) -> Path:
        return self.path / guard_view.KILLS

    @property
    def guards(self) -> Path:
        return self.path / guard_view.GUARDS

    @property
    def stop_file(self) -> Path:
        return self.path / guard_view.STOP

    @property
    def file_mode(self) -> int:
        return 0o644 if self.shared else 0o600

    @property
    def trusted(self) -> frozenset[int]:
        return frozenset({os.geteuid(), 0}) | self.trusted_uids

    def read(self) -> guard_view.Contents:
        """All of it, with the eyes of a guard. SwitchError where a guard would not trust it."""
        try:
            return guard_view.read_folder(str(self.path), self.trusted)
        except guard_view.Missing as error:
            raise SwitchError(
                f"the switch folder {self.path} is not initialised: {error}. Run `andon switches init`."
            ) from None
        except guard_view.Unverified as error:
            raise SwitchError(
                f"the switch folder {self.path} cannot be trusted: {error}; every guard on it blocks. "
                "It was left as it is: look who changed it, then restore or remove the file."
            ) from None


def prepare_folders(folder: SwitchFolder) -> None:
    """Make the folder and what lies in it, with the right modes whatever the umask. SwitchError."""
    private = not folder.shared
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own_mode(folder.path, 0o700 if private else 0o755)
        for inner, mode in (
            (folder.guards, 0o700 if private else 0o1777),
            (folder.kills, 0o700 if private else 0o755),
        ):
            inner.mkdir(mode=0o700, exist_ok=True)
            _own_mode(inner, mode)
        _make_reserve(folder)
    except OSError as error:
        raise SwitchError(
            f"the switch folder {folder.path} cannot be made: {error.strerror} ({error.filename}); nothing was changed."
        ) from None


def release_reserve(folder: SwitchFolder) -> bool:
    """Give the spare bytes back to a full disk. True where there were any."""
    try:
        (folder.path / RESERVE_NAME).unlink()
    except OSError:
        return False
    return True


def _own_mode(path: Path, mode: int) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise SwitchError(f"{path} is not a folder of its own (a link or a file); nothing was changed.")
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)


def _make_reserve(folder: SwitchFolder) -> None:
    """Best effort: without it a stop on a full disk has no spare bytes to take."""
    with contextlib.suppress(OSError), new_file(folder.path / RESERVE_NAME, 0o600) as descriptor:
        os.write(descriptor, os.urandom(_RESERVE_BYTES))  # random: a file system that compresses must keep it all


@contextlib.contextmanager
def new_file(path: Path, mode: int) -> Iterator[int]:
    """A descriptor of a file that did not exist, with exactly this mode; closed at the end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, mode)
        yield descriptor
    finally:
        os.close(descriptor)
