"""Redaction: secrets and personal data become keyed tokens before anything is written.

A batch's text fields are joined and scanned as UTF-8 bytes by one RE2 alternation, which is linear in the text
whatever it says. JSON inside text is opened and its strings are scanned by themselves; what escapes, entities, colour
codes and the like hide is looked for in the plain text that they stand for (hidden.py); base64 is decoded; text that
one message has in several blocks is looked at over the seams (seams.py). A replacement is `<class:12 hex>`, an HMAC
under the store's `redact.key`: the same value is the same token everywhere in one store, and means nothing in another.

Ids are scanned as well, by the rules that are for ids: the token is keyed, so they still join records to each other.
Only the guard's instance stays as it is: it names a file in the switch folder, and a stop is proven by it.
"""

from __future__ import annotations

import binascii
import hmac
import re
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from collectors.enrich.hidden import Plain, hiding, peel
from collectors.enrich.rules import BASE64, Compiled, Rule, RuleRow, compile_rules
from collectors.enrich.seams import Seams
from collectors.enrich.tree import rebuilt, strings_of
from collectors.enrich.validators import AROUND, TOKEN, Match
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

IDS = ("namespace", "span_id", "session", "run_id", "parent_id", "retry_of")
"""What joins records: scanned by the rules that are for ids."""

_fields = attrgetter(*FIELDS)
_ids = attrgetter(*IDS)
_OURS = re.compile(r"^(?:session|trace|run|tool|llm|text|result|reasoning|evaluation|error|input|output):")
_BARE_BEFORE, _BARE_AFTER = re.compile(rb'(?:":|[\[,])\s*\Z'), re.compile(rb"\s*[,\]}]")
_SEPARATOR = b"\x1e"
_CHUNK_BYTES = 4 * 1024 * 1024
_DEEPEST = 4  # JSON in JSON in JSON in JSON
_LAYERS = 3
_LONGEST_REFUSED = 256
_BEYOND = 1024  # how far a value that starts in a run of base64 may go on after it
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Piece = tuple[int, int, bytes]  # start, end, replacement


class Change(NamedTuple):
    """A text of a span that was changed; `part` is the name of the field or payload part."""

    span: Span
    part: str
    before: str
    after: str


