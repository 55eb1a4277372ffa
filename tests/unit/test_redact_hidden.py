"""Values that hide: under escapes, entities, colours and characters that do not show, in base64, over two blocks."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.enrich.hidden import peel
from collectors.enrich.redact import Redactor
from store.record.span import Span

R = Redactor(b"k" * 32)
MAIL, KEY = "bob.a7@example.org", "sk-ant-api03-Ab7dEfGhIjKlMnOpQrSt"
TOKENS = {MAIL: R.text(MAIL), KEY: R.text(KEY)}
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx7\nQm9zZWNyZXRrZXk=\n-----END RSA PRIVATE KEY-----"


def spread(value: str, between: str, every: int = 5) -> str:
    return between.join(value[at : at + every] for at in range(0, len(value), every))


HIDINGS: dict[str, Callable[[str], str]] = {
    "zero width": lambda v: spread(v, "\u200b"),
    "soft hyphens": lambda v: spread(v, "\u00ad"),
    "word joiners and a BOM": lambda v: "\ufeff" + spread(v, "\u2060"),
    "directions": lambda v: "\u202e" + spread(v, "\u200e"),
    "NUL, as UTF-16 read as bytes has it": lambda v: spread(v, "\x00", 1),
    "colours": lambda v: spread(v, "\x1b[31m", 9) + "\x1b[0m",
    "colours in JSON": lambda v: json.dumps({"a": spread(v, "\x1b[1;31m")}),
    "colours as text": lambda v: spread(v, r"\u001b[31m"),
    "colours as C text": lambda v: spread(v, r"\x1b[31m"),
    "bold": lambda v: v.replace("-", "**-**").replace("@", "**@**"),
    "code": lambda v: v.replace("api03", "`api03`").replace("example", "`example`"),
    "JSON escapes": lambda v: "".join(f"\\u{ord(c):04x}" for c in v),
    "escapes, twice": lambda v: "".join(f"\\\\u{ord(c):04X}" for c in v),
    "hex escapes": lambda v: "".join(f"\\x{ord(c):02x}" for c in v),
    "brace escapes": lambda v: "".join(f"\\u{{{ord(c):x}}}" for c in v),
    "after an escaped line end": lambda v: f"key:\\n{v}\\nend",
    "after an escaped tab, in JSON": lambda v: json.dumps({"a": f"key:\t{v}"}),
    "URL": lambda v: "".join(f"%{ord(c):02X}" for c in v),
    "URL, only what must": lambda v: "https://x.example/?to=" + urllib.parse.quote(v, safe="") + "&b=1",
    "URL, twice": lambda v: urllib.parse.quote("".join(f"%{ord(c):02X}" for c in v)),
    "entities": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "hex entities": lambda v: "".join(f"&#x{ord(c):X};" for c in v),
    "entities, twice": lambda v: "".join(f"&amp;#{ord(c)};" for c in v),
    "named entities": lambda v: v.replace("@", "&commat;").replace(".", "&period;").replace("-", "&hyphen;"),
    "full width": lambda v: v.replace("@", "\uff20").replace("a", "\uff41").replace("7", "\uff17"),
    "other hyphens": lambda v: v.replace("-", "\u2011"),
    "JSON in JSON in JSON": lambda v: json.dumps({"a": json.dumps([json.dumps({"b": f'"{v}" said'})])}),
    "JSON in a sentence": lambda v: f"it answered {json.dumps({'a': json.dumps({'b': v})})} and went on",
    "an entity in JSON in JSON": lambda v: json.dumps({"a": json.dumps({"b": html.escape(v).replace("@", "&#64;")})}),
    "base64": lambda v: base64.b64encode(f"my own {v} is this".encode()).decode(),
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(f"?>?>?>?>?>?>?>?> {v} is this".encode()).decode(),
    "base64 in lines": lambda v: base64.encodebytes(f"{'x y ' * 20}{v} is this {'z ' * 40}".encode()).decode(),
    "a data URL": lambda v: "data:text/plain;base64," + base64.b64encode(f"text {v} and so on".encode()).decode(),
    "base64 of JSON": lambda v: base64.b64encode(json.dumps({"a": v, "b": [1]}).encode()).decode(),
    "base64 in base64": lambda v: base64.b64encode(base64.b64encode(f"keep this {v} well".encode())).decode(),
    "base64 in JSON": lambda v: json.dumps({"a": "x\n" + base64.b64encode(f"my own {v} is".encode()).decode()}),
}


@pytest.mark.parametrize("name", HIDINGS)
@pytest.mark.parametrize("value", [MAIL, KEY])
def test_what_hides_is_found_and_is_the_same_token(name: str, value: str) -> None:
    redacted = R.text(HIDINGS[name](value))
    assert TOKENS[value] in redacted
    assert R.text(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        PEM.replace("\n", "\n> "),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", "\r\n"),
        "".join(f"{number:6}\u2192{line}\n" for number, line in enumerate(PEM.split("\n"), 1)),
        "\n".join(f"{number}: {line}" for number, line in enumerate(PEM.split("\n"), 1)),
        json.dumps({"a": json.dumps({"key": PEM})}),
        PEM.replace("IE", "\u200bIE"),
        spread(PEM, "\x1b[0m", 40),
        base64.b64encode(PEM.encode()).decode(),
    ],
)
def test_a_private_key_goes_whole(text: str) -> None:
    redacted = R.text(f"before {text} after!")
    assert re.search(r"<private_key:\w{12}>", redacted)
    assert "MII" not in redacted
    assert "Qm9z" not in redacted
    assert redacted.endswith("after!")


def test_what_stands_around_a_find_is_kept_as_it_was_written() -> None:
    token = TOKENS[MAIL]
    assert (
        R.text("a%20b caf\u00e9 &amp; x%40y %3D bob%2Ea7%40example.org&z=%26")
        == f"a%20b caf\u00e9 &amp; x%40y %3D {token}&z=%26"
    )
    assert R.text(f"**Note**: ask **{MAIL}** \\o/ \u2013 ok") == f"**Note**: ask **{token}** \\o/ \u2013 ok"


@pytest.mark.parametrize(
    "text",
    [
        "100%25 of C:\\new\\table\\x41 and caf\u00e9\u00a0\u2013 ok &amp; fine &#8364;",
        "a**b**c `d`e \x1b[31mred\x1b[0m",
        base64.b64encode(b"nothing of interest in this text, really").decode(),
        base64.b64encode(bytes(range(256))).decode(),
        "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB/" * 40,
    ],
)
def test_what_hides_nothing_stays_as_it_is(text: str) -> None:
    assert R.text(text) == text


def test_a_value_that_begins_in_base64_is_found_all_the_same() -> None:
    run = base64.b64encode(b"nothing of interest here").decode().rstrip("=")
    assert R.text(f"{run}-{KEY}") == f"{run}-{TOKENS[KEY]}"
    assert R.text(f"{run}/{MAIL}") == f"{run}/{TOKENS[MAIL]}"


@settings(max_examples=300, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(
            [
                "a",
                "%40",
                "&#64;",
                "&amp;",
                "\\u0040",
                "\\",
                "\u200b",
                "\x1b[1m",
                "**",
                "`",
                "\uff20",
                "\u2013",
                "@",
                "\\n",
                "e",
            ]
        )
        | st.text(max_size=3),
        max_size=12,
    )
)
def test_every_byte_of_the_plain_text_has_its_place(text: list[str]) -> None:
    data = "".join(text).encode("utf-8", "replace")
    plain = peel(data)
    if plain is None:
        return
    ends = [plain.back(at, at + 1) for at in range(len(plain.data))]
    assert all(0 <= start < end <= len(data) for start, end in ends)
    assert [start for start, _ in ends] == sorted(start for start, _ in ends)
    if plain.data:
        assert plain.back(0, len(plain.data))[1] <= len(data)


# --- over the seams of a message's blocks


def blocks(*texts: str, split: bool = False) -> list[Span]:
    """One span with a block for each text; `split`: a version of the span for each, as transcripts write them."""
    parts = {f"output:{number:02d}-x": text for number, text in enumerate(texts)}
    if split:
        return [Span(namespace="n", span_id="s", parts={name: text}) for name, text in parts.items()]
    return [Span(namespace="n", span_id="s", parts=parts)]


def said(spans: list[Span]) -> list[str]:
    return [text for span in spans for _, text in sorted(span.parts.items())]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("at", range(1, len(KEY)))
def test_a_value_cut_in_two_is_one_find(at: int, split: bool) -> None:
    spans = blocks(f"the key is {KEY[:at]}", f"{KEY[at:]} and bye", split=split)
    changes = R.spans(spans)
    assert said(spans) == [f"the key is {TOKENS[KEY]}", " and bye"]
    assert [change.part for change in changes] == ["output:00-x", "output:01-x"]


def test_a_value_in_three_blocks_and_a_private_key_in_four() -> None:
    spans = blocks("mail bo", "b.a7@exa", "mple.org now")
    R.spans(spans)
    assert said(spans) == [f"mail {TOKENS[MAIL]}", "", " now"]
    spans = blocks(PEM[:20], PEM[20:50], PEM[50:70], PEM[70:] + " end!")
    R.spans(spans)
    assert "".join(said(spans)) == f"{R.text(PEM)} end!"


def test_blocks_of_other_messages_and_whole_values_are_left_to_themselves() -> None:
    spans = [
        Span(namespace="n", span_id="a", parts={"output:00": "bob.a7@exam", "input:01": "ple.org"}),
        Span(namespace="n", span_id="b", parts={"output:01": "ple.org"}),
    ]
    R.spans(spans)
    assert said(spans) == ["ple.org", "bob.a7@exam", "ple.org"]
    whole = blocks(f"{MAIL} and", f" {MAIL}")
    R.spans(whole)
    assert said(whole) == [f"{TOKENS[MAIL]} and", f" {TOKENS[MAIL]}"]
