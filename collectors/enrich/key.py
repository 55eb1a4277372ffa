"""The key of a store's redaction tokens."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from store.folder import StoreError

KEY_BYTES = 32


def load_key(path: Path) -> bytes:
    """The store's redaction key; made at first use, 0600, by one of any number of processes that race.

    StoreError where it cannot be read or is no key: a new one would break every token of the store.
    """
    try:
        if not path.exists():
            _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            key = os.read(descriptor, KEY_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"the redaction key {path} cannot be used: {error.strerror}; nothing was changed. "
            "Give it back to the user who runs andon, or name another store with --store."
        ) from None
    if len(key) != KEY_BYTES:
        raise StoreError(
            f"the redaction key {path} has {len(key)} bytes, not {KEY_BYTES}; nothing was changed. "
            "Restore it from a backup; only in an empty store may it be deleted."
        )
    return key


def _make_key(path: Path) -> None:
    """Written whole under another name, then linked: nobody ever sees half a key, and the first one stands."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, secrets.token_bytes(KEY_BYTES))
        os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its key is the store's
    finally:
        os.close(descriptor)
        draft.unlink()
