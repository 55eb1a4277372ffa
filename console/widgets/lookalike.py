"""Names that look like other names: what the Stop dialog says before anyone types a code.

A small part of the idea of UTS 39: fold a name to a skeleton, compare skeletons, and name mixed scripts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_LIKE = str.maketrans(
    {
        # Cyrillic
        "а": "a", "в": "b", "с": "c", "е": "e", "ё": "e", "һ": "h", "і": "i", "ї": "i", "ј": "j", "к": "k",
        "м": "m", "н": "h", "о": "o", "р": "p", "ѕ": "s", "т": "t", "у": "y", "х": "x", "ԁ": "d", "ԛ": "q",
        "ԝ": "w", "ь": "b", "г": "r", "з": "3", "ӏ": "l", "п": "n", "ѵ": "v", "ɡ": "g",
        # Greek
        "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t",
        "υ": "u", "χ": "x", "γ": "y", "ω": "w", "σ": "o",
        # digits and punctuation that pass for letters
        "0": "o", "1": "l", "|": "l", "i": "l", "_": "-", "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-",
    }
)  # fmt: skip
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "HEBREW", "ARABIC", "FULLWIDTH")


def skeleton(name: str) -> str:
    """Two names with one skeleton are hard to tell apart on a screen."""
    folded = unicodedata.normalize("NFKD", name).casefold()
    kept = "".join(char for char in folded if unicodedata.category(char) not in {"Mn", "Me", "Cf", "Cc", "Cn", "Co"})
    return " ".join(kept.translate(_LIKE).translate(_LIKE).replace("rn", "m").replace("vv", "w").split())


def scripts(name: str) -> tuple[str, ...]:
    """The scripts whose letters occur in the name, in words."""
    found = {
        script
        for char in name
        if char.isalpha()
        for script in _SCRIPTS
        if unicodedata.name(char, "").startswith(script)
    }
    return tuple(sorted(script.capitalize() for script in found))


def hidden(name: str) -> int:
    """How many characters of the name cannot be seen, or change the direction of reading."""
    return sum(
        unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or 0xFE00 <= ord(char) <= 0xFE0F
        for char in name
    )


def warnings(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """What to say of a name before it is stopped; the names in it are still untrusted text."""
    found: list[str] = []
    mixed = scripts(name)
    if len(mixed) > 1:
        found.append(f"mixed scripts: {' and '.join(mixed)}")
    if unseen := hidden(name):
        found.append(f"{unseen} hidden characters in the name")
    own = skeleton(name)
    found.extend(f"looks like {other}" for other in sorted(known) if other != name and skeleton(other) == own)
    return tuple(found)
