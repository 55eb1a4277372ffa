"""Who does something: what the kernel proves of them, and what their environment claims."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CLAIMS = ("ANDON_OPERATOR", "SUDO_USER", "SSH_CONNECTION")
_CLAIM_CHARS = 120
_NO_LOGIN = 4294967295  # /proc/self/loginuid of a process that no login started


@dataclass(frozen=True, slots=True)
class Actor:
    """`uid`, `user` and `login_uid` come from the kernel; `claimed` from variables that anyone can set."""

    uid: int
    user: str
    login_uid: int | None
    host: str
    claimed: tuple[tuple[str, str], ...] = ()

    @classmethod
    def current(cls, environ: Mapping[str, str] | None = None) -> Actor:
        """The person at this process."""
        environ = os.environ if environ is None else environ
        uid = os.getuid()
        return cls(
            uid=uid,
            user=_user_name(uid),
            login_uid=_login_uid(),
            host=_one_line(socket.gethostname()),
            claimed=tuple((name, _one_line(environ[name])) for name in CLAIMS if environ.get(name)),
        )

    @property
    def label(self) -> str:
        """`sre@bastion-1`; where the environment claims another name: `root@bastion-1 (claims sre)`."""
        proven = f"{self.user}@{self.host}"
        claims = dict(self.claimed)
        name = claims.get("ANDON_OPERATOR") or claims.get("SUDO_USER")
        return proven if name in {None, self.user, proven} else f"{proven} (claims {name})"

    def as_json(self) -> dict[str, object]:
        """As the audit chain stores it: proven and claimed apart."""
        login = None if self.login_uid is None else _user_name(self.login_uid)
        return {
            "label": self.label,
            "proven": {"uid": self.uid, "user": self.user, "login_uid": self.login_uid, "login_user": login},
            "host": self.host,
            "claimed": dict(self.claimed),
        }


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's uid without an entry
        return f"uid{uid}"


def _login_uid() -> int | None:
    try:
        text = Path("/proc/self/loginuid").read_text("utf-8", "replace").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) != _NO_LOGIN else None


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:_CLAIM_CHARS]
