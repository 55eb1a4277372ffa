"""JSON that was opened: the strings in it, and the same tree with some of them replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from collectors.enrich.rules import SECRET_NAME
from collectors.enrich.validators import TOKEN, may_be_secret

_DEEPEST = 100


def strings_of(tree: Any, into: dict[str, str], depth: int = 0) -> None:
    """All strings of a JSON tree, keys too. RecursionError well before Python's own, for what is nested too deeply."""
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(tree, str):
        into[tree] = tree
    elif isinstance(tree, list):
        for one in tree:
            strings_of(one, into, depth + 1)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            into[key] = key
            strings_of(value, into, depth + 1)


def rebuilt(tree: Any, changed: dict[str, str], secret: Callable[[str], str], *, named: bool = False) -> Any:
    """`tree` with its strings as `changed` has them; itself where nothing in it changes.

    A value under a secret's name is a secret whatever it holds: `secret` makes its token.
    """
    if isinstance(tree, str):
        new = changed.get(tree, tree)
        return secret(new) if named and may_be_secret(new) and not TOKEN.search(new) else new
    if isinstance(tree, list):
        items = [rebuilt(one, changed, secret, named=named) for one in tree]
        return tree if all(a is b for a, b in zip(items, tree, strict=True)) else items
    if isinstance(tree, dict):
        pairs = {
            changed.get(key, key): rebuilt(value, changed, secret, named=SECRET_NAME.search(key) is not None)
            for key, value in tree.items()
        }
        same = all(a in tree and tree[a] is b for a, b in pairs.items()) and len(pairs) == len(tree)
        return tree if same else pairs
    return tree
