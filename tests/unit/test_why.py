"""The reason beside a cost: a loop is named where it is one, and where it is what the calls were spent on."""

from __future__ import annotations

import pytest

from store.telemetry.why import longest_loop


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ("aaaaaa", "a 6x in a row"),
        ("aaaaa", None),
        ("ababab", "a ⇄ b, 3 rounds"),
        ("abab", None),
        ("xxababababyaaaaaaa", "a ⇄ b, 4 rounds"),
        ("abcabcabc", None),
        ("", None),
        ("a", None),
    ],
)
def test_the_longest_loop(tools: str, words: str | None) -> None:
    loop = longest_loop(list(tools))
    assert (loop.words if loop else None) == words
