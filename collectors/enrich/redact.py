"""Redaction: secrets and e-mail addresses become keyed tokens before anything is written.

A batch's text fields are joined and scanned as UTF-8 bytes by one RE2 alternation, which is linear in the
text whatever it says. JSON inside text is opened and scanned again, and escapes that could hide something
(`\\u0040`, `\\/`) are undone for the scan. A replacement is `<class:12 hex>`, an HMAC under the store's
`redact.key`: the same value is the same token everywhere in one store, and means nothing in another.

Not covered, on purpose: namespace and the ids of span, session, run, parent and retried span, and the guard's
instance. They join records to each other, to a guard's file and to a switch; a stop of a session must name it
as the agent knows it. A secret that is cut into pieces over several fields, or encoded (base64), is not found.
"""

from __future__ import annotations

import hmac
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import msgspec

from collectors.enrich.rules import SECRET_NAME, TOKEN, compile_rules, may_be_secret
from store.record.span import Span

FIELDS = (
    "name",
    "agent",
    "agent_version",
    "environment",
    "host",
    "user_id",
    "tenant_id",
    "credential_id",
    "tool",
    "prompt_hash",
    "prompt_version",
    "tools_hash",
    "error_type",
    "error_message",
    "model",
    "model_served",
    "provider",
    "effect_system",
    "effect_operation",
    "effect_resource",
    "effect_idempotency_key",
    "effect_external_id",
    "score_name",
    "score_label",
)
"""Every field of a span that is text of the log, but its ids. Its parts are covered as well."""

