"""Make any span storable: what SQLite cannot hold is replaced and flagged, never a reason to stop.

The formats should have done this already; this is the net under them, used only for a batch that would not bind.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from store.record.span import COLUMNS, KEY, Span

_LARGEST = 2**63 - 1


def mended(spans: list[Span]) -> list[Span]:
    """The same spans with every value storable; `flags` names the fields that were replaced."""
    return [_mend(span) for span in spans]


def _mend(span: Span) -> Span:
    changes: dict[str, Any] = {}
    for name in COLUMNS:
        value = getattr(span, name)
        better = _storable(value)
        if better is not value:
            changes[name] = better if better is not None or name not in KEY else str(value)
    parts = {str(_storable(name)): str(_storable(text)) for name, text in span.parts.items()}
    if parts != span.parts:
        changes["parts"] = parts
    if not changes:
        return span
    flags = ",".join(filter(None, [span.flags, *(f"mended:{name}" for name in sorted(changes))]))
    return msgspec.structs.replace(span, **{**changes, "flags": str(_storable(flags))})


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "replace").decode()
        return value
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (int, float)):
        return value
    return str(value)
