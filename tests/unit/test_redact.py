"""Redaction: every canary is gone, the same value is the same token, and what is no secret stays as it is."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import random
import re
import stat
import string
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.enrich.key import load_key
from collectors.enrich.redact import FIELDS, IDS, Redactor
from collectors.enrich.validators import TOKEN
from store.folder import StoreError
from store.record.span import Span
from tests.unit.format_files import PI_FILE, VIEWER, lines_of, needs_data, parse

R = Redactor(b"k" * 32)
_draw = random.Random(11)


def some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_draw.choice(alphabet) for _ in range(count - 2)) + "a7"


UPPER = string.ascii_uppercase + string.digits
HEX = string.hexdigits.lower()[:16]
MAKERS: dict[str, Callable[[], str]] = {
    "email": lambda: f"{some(6).lower()}.{some(4)}+x@mail-{some(4).lower()}.example.com",
    "anthropic_key": lambda: f"sk-ant-api03-{some(40)}_-AA",
    "openai_key": lambda: f"sk-proj-{some(40)}",
    "openrouter_key": lambda: f"sk-or-v1-{some(40, HEX)}",
    "aws_key": lambda: "AKIA" + some(16, UPPER).upper(),
    "github_token": lambda: f"ghp_{some(36)}",
    "github_pat": lambda: f"github_pat_{some(22)}_{some(30)}",
    "gitlab_token": lambda: f"glpat-{some(20)}",
    "slack_token": lambda: f"xoxb-{some(11, string.digits)}-{some(24)}",
    "jwt": lambda: f"eyJhbGciOiJIUzI1NiJ9.eyJ{some(30)}.{some(40)}",
    "google_key": lambda: f"AIza{some(35)}",
    "stripe_key": lambda: f"sk_live_{some(24)}",
    "npm_token": lambda: f"npm_{some(36)}",
    "sendgrid_key": lambda: f"SG.{some(22)}.{some(43)}",
    "private_key": lambda: (
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n"
        + "\n".join(some(64) for _ in range(4))
        + "==\n-----END RSA PRIVATE KEY-----"
    ),
}
SHOWN_BY_NAME: dict[str, tuple[str, Callable[[], str]]] = {
    "authorization": ("Authorization: Bearer {}", lambda: some(30)),
    "basic": ("authorization: Basic {}", lambda: base64.b64encode(some(20).encode()).decode()),
    "bearer": ("curl -H 'X-Auth: bearer {}'", lambda: some(32)),
    "cookie": ("Cookie: session={}; theme=dark", lambda: some(24)),
    "password": ("password={}", lambda: some(10)),
    "passwd": ("passwd: {}", lambda: some(9)),
    "env": ("export DB_PASSWORD={} && run", lambda: some(12)),
    "quoted": ('password = "{}"', lambda: some(5) + " horse battery!" + some(5)),
    "single": ("'api_key': '{}'", lambda: some(20)),
    "camel": ('clientSecret: "{}"', lambda: some(20)),
    "aws_secret": ("aws_secret_access_key = {}", lambda: some(38) + "/+"),
    "token": ("GITHUB_TOKEN={}", lambda: some(30)),
    "url": ("postgres://admin:{}@db.internal:5432/x", lambda: some(8) + "@" + some(4)),
    "query": ("https://x.example/cb?access_token={}&a=1", lambda: some(24)),
    "flag": ("mysql --password {} -u root", lambda: some(11)),
}
CANARIES = [("{}", name, make()) for name, make in MAKERS.items() for _ in range(24)]
CANARIES += [(text, name, make()) for name, (text, make) in SHOWN_BY_NAME.items() for _ in range(24)]


def wrappings(shown: str) -> list[str]:
    """The same text as logs carry it: bare, in prose, in JSON, in JSON in JSON, escaped needlessly."""
    once = json.dumps({"note": f"see {shown} now", "n": [1, None]})
    twice = json.dumps({"args": once})
    forms = [shown, f"see {shown} now", once, twice, json.dumps({"a": {"b": [twice]}}), f"result: {once} end"]
    hidden = shown.replace("@", "\\u0040").replace("/", "\\/").replace("-", "\\u002d").replace("=", "\\u003d")
    forms += [once.replace("@", "\\u0040"), twice.replace("@", "\\\\u0040").replace("/", "\\\\/")]
    return forms if hidden == shown or '"' in shown else [*forms, f'{{"x":"{hidden}"}}', f"said {hidden} there"]


def pieces(secret: str) -> list[str]:
    """The parts of a secret that must not be seen: its lines, escapes aside."""
    return [one for one in re.split(r"[^A-Za-z0-9+/=_.@!-]", secret) if len(one) > 7 and "PRIVATE" not in one]


@pytest.mark.parametrize("kind", [*MAKERS, *SHOWN_BY_NAME])
def test_no_canary_is_left_in_any_wrapping(kind: str) -> None:
    left = []
    for text, name, secret in CANARIES:
        if name != kind:
            continue
        for form in wrappings(text.format(secret)):
            if kind == "private_key" and "\n" in form and form.lstrip()[:1] in ("{", "["):
                continue  # no JSON: a line break in a JSON string is escaped
            redacted = R.text(form)
            plain = redacted.replace("\\u0040", "@").replace("\\/", "/").replace("\\u002d", "-")
            left += [(form, redacted) for piece in pieces(secret) or [secret] if piece in redacted or piece in plain]
            assert TOKEN.search(redacted), form
    assert left[:3] == []


@pytest.mark.parametrize("kind", [*MAKERS, *SHOWN_BY_NAME])
def test_redacting_again_changes_nothing(kind: str) -> None:
    for text, name, secret in CANARIES:
        if name == kind:
            for form in wrappings(text.format(secret)):
                once = R.text(form)
                assert R.text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "task-0123456789abcdefghij",
        "git@github.com:andon/andon.git",
        "password: string;",
        "password = None",
        "secret: <secret>",
        "api_key = os.environ.get",
        "token = next_token",
        "max_tokens: 4096",
        "tokens=1234567890123",
        "PWD=/srv/app/x/y",
        "npm install @types/node@18.0.0",
        "def f(self): return self@other",
        "sk-learn-is-a-library-of-python",
        "The password is checked by login().",
        '{"password": "string", "token": null}',
        '{"path":"C:\\\\users\\\\x","re":"a\\/b \\u0041"}',
        "see <email:0123456789ab>",
        "\\u0041\\u0042 \\/ is how it is written",
        "line\x1eseparated\x1etext",
        "\u202e\u200b\ufeff\x1b[2J",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert R.text(text) == text


def test_the_same_person_is_the_same_token_wherever_it_stands() -> None:
    token = R.text("alice@example.com")
    assert TOKEN.fullmatch(token)
    escaped = '{"a":"alice\\u0040example.com"}'
    for form in ("Alice@Example.com", '{"a":"alice@example.com"}', escaped, "x <alice@example.com>"):
        assert token in R.text(form)
    assert R.text("alicia@example.com") != token
    assert Redactor(b"x" * 32).text("alice@example.com") != token


def test_what_stands_around_a_secret_is_kept() -> None:
    assert re.fullmatch(r"DB_PASSWORD=<secret:\w{12}> ./run --fast", R.text("DB_PASSWORD=hunter2 ./run --fast"))
    assert re.fullmatch(r"postgres://u:<password:\w{12}>@db/x", R.text("postgres://u:p4ss@db/x"))
    assert re.fullmatch(r"<private_key:\w{12}> tail!", R.text(MAKERS["private_key"]() + " tail!"))


def test_a_value_under_a_secrets_name_goes_whatever_it_holds() -> None:
    value = 'a"b\\c d\u00e9\n' * 3
    for form in (json.dumps({"password": value}), json.dumps({"x": json.dumps({"db": {"password": value}})})):
        redacted = R.text(form)
        assert "a" + "\\" * 3 not in redacted
        assert "d\u00e9" not in redacted
        assert TOKEN.search(redacted)


def test_all_text_fields_of_a_span_its_ids_and_its_parts() -> None:
    secret = "ghp_" + "a1" * 18
    ids = {name: f"{name} {secret}" for name in IDS if name != "namespace"}
    texts = {name: f"{name} {secret}" for name in FIELDS}
    span = Span(
        namespace=f"session:{secret}",
        guard_instance=f"{secret}-1-2",
        parts={"input": secret, "output": "clean"},
        **ids,  # type: ignore[arg-type]
        **texts,  # type: ignore[arg-type]
    )
    R.spans([span])
    for name in FIELDS + IDS[1:]:
        assert getattr(span, name) == f"{name} {R.text(secret)}"
    assert span.namespace == f"session:{R.text(secret)}"
    assert span.parts == {"input": R.text(secret), "output": "clean"}
    assert span.guard_instance == f"{secret}-1-2"  # it names a file of the switch folder


def test_every_field_is_either_covered_or_known_not_to_be() -> None:
    ours = {"kind", "format", "status", "cost_basis", "price_ref", "effect_status", "effect_reversible", "effect_basis"}
    text = {name for name, hint in Span.__annotations__.items() if "str" in str(hint)} - {"parts", "flags"}
    assert text == {"guard_instance"} | ours | set(FIELDS) | set(IDS)


def test_records_join_after_their_ids_were_redacted() -> None:
    spans = [
        Span(namespace="session:ann@example.org", span_id="run:ann@example.org", session="ann@example.org"),
        Span(
            namespace="session:ann@example.org",
            span_id="c1",
            parent_id="run:ann@example.org",
            user_id="ann@example.org",
        ),
    ]
    R.spans(spans)
    parent, child = spans
    assert parent.namespace == child.namespace == f"session:{parent.session}"
    assert parent.span_id == child.parent_id == f"run:{parent.session}"
    assert child.user_id == parent.session == R.id("ann@example.org") == R.text("Ann@example.org")


@pytest.mark.parametrize(
    "own",
    [
        "4111111111111111",
        "run-5555555555554444",
        "b9a1cbb1-4a30-4b2a-8c7c-2f9a4c1b0d5e",
        "12324293800750531911",
        "1763712000000000000",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "toolu_01A09q90qw90lq917835lq9",
        "+1733697669389",
    ],
)
def test_an_id_that_is_a_number_stays(own: str) -> None:
    assert R.id(own) == own


@pytest.mark.parametrize(
    "own",
    ["81.2.69.142", "078-05-1120", "+436641234567", "4111-1111-1111-1111", "for 4111111111111111", "212-555-0123"],
)
def test_an_id_that_is_written_as_personal_data_goes(own: str) -> None:
    assert R.id(own) != own
    span = Span(namespace=f"session:{own}", span_id="s", session=own)
    R.spans([span])
    assert (span.namespace, span.session) == (f"session:{R.id(own)}", R.id(own))


def test_texts_of_a_batch_do_not_run_into_each_other() -> None:
    spans = [
        Span(namespace="n", span_id=str(number), name=name)
        for number, name in enumerate(
            ["password=", "hunter22", "bob@", "example.com", "a\x1epassword=", "-----BEGIN PRIVATE KEY-----"]
        )
    ]
    spans.append(Span(namespace="n", span_id="x", name="is safe"))
    R.spans(spans)
    assert [span.name for span in spans[:5]] == ["password=", "hunter22", "bob@", "example.com", "a\x1epassword="]
    assert spans[6].name == "is safe"


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(max_size=40) | st.sampled_from(["a@b.co", "\x1e", "password=abcd1", '{"a":"\\u0040"}'])))
def test_a_batch_gives_what_each_text_gives_alone(texts: list[str]) -> None:
    spans = [Span(namespace="n", span_id="s", name=text or None, parts={"p": text}) for text in texts]
    R.spans(spans)
    for span, text in zip(spans, texts, strict=True):
        assert span.parts["p"] == R.text(text)
        assert span.name == (R.text(text) or None)


def test_lone_surrogates_become_storable() -> None:
    span = Span(namespace="n", span_id="s", name="a\ud800b", parts={"p": "\udfff bob@example.com"})
    R.spans([span])
    assert (span.name, span.parts["p"]) == ("a?b", f"? {R.text('bob@example.com')}")


@needs_data
def test_real_logs_keep_their_substance() -> None:
    for path, name in ((next(VIEWER.glob("fe5e1c67*")), "claude-code"), (PI_FILE, "pi")):
        spans = parse(name, lines_of(path.read_bytes()), str(path)).spans
        before = sum(len(text) for span in spans for text in span.parts.values())
        R.spans(spans)
        after = sum(len(text) for span in spans for text in span.parts.values())
        found = sum(len(TOKEN.findall(text)) for span in spans for text in span.parts.values())
        assert found < 60
        assert after > before * 0.99


HOSTILE = {
    "opened keys": "-----BEGIN PRIVATE KEY-----!" * 40_000,
    "keys in a row": "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----" * 20_000,
    "names": "password=" * 120_000,
    "tokens": "token=token:" * 90_000,
    "quotes": "password='\"" * 90_000,
    "placeholders": "password=none " * 70_000,
    "variables": "password=$password=" * 50_000,
    "at signs": "a@" * 500_000,
    "dots": "a@a." + "a." * 500_000,
    "schemes": "a://b:" * 170_000,
    "backslashes": 'password="' + "\\" * 1_000_000,
    "keys without digits": "sk-aaaaaaaaaaaaaaaaaaaa " * 40_000,
    "nested JSON": '{"a":' * 900 + '"x\\u0040y"' + "}" * 900,
    "deep JSON": "[" * 300_000 + "\\u0040",
    "escapes": "\\" * 900_000 + "u0040",
    "layers": "%25" * 120_000 + "40",
    "entities": "&amp;" * 100_000 + "#64;",
    "digits": "4111 " * 100_000,
    "one number": "4" * 1_000_000,
    "phones": "+4366412345 " * 50_000,
    "named phones": "phone " * 160_000,
    "addresses": "81.2.69.999 " * 80_000,
    "groups": "2a00:" * 80_000,
    "IBANs": "DE89 3704 0044 0532 0130 01 " * 40_000,
    "base64": "QUFBQUFB" * 120_000,
    "base64 in pieces": "QUFBQUFBQUFBQUFBQUFBQUFB/" * 40_000,
    "base64 in base64": base64.b64encode(base64.b64encode(base64.b64encode(b"nothing here " * 20_000))).decode(),
    "emphasis": "a**b" * 150_000,
    "zero width": "a\u200b" * 250_000,
    "colours": "\x1b[31ma" * 150_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_makes_the_scan_slow(name: str) -> None:
    began = time.process_time()
    R.text(HOSTILE[name])
    assert time.process_time() - began < 4


# --- the key


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "redact.key"
    old = os.umask(0)
    try:
        key = load_key(path)
    finally:
        os.umask(old)
    assert len(key) == 32
    assert load_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["redact.key"]


def _make(path: str, answers: multiprocessing.queues.Queue[bytes]) -> None:
    answers.put(load_key(Path(path)))


def test_processes_that_race_get_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.queues.Queue[bytes] = context.Queue()
    racers = [context.Process(target=_make, args=(str(tmp_path / "redact.key"), answers)) for _ in range(4)]
    for racer in racers:
        racer.start()
    keys = {answers.get(timeout=60) for _ in racers}
    for racer in racers:
        racer.join(60)
    assert len(keys) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["redact.key"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "redact.key"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="bytes, not 32"):
        load_key(path)
    assert path.read_bytes() == content


def test_a_key_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x" * 32)
    (tmp_path / "redact.key").symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="cannot be used"):
        load_key(tmp_path / "redact.key")