class Redactor:
    """Scans text under one key. `added`: the user's rules, which go before our own. Rules are compiled once."""

    def __init__(self, key: bytes, added: tuple[RuleRow, ...] = ()) -> None:
        self._key = key
        self._for_text = compile_rules(added)
        self._for_ids = compile_rules(added, for_ids=True).around_nothing()
        self._for_spaced_ids = self._for_text.around_nothing()

    def text(self, text: str) -> str:
        """One text, redacted."""
        return self._all([text], self._for_text)[0]

    def id(self, text: str) -> str:
        """One id, redacted by the rules that are for ids; one with a space in it is a text."""
        return self._changed_ids({text}).get(text, text)

    def path(self, text: str) -> str:
        """One path, redacted by the rules that are for ids; one with a space in it is a text."""
        return self._all([text], self._for_spaced_ids if " " in text else self._for_ids)[0]

    def spans(self, spans: Sequence[Span]) -> list[Change]:
        """Redact a batch of spans in place, in one scan a level of nesting, and say what was changed."""
        changes = [Change(*one) for one in self._over_seams(spans)]
        texts: set[str | None] = set()
        ids: set[str | None] = set()
        for span in spans:
            texts.update(_fields(span))
            ids.update(_ids(span))
            texts.update(span.parts.values())
        changed, changed_ids = self._changed(texts, self._for_text), self._changed_ids(ids)
        if changed or changed_ids:
            for span in spans:
                changes += _replace(span, changed, changed_ids)
        return changes

    def _changed(self, texts: set[str | None], compiled: Compiled) -> dict[str, str]:
        before = [text for text in texts if text]
        return {old: new for old, new in zip(before, self._all(before, compiled), strict=True) if old != new}

    def _changed_ids(self, ids: set[str | None]) -> dict[str, str]:
        """As `_changed`. A word of ours before the id (`session:`) is no part of it: the same id is the same token."""
        bare = {own: _OURS.sub("", own) if ":" in own else own for own in ids if own}
        changed = self._changed({own for own in bare.values() if " " not in own}, self._for_ids)
        changed |= self._changed({own for own in bare.values() if " " in own}, self._for_spaced_ids)
        return {own: own[: -len(id_)] + changed[id_] for own, id_ in bare.items() if id_ in changed}

    def _over_seams(self, spans: Sequence[Span]) -> list[tuple[Span, str, str, str]]:
        """Replace what begins in one block of a message and ends in a later one."""
        seams = Seams(spans)
        if not seams.windows:
            return []
        for number, pieces in self._find([window.data for window in seams.windows], self._for_text, 0).items():
            for piece in pieces:
                seams.note(number, *piece)
        return seams.replace()

    def _all(self, texts: list[str], compiled: Compiled, depth: int = 0) -> list[str]:
        """Each text, redacted: first what is inside it, then what it hides, then as it stands."""
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
                out += self._chunk(chunk, texts[len(out) : len(out) + len(chunk)], compiled, depth)
                chunk, size = [], 0
        return out + self._chunk(chunk, texts[len(out) :], compiled, depth)

    def _chunk(self, chunk: list[bytes], texts: list[str], compiled: Compiled, depth: int) -> list[str]:
        before = list(chunk)
        self._look_inside(chunk, compiled, depth)
        for at, pieces in self._find(chunk, compiled, depth).items():
            chunk[at] = _with(chunk[at], pieces)
        return [
            text if new is old else new.decode("utf-8", "replace")
            for text, old, new in zip(texts, before, chunk, strict=True)
        ]

    # --- what a text hides

    def _look_inside(self, chunk: list[bytes], compiled: Compiled, depth: int) -> None:
        """Replace in the chunk what is found in opened JSON and under escapes."""
        hidden = hiding(_SEPARATOR.join(chunk), _starts(chunk))
        if not hidden:
            return
        opened = self._open(chunk, hidden, compiled, depth) if depth < _DEEPEST else set()
        closed = [at for at in hidden if at not in opened]
        for layers in range(1, _LAYERS + 1):
            closed = self._under_layers(chunk, closed, layers, compiled, depth)

    def _under_layers(
        self, chunk: list[bytes], hidden: list[int], layers: int, compiled: Compiled, depth: int
    ) -> list[int]:
        """Look at those texts with so many layers off; returns those that have a further one."""
        peeled: list[tuple[int, list[Plain]]] = []
        for at in hidden:
            stack: list[Plain] = []
            while len(stack) < layers and (plain := peel(stack[-1].data if stack else chunk[at])) is not None:
                stack.append(plain)
            if len(stack) == layers:
                peeled.append((at, stack))
        found = self._find([stack[-1].data for _, stack in peeled], compiled, depth) if peeled else {}
        for number, pieces in found.items():
            at, stack = peeled[number]
            own: list[Piece] = []
            for start, end, token in pieces:
                for plain in reversed(stack):
                    start, end = plain.back(start, end)
                own.append((start, end, token))
            chunk[at] = _with(chunk[at], own)
        inner = [stack[-1].data for _, stack in peeled]
        return [peeled[number][0] for number in hiding(_SEPARATOR.join(inner), _starts(inner))] if inner else []

    def _open(self, chunk: list[bytes], hidden: list[int], compiled: Compiled, depth: int) -> set[int]:
        """Decode those texts that are JSON, redact what is in them, and encode anew those that changed.

        Returns which were opened.
        """
        trees: list[tuple[int, Any]] = []
        inner: dict[str, str] = {}
        for at in hidden:
            if chunk[at].lstrip()[:1] not in (b"{", b"[", b'"'):
                continue
            try:
                tree = _decode(chunk[at])
                strings_of(tree, inner)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue  # no JSON, or too deep to be opened: it is looked at as the text that it is
            trees.append((at, tree))
        if not trees:
            return set()
        found = list(inner)
        redacted = self._all(found, compiled, depth + 1)
        changed = {a: b for a, b in zip(found, redacted, strict=True) if a != b}
        for at, tree in trees:
            new = rebuilt(tree, changed, lambda value: self._token("secret", value))
            if new is not tree:
                chunk[at] = _encode(new)
        return {at for at, _ in trees}

    # --- finds

    def _find(self, chunk: list[bytes], compiled: Compiled, depth: int) -> dict[int, list[Piece]]:
        """What is to be replaced in each text that has something: in order, one after the other."""
        starts = _starts(chunk)
        pieces: dict[int, list[Piece]] = {}
        for start, end, token in self._matches(_SEPARATOR.join(chunk), compiled, depth):
            at = bisect_right(starts, start) - 1
            start, end = start - starts[at], end - starts[at]
            text = chunk[at]
            if (
                text[start:end].isdigit()
                and _BARE_BEFORE.search(text[max(0, start - AROUND) : start])
                and _BARE_AFTER.match(text, end)
            ):
                token = f'"{token}"'  # a number of JSON: as text it stays JSON
            pieces.setdefault(at, []).append((start, end, token.encode()))
        return pieces

    def _matches(
        self, data: bytes, compiled: Compiled, depth: int, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[int, int, str]]:
        """(start, end, replacement) in bytes, in data[first:last]. What a refused match held is looked at anew."""
        at: int | None = first
        while at is not None:
            begin, at = at, None
            for match in compiled.pattern.finditer(data, begin, last):
                rule = compiled.rules[match.lastindex]
                start, end = match.span(rule.group)
                cut = data.find(_SEPARATOR, match.start(), match.end())
                if cut >= 0 and min(end, cut) <= start:  # a user's rule that takes in the end of its text
                    at = cut + 1
                    break
                if not rule.class_:
                    continue
                if rule.class_ == BASE64:
                    at = yield from self._decoded(data, compiled, depth, start, end)
                    break
                taken, token = self._accepted(
                    rule, data, start, end if cut < 0 else min(end, cut), around=compiled.around
                )
                if token is None:
                    at = max(start, match.start() + 1)
                    break
                yield start, taken, token
                if taken < end:  # only a part of it: the rest may be something else
                    at = taken
                    break

    def _accepted(self, rule: Rule, data: bytes, start: int, end: int, *, around: bool) -> tuple[int, str | None]:
        """Where the find ends and its token; None where the rule's validator refuses it.

        A refusal costs a second look at the value: only short ones may be refused, so time stays linear.
        """
        value = data[start:end].decode("utf-8", "replace")
        if rule.accepts is not None and end - start <= _LONGEST_REFUSED:
            before, after = (data[max(0, start - AROUND) : start], data[end : end + AROUND]) if around else (b"", b"")
            taken = rule.accepts(Match(value, before, after))
            if not taken:
                return end, None
            if taken < len(value):
                value = value[:taken]
                end = start + len(value.encode())
        return end, self._token(rule.class_, value)

    def _decoded(
        self, data: bytes, compiled: Compiled, depth: int, start: int, end: int
    ) -> Generator[tuple[int, int, str], None, int]:
        """What a run of base64 holds; where it decodes to nothing of interest, what it is as it stands.

        Returns where to go on. The second look is without base64, so a run costs two, however it is cut up.
        """
        token = self._in_base64(data[start:end].decode(), depth)
        if token is not None:
            yield start, end, token
            return end
        assert compiled.bare is not None, "the rules without base64 find no base64"
        done = end
        for found in self._matches(data, compiled.bare, depth, start, min(len(data), end + _BEYOND)):
            if found[0] >= end:
                break
            yield found
            done = max(done, found[1])
        return done

    def _in_base64(self, value: str, depth: int) -> str | None:
        """The tokens of what the run holds, in place of the whole of it; None where it holds nothing."""
        if depth >= _DEEPEST:
            return None
        body = value.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            data = binascii.a2b_base64(body[: len(body) - (len(body) % 4 == 1)] + "=" * (-len(body) % 4))
        except binascii.Error:
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            text = data[: error.start].decode()  # text up to there; the run may go on with something else
        redacted = self._all([text], self._for_text, depth + 1)[0]
        before = set(TOKEN.findall(text))
        tokens = [token for token in dict.fromkeys(TOKEN.findall(redacted)) if token not in before]
        return " ".join(tokens) or None

    def _token(self, class_: str, value: str) -> str:
        made = hmac.digest(self._key, f"{class_}\0{_same(class_, value)}".encode("utf-8", "replace"), "sha256")
        return f"<{class_}:{made.hex()[:12]}>"