_SEPARATOR = b"\x1e"
_CHUNK_BYTES = 4 * 1024 * 1024
_DEEPEST_TREE = 100
_DEEPEST = 4  # JSON in JSON in JSON in JSON
_LONGEST_REFUSED = 256
_HIDES = ("\\u00", "\\/", '\\"')
_ESCAPED = re.compile(r"\\+u00([2-7][0-9a-fA-F])|\\+/")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Redactor:
    """Scans text under one key. Rules are compiled once."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._pattern, self._rules = compile_rules()

    def text(self, text: str) -> str:
        """One text, redacted."""
        return self._all([text])[0]

    def spans(self, spans: Iterable[Span]) -> None:
        """Redact a batch of spans in place, in one scan a level of nesting."""
        texts: dict[str, str] = {}
        spans = list(spans)
        for span in spans:
            for name in FIELDS:
                value = getattr(span, name)
                if value:
                    texts[value] = value
            texts.update((value, value) for value in span.parts.values())
        before = list(texts)
        changed = {old: new for old, new in zip(before, self._all(before), strict=True) if old != new}
        if not changed:
            return
        for span in spans:
            for name in FIELDS:
                value = getattr(span, name)
                if value and value in changed:
                    setattr(span, name, changed[value])
            for name, value in span.parts.items():
                if value in changed:
                    span.parts[name] = changed[value]

    def _all(self, texts: list[str], depth: int = 0) -> list[str]:
        out = self._scan(texts)
        if depth >= _DEEPEST:
            return out
        hiding = [index for index, text in enumerate(out) if any(one in text for one in _HIDES)]
        if hiding:
            self._open(out, hiding, depth)
            self._undo_escapes(out, hiding)
        return out

    def _open(self, out: list[str], hiding: list[int], depth: int) -> None:
        """Decode those texts that are JSON, redact what is in them, and encode anew those that changed."""
        trees: list[tuple[int, Any]] = []
        inner: dict[str, str] = {}
        for index in hiding:
            text = out[index].strip()
            if text[:1] not in ("{", "[", '"'):
                continue
            try:
                tree = _decode(text.encode("utf-8", "replace"))
                _strings(tree, inner)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue  # no JSON, or too deep to be opened: the scan of the text as it stands has covered it
            trees.append((index, tree))
        if not trees:
            return
        found = list(inner)
        changed = {a: b for a, b in zip(found, self._all(found, depth + 1), strict=True) if a != b}
        for index, tree in trees:
            redacted = self._rebuild(tree, changed)
            if redacted is not tree:
                out[index] = _encode(redacted).decode()

    def _rebuild(self, tree: Any, changed: dict[str, str], named: bool = False) -> Any:
        """`tree` itself where nothing in it changes. A value under a secret's name is a secret whatever it holds."""
        if isinstance(tree, str):
            new = changed.get(tree, tree)
            return self._token("secret", new) if named and may_be_secret(new) and not TOKEN.search(new) else new
        if isinstance(tree, list):
            items = [self._rebuild(one, changed, named) for one in tree]
            return tree if all(a is b for a, b in zip(items, tree, strict=True)) else items
        if isinstance(tree, dict):
            pairs = {
                changed.get(key, key): self._rebuild(value, changed, SECRET_NAME.search(key) is not None)
                for key, value in tree.items()
            }
            same = all(a in tree and tree[a] is b for a, b in pairs.items()) and len(pairs) == len(tree)
            return tree if same else pairs
        return tree

    def _undo_escapes(self, out: list[str], hiding: list[int]) -> None:
        """Where undoing `\\u00xx` and `\\/` lets a rule match, the text is kept in that plainer form, redacted."""
        plain: list[tuple[int, str]] = []
        for index in hiding:
            variant = _ESCAPED.sub(_unescape, out[index])
            if variant != out[index]:
                plain.append((index, variant))
        for (index, variant), redacted in zip(plain, self._scan([text for _, text in plain]), strict=True):
            if redacted != variant:
                out[index] = redacted

    def _scan(self, texts: list[str]) -> list[str]:
        """Each text with every match replaced; as few passes of RE2 as memory allows."""
        out: list[str] = []
        chunk: list[bytes] = []
        size = 0
        texts = list(texts)
        for index, text in enumerate(texts):
            try:
                data = text.encode()
            except UnicodeEncodeError:  # a lone surrogate, which no store could take
                data = text.encode("utf-8", "replace")
                texts[index] = data.decode()
            chunk.append(data)
            size += len(data)
            if size >= _CHUNK_BYTES:
                out += self._scan_chunk(chunk, texts, len(out))
                chunk, size = [], 0
        return out + self._scan_chunk(chunk, texts, len(out))

    def _scan_chunk(self, chunk: list[bytes], texts: list[str], first: int) -> list[str]:
        out = texts[first : first + len(chunk)]
        starts = [0, *accumulate(len(data) + len(_SEPARATOR) for data in chunk)]
        pieces: dict[int, list[tuple[int, int, str]]] = {}
        for start, end, token in self._matches(_SEPARATOR.join(chunk)):
            at = bisect_right(starts, start) - 1
            pieces.setdefault(at, []).append((start - starts[at], end - starts[at], token))
        for at, found in pieces.items():
            data, done, built = chunk[at], 0, []
            for start, end, token in found:
                built += [data[done:start], token.encode()]
                done = end
            out[at] = b"".join([*built, data[done:]]).decode("utf-8", "replace")
        return out

    def _matches(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        """(start, end, replacement) in bytes. What a refused match held is looked at anew."""
        at: int | None = 0
        while at is not None:
            begin, at = at, None
            for match in self._pattern.finditer(data, begin):
                rule = self._rules[match.lastindex]
                start, end = match.span(rule.group)
                value = data[start:end].decode("utf-8", "replace")
                # A refusal costs a second look at the value: only short ones may be refused, so time stays linear.
                if rule.accepts is None or len(value) > _LONGEST_REFUSED or rule.accepts(value):
                    if rule.class_:
                        yield start, end, self._token(rule.class_, value)
                else:
                    at = max(start, match.start() + 1)
                    break

    def _token(self, class_: str, value: str) -> str:
        own = value.lower() if class_ == "email" else value
        made = hmac.digest(self._key, f"{class_}\0{own}".encode("utf-8", "replace"), "sha256")
        return f"<{class_}:{made.hex()[:12]}>"


def _unescape(match: re.Match[str]) -> str:
    if match[1] is None:
        return "/"
    char = chr(int(match[1], 16))
    return match[0] if char in '"\\' else char


def _strings(tree: Any, into: dict[str, str], depth: int = 0) -> None:
    """All strings of a JSON tree, keys too. RecursionError well before Python's own, for what is nested too deeply."""
    if depth > _DEEPEST_TREE:
        raise RecursionError
    if isinstance(tree, str):
        into[tree] = tree
    elif isinstance(tree, list):
        for one in tree:
            _strings(one, into, depth + 1)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            into[key] = key
            _strings(value, into, depth + 1)
