"""A new file for what is handed on: private, never over another, never through a symbolic link."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from io import BufferedRandom
from pathlib import Path


class BundleError(Exception):
    """The bundle was not written; the message says why and what to do."""


@contextlib.contextmanager
def new_file(out: Path) -> Iterator[BufferedRandom]:
    """A new file, 0600, in a folder that is no symbolic link; taken away again if its making fails."""
    folder = _folder(out)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(out.name, flags, 0o600, dir_fd=folder)
        except FileExistsError:
            raise BundleError(f"{out} is already there; nothing was written. Name another file.") from None
        except OSError as error:
            raise BundleError(f"{out} cannot be made: {error.strerror}; nothing was written.") from None
        try:
            os.fchmod(descriptor, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                yield file
        except OSError as error:
            os.unlink(out.name, dir_fd=folder)
            raise BundleError(f"{out} could not be written: {error.strerror}; it was taken away again.") from None
        except BaseException:
            os.unlink(out.name, dir_fd=folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def _folder(out: Path) -> int:
    parent = out.parent
    if out.name in {"", ".", ".."} or "\0" in str(out):
        raise BundleError(f"{str(out)!r} is no name for a file; nothing was written.")
    try:
        folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        hint = f" It is a symbolic link: name {parent.resolve()} itself." if parent.is_symlink() else ""
        raise BundleError(f"{parent} cannot be written to: {error.strerror}; nothing was written.{hint}") from None
    mode = os.fstat(folder).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        os.close(folder)
        raise BundleError(f"anyone may replace files in {parent}; nothing was written. Choose a folder of your own.")
    return folder
