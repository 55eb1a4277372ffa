"""Personal data: what is found, what is not, and what real logs full of ids and numbers are taken for."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections import Counter, defaultdict

import pytest

from collectors.enrich.redact import Redactor
from collectors.enrich.validators import luhn
from tests.unit.format_files import DATA, needs_data

R = Redactor(b"k" * 32)


def shape(text: str) -> str:
    """The text with the tokens' digests left out."""
    return re.sub(r"<([a-z_]+):[0-9a-f]{12}>", r"<\1>", R.text(text))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        # cards: test numbers that the schemes and their processors publish
        ("4111111111111111", "<card>"),
        ("paid with 5555 5555 5555 4444, exp 12/26", "paid with <card>, exp 12/26"),
        ("4111 1111 1111 1111 12/26", "<card> 12/26"),
        ("4111-1111-1111-1111 123", "<card> 123"),
        ("amex 3782 822463 10005.", "amex <card>."),
        ("378282246310005", "<card>"),
        ("30569309025904", "<card>"),
        ("3530111333300000", "<card>"),
        ("6011111111111117", "<card>"),
        ("2223003122003222", "<card>"),
        ("visa 4222222222222", "visa <card>"),
        ('{"card_number": "4000 0566 5566 5556"}', '{"card_number": "<card>"}'),
        # IBANs: the examples of the registry
        ("DE89 3704 0044 0532 0130 00 and more", "<iban> and more"),
        ("GB29NWBK60161331926819", "<iban>"),
        ("AT61 1904 3002 3457 3201 BANK AUSTRIA", "<iban> BANK AUSTRIA"),
        ("FR14 2004 1010 0505 0001 3M02 606", "<iban>"),
        ("NO93-8601-1117-947", "<iban>"),
        ("MT84MALT011000012345MTLCAST001S", "<iban>"),
        # social security
        ("078-05-1120", "<ssn>"),
        ("SSN: 219099999", "SSN: <ssn>"),
        ("social security no. 219 09 9999", "social security no. <ssn>"),
        # phones
        ("call +43 664 1234567 now", "call <phone> now"),
        ("+1 (212) 555-0123", "<phone>"),
        ("+442079460958", "<phone>"),
        ("wa.me/+4915123456789", "wa.me/<phone>"),
        ("(212) 555-0123", "<phone>"),
        ("212-555-0123", "<phone>"),
        ("Tel.: 0664 / 123 45 67", "Tel.: <phone>"),
        ('{"phone": "06641234567"}', '{"phone": "<phone>"}'),
        ("mobile 020 7946 0958", "mobile <phone>"),
        ("Telefon 030 901820", "Telefon <phone>"),
        # addresses
        ("from 81.2.69.142 port 22", "from <ip> port 22"),
        ("http://81.2.69.142:8080/x", "http://<ip>:8080/x"),
        ("81.2.69.142, 10.0.0.1", "<ip>, 10.0.0.1"),
        ("client ip 2.3.4.5", "client ip <ip>"),
        ("2a00:1450:4001:82b::200e", "<ip>"),
        ("[2a00:1450:4001:82b:0:0:0:200e]:443", "[<ip>]:443"),
    ],
)
def test_personal_data_is_found(text: str, redacted: str) -> None:
    assert shape(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        # numbers that are no cards
        "4111111111111112",
        "1763712000000000000",
        "1763712000000000 1763712000000 1763712000",
        "0.4532015112830366",
        "3.4532015112830366e-05",
        '{"span_id": 4532015112830366}',
        '"spanId":"4532015112830366"',
        "total_tokens: 4532015112830366",
        "4532015112830366-abcd",
        "12324293800750531911",
        "0000000000000000",
        "4444444444444444444",
        "2025 1234 5678 9012",
        "4111 11 111111 1111",
        "/var/log/4111111111111111.log/x_4111111111111111",
        # no IBANs
        "DE89 3704 0044 0532 0130 01",
        "AB12CDEF34GH56IJ78",
        "ID12 3456 7890 1234",
        "SHA256 DEADBEEF",
        # no social security numbers
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-4567",
        "123-45-0000",
        "2025-123-45-6789",
        "1234-123-45-6789",
        # no phones
        "2025-11-21 08:00:00+0200",
        "2025-11-21T08:00:00.123456+02:00",
        "phone 2025-11-21 08:00",
        "+1733697669389",
        "@@ -314,7 +314,12 @@",
        "+263    x",
        "123-456-7890",
        "phonenumberslite==9.0.19",
        "mobile first, 3 columns of 1200 px",
        "telemetry 1234567890",
        "cell 12 of 345",
        "call_0123456789",
        # no addresses of a person
        "127.0.0.1 10.1.2.3 192.168.0.1 172.16.9.9 169.254.1.1 0.0.0.0 255.255.255.255",
        "8.8.8.8 1.1.1.1",
        "version 81.2.69.142",
        "v81.2.69.142",
        "pkg-81.2.69.142",
        "Chrome/120.0.6099.109 Safari/81.2.69.142",
        "assembly, Version=4.0.30319.42000",
        "see 1.2.3.4",
        "1.2.3.4.5.6",
        "300.1.2.3",
        "::1 fe80::1 2001:db8::1 fd00::1",
        "12:34:56 12:34:56:78",
        "std::2abc::x add::face",
        "04:42:1a:ed:00:11",
    ],
)
def test_what_is_no_personal_data_stays(text: str) -> None:
    assert R.text(text) == text


