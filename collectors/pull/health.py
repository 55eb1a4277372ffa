"""Health probes: is the infrastructure of an agent there. Whether its answers are right is told by its runs alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collectors.pull.http import TroubleError, status_of
from store.record.batch import Probe

if TYPE_CHECKING:
    import httpx

FEED = "health"
TIMEOUT_S = 5.0
EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """What to probe: URL by agent, all of them every `every_s`."""

    urls: Mapping[str, str] = field(default_factory=dict)
    every_s: float = EVERY_S
    timeout_s: float = TIMEOUT_S


async def probe(own: httpx.AsyncClient, agent: str, url: str, timeout_s: float) -> Probe:
    """One GET. Only a 2xx is healthy; a redirect is not followed, for it may lead to any host. Never raises."""
    at_ns, began_ns = time.time_ns(), time.monotonic_ns()
    try:
        status = await status_of(own, url, timeout_s)
    except TroubleError as error:
        return Probe(agent=agent, at_ns=at_ns, ok=False, status=error.word)
    latency_ns = time.monotonic_ns() - began_ns
    word = "redirect" if 300 <= status < 400 else str(status)
    return Probe(agent=agent, at_ns=at_ns, ok=200 <= status < 300, status=word, latency_ns=latency_ns)
