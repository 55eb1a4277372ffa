"""Text that one message has in several blocks (`output:00-…`, `output:01-…`), looked at over the seams.

A model's answer arrives in blocks, and a value may begin in one and end in the next. Each seam is a window over the
end of what comes before it and the start of what comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from store.record.span import Span

REACH_BYTES = 4096  # a private key of 4,096 bits is shorter than this


class Window(NamedTuple):
    data: bytes
    seam: int  # where in `data` the seam is
    message: _Message
    start: int  # where in the message's whole text the window starts


class _Message(NamedTuple):
    blocks: list[tuple[str, list[Span]]]  # name, and the versions of the span that have it
    texts: list[bytes]
    finds: dict[tuple[int, int], bytes]  # (start, end) in the whole text -> replacement


class Seams:
    """The seams of a batch: scan `windows`, `note` what was found, then `replace`."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.windows: list[Window] = []
        messages: dict[tuple[str, str, str], dict[str, list[Span]]] = {}
        for span in spans:
            for name in span.parts:
                stem, colon, _ = name.partition(":")
                if colon:
                    messages.setdefault((span.namespace, span.span_id, stem), {}).setdefault(name, []).append(span)
        for blocks in messages.values():
            if len(blocks) > 1:
                self._add(sorted(blocks.items()))

    def _add(self, blocks: list[tuple[str, list[Span]]]) -> None:
        texts = [spans[-1].parts[name].encode("utf-8", "replace") for name, spans in blocks]
        message = _Message(blocks, texts, {})
        whole = b"".join(texts)
        at = 0
        for text in texts[:-1]:
            at += len(text)
            start = max(0, at - REACH_BYTES)
            self.windows.append(Window(whole[start : at + REACH_BYTES], at - start, message, start))

    def note(self, window: int, start: int, end: int, token: bytes) -> None:
        """A find in a window; one that lies in a single block is left to the look at that block."""
        one = self.windows[window]
        if start < one.seam < end:
            one.message.finds[start + one.start, end + one.start] = token

    def replace(self) -> list[tuple[Span, str, str, str]]:
        """Put each token where its find starts, and take what later blocks have of it away.

        Returns (span, part, what it was, what it is).
        """
        changed: list[tuple[Span, str, str, str]] = []
        messages = {id(window.message): window.message for window in self.windows if window.message.finds}
        for message in messages.values():
            at = 0
            for (name, spans), text in zip(message.blocks, message.texts, strict=True):
                before, after = text.decode(), _without(text, at, message.finds).decode("utf-8", "replace")
                at += len(text)
                for span in spans if before != after else ():
                    if span.parts[name].encode("utf-8", "replace") == text:
                        span.parts[name] = after
                        changed.append((span, name, before, after))
        return changed


def _without(text: bytes, at: int, finds: dict[tuple[int, int], bytes]) -> bytes:
    """The block that starts at `at` in the whole text, without its share of the finds."""
    built: list[bytes] = []
    done = 0
    for (start, end), token in sorted(finds.items()):
        own_start, own_end = max(start - at, done), min(end - at, len(text))
        if own_start < own_end:
            built += [text[done:own_start], token if start >= at else b""]
            done = own_end
    return b"".join([*built, text[done:]])
