"""URLs that a config names, and that Andon will ask."""

from __future__ import annotations

from urllib.parse import urlsplit

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def url_problem(url: str) -> str | None:
    """Why the URL of a config cannot be asked, or None."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "write http://HOST or https://HOST"
    if parts.username is not None or parts.password is not None:
        return "leave user and password out of it; a token comes by token_env"
    return "leave the # and what follows out of it" if parts.fragment else None


def is_plain_and_far(url: str) -> bool:
    """True where a token would cross the network in the clear."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def checked_url(url: str) -> str:
    """The URL itself. ValueError says why it cannot be asked."""
    if (problem := url_problem(url)) is not None:
        raise ValueError(f"this URL cannot be asked: {problem}")
    return url