def test_one_value_in_several_spellings_is_one_token() -> None:
    for spellings in (
        ("4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111\u00a01111\u00a01111\u00a01111"),
        ("DE89370400440532013000", "DE89 3704 0044 0532 0130 00"),
        ("+436641234567", "+43 664 1234567", "+43-664-123 4567"),
        ("(212) 555-0123", "212-555-0123"),
        ("ssn 219-09-9999", "ssn 219 09 9999"),
    ):
        assert len({R.text(text) for text in spellings}) == 1


def test_a_number_of_json_becomes_a_text_of_json() -> None:
    row = {"a": [4111111111111111, 5], "b": {"card": 5555555555554444}, "c": 4000056655665556}
    for text in (json.dumps(row), json.dumps(row, indent=1), json.dumps(row, separators=(",", ":"))):
        redacted = json.loads(R.text(text))
        values = [redacted["a"][0], redacted["b"]["card"], redacted["c"]]
        assert all(value.startswith("<card:") for value in values)
        assert redacted["a"][1] == 5


# --- ids, numbers and times


def test_ids_and_times_are_taken_for_nothing() -> None:
    """What logs are full of, in the places where it stands: 20,000 lines, 120,000 values."""
    draw = random.Random(3)
    lines = []
    for _ in range(20_000):
        ns = draw.randrange(1_500_000_000, 1_900_000_000) * 1_000_000_000 + draw.randrange(10**9)
        row = {
            "traceId": f"{draw.getrandbits(128):032x}",
            "spanId": f"{draw.getrandbits(64):016x}",
            "uuid": str(uuid.UUID(int=draw.getrandbits(128), version=4)),
            "startTimeUnixNano": str(ns),
            "us": ns // 1000,
            "ts": ns // 10**6,
            "created": ns // 10**9,
            "decimal_span": draw.getrandbits(64),
            "tokens": draw.randrange(10**6),
            "score": draw.random(),
            "span_id": draw.randrange(10**15, 10**16),
            "time": f"2025-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}T12:{draw.randrange(60):02d}:01.5Z",
        }
        lines.append(json.dumps(row))
    found = Counter(re.findall(r"<([a-z_]+):[0-9a-f]{12}>", R.text("\n".join(lines))))
    # one 64-bit number in 3,000 that no word names as an id is a card by its prefix, its length and its check digit
    assert set(found) <= {"card"}
    assert found["card"] <= 3


class Spy(Redactor):
    """Remembers the values behind its tokens."""

    def __init__(self) -> None:
        super().__init__(b"k" * 32)
        self.found: dict[str, Counter[str]] = defaultdict(Counter)

    def _token(self, class_: str, value: str) -> str:
        self.found[class_][value] += 1
        return super()._token(class_, value)


@needs_data
def test_finds_in_every_real_log() -> None:
    """All of ../shared/data, 8 MB in 24 formats, each find of it read: no id, time or count is taken for a person."""
    spy = Spy()
    for path in sorted(DATA.rglob("*")):
        if path.is_file() and path.parent.name != "LICENSES":
            spy.text(path.read_bytes().decode("utf-8", "replace"))
    personal = {name: set(values) for name, values in spy.found.items() if name not in ("secret", "email")}
    assert personal == {"card": {"4929-6495-8333-3657"}, "ip": {"240e:1:1::1234"}}
    assert set(spy.found["email"]) == {"steve@example.com", "alice@example.com", "toolchain@gentoo.org"}
    assert sum(spy.found["secret"].values()) < 20  # examples in prose: sk-ant-..., "password": "[trimmed]"


def test_luhn_is_the_check_digit_of_the_standard() -> None:
    assert luhn("79927398713")
    assert [digit for digit in "0123456789" if luhn(f"7992739871{digit}")] == ["3"]
