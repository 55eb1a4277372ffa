"""Content blocks, as model APIs and the agents built on them write a message: a text, or a list of typed objects."""

from __future__ import annotations

from typing import Any

from collectors.formats.decode import canonical


def blocks_of(content: object) -> list[dict[str, Any]]:
    """A message's content as blocks; bare text becomes a text block, what is neither is left out."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        return []
    blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]
    return [one for one in blocks if isinstance(one, dict)]


def text_in(blocks: list[dict[str, Any]]) -> str:
    """All that the text blocks say."""
    return "\n".join(one["text"] for one in blocks if one.get("type") == "text" and isinstance(one.get("text"), str))


def payload_text(content: object) -> str:
    """A result or prompt as text. The bytes of an image are left out, its kind and size stay."""
    if isinstance(content, str):
        return content
    blocks = blocks_of(content)
    if blocks and all(one.get("type") == "text" and isinstance(one.get("text"), str) for one in blocks):
        return text_in(blocks)
    return canonical([_without_bytes(one) for one in content] if isinstance(content, list) else content)


def _without_bytes(block: object) -> object:
    if isinstance(block, dict) and isinstance(source := block.get("source"), dict):
        data = source.get("data")
        if isinstance(data, str) and len(data) > 256:
            return {**block, "source": {**source, "data": f"({len(data)} characters of base64)"}}
    return block
