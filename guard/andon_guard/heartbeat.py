"""The file in which a guard says that it lives and what it holds: guards/<instance>.json."""

from __future__ import annotations

import contextlib
import json
import os
import secrets

from andon_guard.switches import GUARDS

SCHEMA = 1
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(folder: str, instance: str, document: dict[str, object]) -> None:
    """Replace the file whole. OSError where that is not possible; the old file is kept then.

    0600, or 0644 where the switch folder is a shared one (others may enter it): the console that reads the
    answer may be another user's.
    """
    text = json.dumps(document, separators=(",", ":")).encode()
    top = os.open(folder, _OPEN_DIR)
    try:
        mode = 0o644 if os.fstat(top).st_mode & 0o011 else 0o600
        guards = os.open(GUARDS, _OPEN_DIR, dir_fd=top)
    finally:
        os.close(top)
    temporary = f".{instance}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(temporary, _OPEN_NEW, 0o600, dir_fd=guards)
        try:
            try:
                os.fchmod(descriptor, mode)  # whatever the umask
                os.write(descriptor, text)
            finally:
                os.close(descriptor)
            os.rename(temporary, f"{instance}.json", src_dir_fd=guards, dst_dir_fd=guards)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=guards)
            raise
    finally:
        os.close(guards)