def _same(class_: str, value: str) -> str:
    """One spelling of values that are written in several ways, so that the same person is the same token."""
    if class_ == "email":
        return value.lower()
    if class_ in ("card", "ssn"):
        return "".join(char for char in value if char.isdigit())
    if class_ == "iban":
        return "".join(char for char in value if char.isalnum()).upper()
    if class_ == "phone":
        return "".join(char for char in value if char.isdigit() or char == "+")
    return value


def _replace(span: Span, changed: dict[str, str], changed_ids: dict[str, str]) -> Iterator[Change]:
    if not changed.keys().isdisjoint(_fields(span)):
        for name in FIELDS:
            yield from _replace_field(span, name, changed)
    if not changed_ids.keys().isdisjoint(_ids(span)):
        for name in IDS:
            yield from _replace_field(span, name, changed_ids)
    for name, value in span.parts.items():
        if value in changed:
            span.parts[name] = changed[value]
            yield Change(span, name, value, changed[value])


def _replace_field(span: Span, name: str, changed: dict[str, str]) -> Iterator[Change]:
    value = getattr(span, name)
    if value and value in changed:
        setattr(span, name, changed[value])
        yield Change(span, name, value, changed[value])


def _starts(chunk: Iterable[bytes]) -> list[int]:
    """Where each text starts in the joined chunk, and where a further one would."""
    return [0, *accumulate(len(data) + len(_SEPARATOR) for data in chunk)]


def _with(data: bytes, pieces: list[Piece]) -> bytes:
    """`data` with the pieces replaced. They may touch; what overlaps one that is replaced already is left out."""
    done, built = 0, []
    for start, end, token in pieces:
        if start < done:
            continue
        built += [data[done:start], token]
        done = end
    return b"".join([*built, data[done:]])
