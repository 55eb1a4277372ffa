"""What a demo agent does, before it does it: jobs made of model calls and tool calls, all from one seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

USERS = (
    ("u-1093", "acme", "jane.doe@acme.example"),
    ("u-1101", "acme", "k.osei@acme.example"),
    ("u-2040", "globex", "m.rossi@globex.example"),
    ("u-2077", "globex", "lena.fischer@globex.example"),
    ("u-3005", "initech", "p.gibbons@initech.example"),
)
CONTEXT_LIMIT = 200_000


def seeded(*parts: object) -> random.Random:
    """A generator that gives the same numbers for the same parts, on every machine."""
    return random.Random(":".join(map(str, parts)))  # noqa: S311 - demo content, nothing secret


@dataclass(frozen=True, slots=True)
class Call:
    """One model call or tool call. `end` holds the fields that only the end line carries."""

    kind: str  # llm or tool
    name: str
    duration_ms: float
    status: str = "ok"
    error_type: str | None = None
    error_message: str | None = None
    model: str | None = None
    provider: str | None = None
    tokens: dict[str, int] | None = None
    context_tokens: int | None = None
    ttft_ms: float | None = None
    args: dict[str, object] | None = None
    result: object = None
    effect: dict[str, object] | None = None  # its status is the one at the end; at the start it is `sent`
    output: str | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a session. `calls` may be endless: then only a stop ends it."""

    session: str
    title: str
    user: str
    tenant: str
    prompt_hash: str
    calls: Iterator[Call]
    question: str
    answer: str
    pause_ms: float  # idle after it
    status: str = "ok"  # of the run, unless its last call failed
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What is always so of an agent."""

    name: str
    version: str
    model: str
    provider: str
    prompt_hash: str
    base_context: int
    tokens_per_second: float = 80.0
    ttft_ms: float = 300.0
    tools_hash: str = field(default="t-91be")


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("search-api", "2.4.1", "gpt-4o-mini", "openai", "p-a81c", 1_900, 260.0, 130.0),
        Profile("triage", "1.9.0", "claude-haiku-4-5", "anthropic", "p-57d0", 3_100, 190.0, 220.0),
        Profile("billing-bot", "3.2.0", "claude-sonnet-4-5", "anthropic", "p-1b2e", 4_100, 110.0, 420.0),
        Profile("mailer", "1.1.3", "gpt-4.1-mini", "openai", "p-c9f4", 1_400, 170.0, 200.0),
        Profile("importer", "0.8.2", "gemini-2.5-flash", "google", "p-7e33", 2_600, 240.0, 240.0),
    )
}
AGENTS = tuple(PROFILES)


def around(rng: random.Random, middle: float, spread: float = 0.35) -> float:
    """A time or size near `middle` with a long tail to the right, as real ones have."""
    return middle * math.exp(rng.gauss(0.0, spread))


def model_call(
    rng: random.Random,
    profile: Profile,
    name: str,
    context: int,
    output: int,
    *,
    text: str | None = None,
    model: str | None = None,
    provider: str | None = None,
) -> Call:
    """A model call over `context` tokens, of which the part sent before comes from the provider's cache."""
    produced = max(8, int(around(rng, output)))
    cached = 0 if name == "plan" else int(context * 0.6) // 64 * 64
    ttft = around(rng, profile.ttft_ms + context / 250)
    return Call(
        kind="llm",
        name=name,
        duration_ms=ttft + produced / profile.tokens_per_second * 1000,
        model=model or profile.model,
        provider=provider or profile.provider,
        tokens={"input": context - cached, "cache_read": cached, "output": produced},
        context_tokens=context + produced,
        ttft_ms=round(ttft, 1),
        output=text,
    )


def failed(call: Call, error_type: str, message: str, duration_ms: float) -> Call:
    """The same call as one that ended in an error; a failed model call has no tokens and no price."""
    return Call(
        kind=call.kind,
        name=call.name,
        duration_ms=duration_ms,
        status="error",
        error_type=error_type,
        error_message=message,
        model=call.model,
        provider=call.provider,
        args=call.args,
        effect=None if call.effect is None else call.effect | {"status": "unknown"},
    )
