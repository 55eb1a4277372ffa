"""Dotted paths into a JSON record: `usage.prompt_tokens`, `choices.0.text`, `attributes."gen_ai.request.model"`."""

from __future__ import annotations

import difflib
import re
from typing import Any, Final

Path = tuple[str, ...]

_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')
_DEEPEST = 64
_INDEX = re.compile(r"-?\d{1,6}")


class _Missing:
    """There is nothing at a path; JSON's null counts as nothing too."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def parse_path(text: str) -> Path:
    """The parts of a path. ValueError says what is wrong with it."""
    parts: list[str] = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is no path: write names with dots between, quoted where a name has a dot in it")
        parts.append(match[2] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1]))
        at = match.end()
        if at == len(text):
            return tuple(parts)
        if text[at] != ".":
            raise ValueError(f"{text!r} is no path: a dot is missing after {parts[-1]!r}")
        at += 1


def path_text(path: Path) -> str:
    """The path as one writes it."""
    return ".".join(_quoted(part) if re.search(r'[."\s]', part) or not part else part for part in path)


def _quoted(part: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", part)
    return f'"{escaped}"'


def at_path(value: Any, path: Path) -> Any:
    """What is there, or MISSING. A number is a place in a list (-1 is the last), or a name in an object."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and _INDEX.fullmatch(part):
            place = int(part)
            value = value[place] if -len(value) <= place < len(value) else None
        else:
            return MISSING
        if value is None:
            return MISSING
    return value


def break_of(value: Any, path: Path) -> str:
    """Where a path that leads to nothing ends: the reason in words, by names of the path alone."""
    for place, part in enumerate(path):
        before = path_text(path[:place]) or "the record"
        if isinstance(value, dict):
            if part not in value:
                return f"{before} has no {part!r}"
            value = value[part]
        elif isinstance(value, list):
            if not _INDEX.fullmatch(part):
                return f"{before} is a list: a place in it is a number, such as 0"
            if not -len(value) <= int(part) < len(value):
                return f"{before} has only {len(value)} in it"
            value = value[int(part)]
        else:
            return f"{before} is {'null' if value is None else 'neither object nor list'}"
    return "it is null" if value is None else "it is there"


def near_of(value: Any, path: Path) -> str | None:
    """The name, in the object where a path ends too early, that was likely meant: text of the log."""
    for part in path:
        if not isinstance(value, dict):
            return None
        if part not in value:
            by_case = {key.casefold().replace("_", ""): key for key in value}
            meant = by_case.get(part.casefold().replace("_", ""))
            near = difflib.get_close_matches(part, list(value)[:200], n=1, cutoff=0.75)
            return meant or (near[0] if near else None)
        value = value[part]
    return None


Tree = dict[str, Any]
"""Paths as a tree: part -> the tree below it; a leaf is an empty one."""


def tree_of(paths: list[Path]) -> Tree:
    tree: Tree = {}
    for path in paths:
        here = tree
        for part in path:
            here = here.setdefault(part, {})
    return tree


def without(value: dict[str, Any], tree: Tree) -> dict[str, Any]:
    """The object without what lies at the leaves of the tree; objects that this empties go too. Lists stay whole."""
    rest: dict[str, Any] = {}
    for key, own in value.items():
        below = tree.get(key)
        if below is None:
            rest[key] = own
        elif below and isinstance(own, dict):
            if left := without(own, below):
                rest[key] = left
        elif below and isinstance(own, list):
            rest[key] = own
    return rest


def leaves_of(value: Any, limit: int, path: Path = ()) -> list[tuple[Path, Any]]:
    """(path, scalar) of every scalar in a JSON value, in order, the first `limit` of them; none below 64 levels."""
    if len(path) >= _DEEPEST:
        return [(path, "(nested deeper)")]
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return [(path, value)]
    found: list[tuple[Path, Any]] = []
    for key, own in items:
        if len(found) >= limit:
            break
        found += leaves_of(own, limit - len(found), (*path, str(key)))
    return found
