"""Are the packages that Python found really ours? Their names also exist on PyPI: one install can overwrite another."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_ROOMS = ("console", "store", "collectors", "runbooks")


def misplaced() -> str | None:
    """None where all four lie beside each other and carry our marker; else what is wrong and what to do."""
    home = Path(__file__).resolve().parent.parent
    for room in _ROOMS:
        spec = find_spec(room)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None or origin.parent.parent != home:
            where = origin.parent if origin else "nowhere"
            return _message(room, f"was found at {where}, not beside console in {home}")
        if not origin.read_text(encoding="utf-8").startswith('"""Andon:'):
            return _message(room, f"at {origin.parent} was overwritten by another package of that name")
    return None


def _message(room: str, what: str) -> str:
    return (
        f"the package {room!r} {what}. Install Andon alone, with pipx install andon or uv tool install andon; "
        "nothing was opened."
    )
