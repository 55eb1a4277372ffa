"""Known patterns of prompt injection (injection.toml) in what tools answer. They are flagged, nothing is replaced."""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import Any

import re2

from collectors.enrich.rules import re2_options
from store.record.span import Span

_SEPARATOR = b"\x1e"


class Injections:
    """Scans the results of tools, in one pass a batch."""

    def __init__(self) -> None:
        self._pattern = _compiled()

    def in_results(self, spans: Sequence[Span]) -> Iterator[tuple[Span, str, int]]:
        """(span, part, how many patterns matched there)."""
        places = [
            (span, name)
            for span in spans
            if span.kind == "tool"
            for name, text in span.parts.items()
            if text and name.startswith("output")
        ]
        if not places:
            return
        texts = [span.parts[name].encode("utf-8", "replace") for span, name in places]
        starts = [0, *accumulate(len(text) + 1 for text in texts)]
        counts = Counter(
            bisect_right(starts, match.start()) - 1 for match in self._pattern.finditer(_SEPARATOR.join(texts))
        )
        for number, count in counts.items():
            yield *places[number], count


@cache
def _compiled() -> Any:
    table = tomllib.loads(files(__package__).joinpath("injection.toml").read_text("utf-8"))["pattern"]
    return re2.compile("|".join(f"(?:{one['pattern']})" for one in table).encode(), re2_options())
