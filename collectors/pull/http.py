"""One GET, bounded in time, bytes and trust: no redirect is followed, no proxy or password of the environment is used.

`Trouble.word` is one of a few words, so that it can be stored and counted; nothing that a server says gets into it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

USER_AGENT = "andon"


class TroubleError(Exception):
    """Why there is no answer. `word`: timeout, refused, tls, redirect, broken, too_large, garbage, or the status."""

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word


def client(timeout_s: float) -> httpx.AsyncClient:
    """A client that goes only where it is sent."""
    import httpx

    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        timeout=timeout_s,
        # an answer that was packed could unpack to any size
        headers={"user-agent": USER_AGENT, "accept-encoding": "identity"},
        # waiting for a free connection would count as the host's own silence
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
    )


async def status_of(own: httpx.AsyncClient, url: str, timeout_s: float) -> int:
    """The status of the answer; its body is not read. TroubleError where there is none within `timeout_s` in all."""
    import httpx

    try:
        async with asyncio.timeout(timeout_s), own.stream("GET", url) as answer:
            return answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ssl.SSLError) as error:
        raise _trouble(error) from None


async def body_of(
    own: httpx.AsyncClient,
    url: str,
    *,
    params: dict[str, str],
    headers: dict[str, str],
    timeout_s: float,
    max_bytes: int,
) -> bytes:
    """The body of a 200. TroubleError for anything else, for more than `max_bytes`, and after `timeout_s` in all."""
    import httpx

    try:
        async with asyncio.timeout(timeout_s), own.stream("GET", url, params=params, headers=headers) as answer:
            if answer.is_redirect:
                raise TroubleError("redirect", "it answers with a redirect, which is not followed: name the final URL")
            if answer.status_code != 200:
                raise TroubleError(str(answer.status_code), _of_status(answer.status_code))
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise TroubleError("garbage", "it answers in an encoding that was not asked for")
            body = bytearray()
            async for piece in answer.aiter_raw(64 << 10):
                body += piece
                if len(body) > max_bytes:
                    raise TroubleError("too_large", f"its answer is longer than {max_bytes >> 20} MiB")
            return bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ssl.SSLError) as error:
        raise _trouble(error) from None


def _of_status(status: int) -> str:
    words = {401: "is the token right?", 403: "is the token right?", 404: "is there such a project, or another path?"}
    return f"it answers {status}" + (f": {words[status]}" if status in words else "")


def _trouble(error: Exception) -> TroubleError:
    import httpx

    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return TroubleError("timeout", "no answer in time")
    if _is_tls(error):
        return TroubleError("tls", "its certificate is not trusted, or it speaks no TLS")
    if isinstance(error, httpx.ConnectError):
        return TroubleError("refused", "no connection: nothing answers at that address")
    return TroubleError("broken", f"the connection broke ({type(error).__name__})")


def _is_tls(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) or "[SSL" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
