"""HTTP: the method and the host. A GET reads; what carries a body, or names no method to go by, writes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from collectors.enrich.effects.verdict import READ_BY_ARGUMENT, Verdict, one

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_URL_KEYS = ("url", "uri", "endpoint", "href", "webhook_url", "base_url")
_URL_KEY_SET = frozenset(_URL_KEYS)
_BODY_KEYS = ("body", "data", "json", "payload", "form", "files", "json_data")
_READERS = frozenset(
    {"webfetch", "web_fetch", "fetch", "http_get", "url_fetch", "fetch_url", "get_url", "open_url", "read_url"}
)
_CALLERS = frozenset(
    {
        "http",
        "http_request",
        "request",
        "httprequest",
        "api_request",
        "api_call",
        "curl",
        "http_post",
        "requests",
        "call_api",
    }
)
_MAX_CHARS = 300


def place(url: str) -> str:
    """Host and path of a URL: no credentials, no query, no fragment. Text that is no URL stays as it is."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return url[:_MAX_CHARS]
    path = parts.path.rstrip("/")
    return f"{host}{path}"[:_MAX_CHARS] if host else url[:_MAX_CHARS]


def reversible(method: str) -> str:
    return "no" if method == "DELETE" else "unknown"


def judge(low: str, arguments: dict[str, Any]) -> Verdict | None:
    """A tool that takes a URL; None where neither its name nor its arguments say that it speaks HTTP."""
    if low not in _CALLERS and _URL_KEY_SET.isdisjoint(arguments):
        return None
    method = arguments.get("method") or arguments.get("http_method")
    url = next((value for key in _URL_KEYS if isinstance(value := arguments.get(key), str) and value), None)
    if url is None and low not in _CALLERS:
        return None
    has_body = any(arguments.get(key) for key in _BODY_KEYS)
    if isinstance(method, str) and method:
        verb = method.upper()[:20]
    elif low in _READERS and not has_body:
        return READ_BY_ARGUMENT
    elif low in _CALLERS:
        if not has_body and low != "http_post":
            return READ_BY_ARGUMENT if url is not None else None
        verb = "POST"
    else:
        return None
    if verb in SAFE:
        return READ_BY_ARGUMENT
    return one("http", verb, place(url) if url else None, reversible(verb))
