"""What hides a value from the rules: escapes, entities, colour codes, emphasis, characters that do not show.

`peel` takes one layer of it off and remembers where every byte came from, so that a find in the plain text is
replaced in the text as it stands. `\\\\u0040`, `&amp;#64;` and `%2540` have two layers: peel twice.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

import re2

from collectors.enrich.rules import re2_options

# Bytes of characters that do not show: soft hyphen, zero width, directions, word joiner, BOM, NUL.
_UNSEEN = rb"\x00|\xc2\xad|\xe1\xa0\x8e|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xa9]|\xef\xbb\xbf"
_UNSEEN_ESCAPED = rb"\\+u(?:0000|00[aA][dD]|180[eE]|20(?:0[b-fB-F]|2[a-eA-E]|6[0-9])|[fF][eE][fF][fF])"
_COLOUR = rb"(?:\x1b|\\+(?:u001[bB]|x1[bB]|033|e))\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]"
_TITLE = rb"\x1b\][^\x07\x1b\x1e]{0,200}(?:\x07|\x1b\\)"
_DASH = rb"\xe2\x80[\x90-\x93]|\xe2\x88\x92"
_SPACE = rb"\xc2\xa0|\xe2\x80[\x82-\x8a\xaf]|\xe2\x81\x9f"
_WIDE = rb"\xef\xbc[\x8b\x8d-\x99\xa0-\xba\xbf]|\xef\xbd[\x81-\x9a]"  # full-width + - . / 0-9 @ A-Z _ a-z
_NAMED = {
    b"commat": b"@",
    b"period": b".",
    b"amp": b"&",
    b"lowbar": b"_",
    b"plus": b"+",
    b"hyphen": b"-",
    b"dash": b"-",
    b"colon": b":",
    b"sol": b"/",
    b"equals": b"=",
    b"quot": b'"',
    b"apos": b"'",
    b"nbsp": b" ",
    b"shy": b"",
    b"zwnj": b"",
    b"zwj": b"",
}
_ENTITY = rb"&(?:#[0-9]{2,7}|#[xX][0-9a-fA-F]{2,6}|" + b"|".join(_NAMED) + rb");"
_PERCENT = rb"%[2-7][0-9A-Fa-f]"

_MAY_HIDE = re2.compile(
    b"|".join(
        [
            _UNSEEN,
            rb"\\(?:[/\"]|[nrtbf][A-Za-z0-9<+(]|u(?:00|20|180|[fF][eE]|\{)|x(?:[2-7]|1[bB])|e\[|033)|\x1b",
            _DASH,
            _SPACE,
            _WIDE,
            _PERCENT,
            _ENTITY,
            rb"[A-Za-z0-9@_.+-](?:\*{1,3}|~~|`)(?:[A-Za-z0-9@_+-]|\.[A-Za-z0-9])",
            rb"[A-Za-z0-9+/]{60}\r?\n[A-Za-z0-9+/]{4}",
        ]
    ),
    re2_options(),
)

# RE2 has no look-around: `peel` looks at what stands after an escape, an emphasis or a wrap.
_KINDS = (
    ("gone", b"|".join([_UNSEEN, _UNSEEN_ESCAPED, _COLOUR, _TITLE])),
    ("code", rb"\\+(?:u00|x)[2-7][0-9a-fA-F]|\\+u\{0{0,4}[2-7][0-9a-fA-F]\}"),
    ("escape", rb"\\+[nrtbf]"),
    ("slash", rb"\\+/"),
    ("quote", rb"\\+\""),
    ("dash", _DASH),
    ("space", _SPACE),
    ("wide", _WIDE),
    ("entity", _ENTITY),
    ("percent", _PERCENT),
    ("emphasis", rb"[A-Za-z0-9@_.+-](?P<emphasis>\*{1,3}|~~|\x60)"),
    ("wrap", rb"[A-Za-z0-9+/]{60}(?P<wrap>\r?\n)"),
)
_HIDDEN = re2.compile(
    b"|".join(p if b"(?P<" in p else b"(?P<" + kind.encode() + b">" + p + b")" for kind, p in _KINDS), re2_options()
)
_KIND_OF = {number: name.decode() for name, number in _HIDDEN.groupindex.items()}
_FOLLOWED = {
    "escape": re.compile(rb"[A-Za-z0-9<+(]"),
    "emphasis": re.compile(rb"[A-Za-z0-9@_+-]|\.[A-Za-z0-9]"),
    "wrap": re.compile(rb"[A-Za-z0-9+/]{4}"),
}


def _character(code: int) -> bytes | None:
    """What a character of that number is in the plain text; None leaves the sequence as it is."""
    char = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
    data = char.encode()
    if re.fullmatch(_UNSEEN, data):
        return b""
    return data if char.isprintable() and char else None


def _entity(text: bytes) -> bytes | None:
    body = text[1:-1]
    if body[:2] in (b"#x", b"#X"):
        return _character(int(b"0" + body[1:], 16))
    return _character(int(body[1:])) if body[:1] == b"#" else _NAMED[body]


def _code(text: bytes) -> bytes | None:
    char = bytes([int(text.rstrip(b"}")[-2:], 16)])
    return None if char in (b'"', b"\\", b"\x7f") else char


_ALWAYS = {
    "gone": b"",
    "escape": b"\n",
    "slash": b"/",
    "quote": b'"',
    "dash": b"-",
    "space": b" ",
    "emphasis": b"",
    "wrap": b"",
}
_READ: dict[str, Callable[[bytes], bytes | None]] = {
    "code": _code,
    "wide": lambda text: bytes([ord(text.decode()) - 0xFEE0]),
    "entity": _entity,
    "percent": lambda text: bytes([int(text[1:], 16)]),
}


class Plain(NamedTuple):
    """A text with one layer off. Piece n starts at `at[n]` in it and at `own[n]` in the text it was made of."""

    data: bytes
    at: list[int]
    own: list[int]
    copied: list[bool]

    def back(self, start: int, end: int) -> tuple[int, int]:
        """Where in the text of before these bytes (at least one) lie."""
        first, last = bisect_right(self.at, start) - 1, bisect_right(self.at, end - 1) - 1
        begin = self.own[first] + (start - self.at[first] if self.copied[first] else 0)
        done = self.own[last] + end - self.at[last] if self.copied[last] else self.own[last + 1]
        return begin, done


def hiding(blob: bytes, starts: list[int]) -> list[int]:
    """Which of the texts in `blob` (text n starts at `starts[n]`) may hide something. One pass, not one a text."""
    found: list[int] = []
    search: Any = _MAY_HIDE.search
    match = search(blob)
    while match is not None:
        at = bisect_right(starts, match.start()) - 1
        found.append(at)
        if at + 1 >= len(starts):
            break
        match = search(blob, starts[at + 1])
    return found


def peel(data: bytes) -> Plain | None:
    """The text with one layer off; None where there is none."""
    pieces: list[bytes] = []
    at: list[int] = []
    own: list[int] = []
    copied: list[bool] = []
    done = size = 0
    for match in _HIDDEN.finditer(data):
        kind = _KIND_OF[match.lastindex]
        start, end = match.span(match.lastindex)
        follows = _FOLLOWED.get(kind)
        if follows is not None and follows.match(data, end) is None:
            continue
        shown = _ALWAYS[kind] if kind in _ALWAYS else _READ[kind](data[start:end])
        if shown is None:
            continue
        if start > done:
            pieces.append(data[done:start])
            at.append(size)
            own.append(done)
            copied.append(True)
            size += start - done
        if shown:
            pieces.append(shown)
            at.append(size)
            own.append(start)
            copied.append(False)
            size += len(shown)
        done = end
    if not done:
        return None
    if done < len(data):
        pieces.append(data[done:])
        at.append(size)
        own.append(done)
        copied.append(True)
        size += len(data) - done
    # a last piece of no length, so that what ends with an escape has an end
    at.append(size)
    own.append(len(data))
    copied.append(True)
    return Plain(b"".join(pieces), at, own, copied)
