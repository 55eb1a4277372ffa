"""Where the receiver listens: `HOST:PORT`, `[::1]:PORT`, `:PORT` (on loopback) or `unix:PATH`."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat

from collectors.declared import CollectError

_BACKLOG = 256
_PORT = re.compile("[0-9]{1,5}")
_MAX_PORT = 65535


def bound(address: str, *, has_token: bool) -> tuple[socket.socket, str | None]:
    """A socket that listens there, and the path of a unix socket. CollectError says what is wrong and what to do."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        return _bound_unix(path), path
    host, _, port = address.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise CollectError(f"--listen {address}: write HOST:PORT, for example 127.0.0.1:4318, or unix:PATH")
    family, where = _resolved(address, host.strip("[]") or "127.0.0.1", int(port))
    if not is_loopback(where[0]) and not has_token:
        raise CollectError(
            f"--listen {address}: others can reach that address, and there is no token. Listen on 127.0.0.1, "
            "or set ANDON_OTLP_TOKEN (or token_file under [otlp] in andon.toml)."
        )
    own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(where)
        own.listen(_BACKLOG)  # from now on nobody else can have it
    except OSError as error:
        own.close()
        raise CollectError(f"--listen {address}: {error.strerror}") from None
    return own, None


def is_loopback(host: str) -> bool:
    """True if only this machine can reach it. `host` is an address in digits."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _resolved(address: str, host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """IPv4 where a name has both: exporters try it first for `localhost`, or nothing else."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError) as error:
        raise CollectError(f"--listen {address}: {error}") from None
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, where  # type: ignore[return-value]  # of IPv6 there is more, which bind takes


def _bound_unix(path: str) -> socket.socket:
    if not path or "\0" in path:
        raise CollectError("--listen unix:PATH needs a path: a socket without one has no permissions")
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            os.unlink(path)  # noqa: PTH108
        before = os.umask(0o177)
        try:
            own.bind(path)
            own.listen(_BACKLOG)
        finally:
            os.umask(before)
    except OSError as error:
        own.close()
        raise CollectError(f"--listen unix:{path}: {error.strerror or error}") from None
    return own


def _is_left_over(path: str) -> bool:
    """True for a socket that nobody listens on any more; anything else at that path is not ours to remove."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
