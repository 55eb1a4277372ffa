"""Under which names a model may stand in a price list, as its log, its gateway or its cloud writes it.

Only what decorates a name is taken off: `models/`, a gateway's prefix, a date, `[1m]`. What names another product
(`:free`, `-mini`) stays, for it has another price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Providers as logs name them, where the price list would not know them, or would take them for another.
_PROVIDERS = {
    **dict.fromkeys(("fireworks_ai", "fireworks-ai"), "fireworks"),
    **dict.fromkeys(("x_ai", "x.ai", "grok"), "x-ai"),
    **dict.fromkeys(("z.ai", "z-ai", "z_ai"), "zai"),
    **dict.fromkeys(("togetherai", "together-ai", "together_ai"), "together"),
    **dict.fromkeys(("open_router",), "openrouter"),
    **dict.fromkeys(
        ("bedrock", "aws.bedrock", "aws_bedrock", "amazon_bedrock", "amazon-bedrock", "bedrock_converse"), "aws"
    ),
    **dict.fromkeys(("vertex", "vertex_ai", "vertexai", "google_vertexai", "google-vertex", "gcp.vertex_ai"), "google"),
    **dict.fromkeys(
        ("gemini", "google_genai", "google_gemini", "google-generative-ai", "gcp.gemini", "gcp.gen_ai"), "google"
    ),
}
_GATEWAYS = frozenset({"litellm", "litellm_proxy", "proxy", "gateway"})  # their prefix says nothing of who serves
_CLOUD = re.compile(
    r"(?:(?:us|eu|apac|ap|jp|au|ca|sa|us-gov|global)\.)?"
    r"(?:anthropic|amazon|meta|mistral|cohere|deepseek|ai21|qwen|openai|stability|writer)\.[a-z0-9]"
)
_ROUTES = re.compile(r"(?:converse|converse_like|invoke|chat|responses)/")
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:[^/]*/")
_RESOURCE = re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/([\w-]+)/)?models/")
_TAIL = re.compile(r"\[1m\]$|@default$|@\d{8}$|-latest$|-\d{8}$|-\d{4}-\d{2}-\d{2}$")
_OPENROUTER = re.compile(r":(?:free|nitro|floor|online|thinking|extended|exacto)$")  # its own variants of a model
_OWN_NAMES = (("text-embedding-", "openai"), ("tts-1", "openai"), ("whisper-", "openai"))

Named = tuple[str | None, str]


def spellings(provider: str | None, model: str) -> Iterator[Named]:
    """(provider, model) pairs to look up, the plainest reading first; the first that is known is the one.

    A provider that was named is never dropped: what one gateway charges is not what another does.
    """
    seen: set[Named] = set()
    for pair in _readings(_known_as(provider), model.strip().lower()):
        for one in (pair, *_without_tails(*pair)):
            if one[1] and one not in seen:
                seen.add(one)
                yield one


def _known_as(provider: str | None) -> str | None:
    """`azure` serves OpenAI's models at prices of its own, whatever else its name contains."""
    if provider is None:
        return None
    name = provider.strip().lower()
    if name.startswith(("azure", "az.ai")):
        return "azure"
    return _PROVIDERS.get(name, name) or None


def _readings(provider: str | None, model: str) -> Iterator[Named]:
    if match := _ARN.match(model):
        provider, model = "aws", model[match.end() :]
    yield provider, model
    if match := _RESOURCE.match(model):
        provider, model = provider or match[1], model[match.end() :]
        yield provider, model
    head, slash, rest = model.partition("/")
    head = _known_as(head) or ""
    if slash and provider is None and _OPENROUTER.search(model):
        yield "openrouter", model
    elif slash and (provider in (None, head) or provider in _GATEWAYS):
        rest = _ROUTES.sub("", rest, count=1)
        yield from _readings(None if head in _GATEWAYS else head, rest)
    elif provider is None and _CLOUD.match(model):
        yield "aws", model
    elif provider is None:
        yield from ((owner, model) for start, owner in _OWN_NAMES if model.startswith(start))


def _without_tails(provider: str | None, model: str) -> Iterator[Named]:
    while (shorter := _TAIL.sub("", model)) != model:
        model = shorter
        yield provider, model
