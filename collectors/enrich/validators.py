"""What may refuse a match of a rule, or take less of it: a function of the match and of what stands around it.

Each gets a Match, the text and up to AROUND bytes before and after it, and returns how many of its characters are what
the rule looks for: 0 is a refusal. Rules name them in rules.toml; a user's rules may too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

AROUND = 48


class Match(NamedTuple):
    text: str
    before: bytes
    after: bytes


Validator = Callable[[Match], int]

TOKEN = re.compile(r"<[a-z_]{2,20}:[0-9a-f]{12}>")
_PLACEHOLDERS = frozenset(
    re.findall(
        r"\w+",
        "none null nil true false undefined string str text number integer int bool boolean bytes any object optional "
        "required redacted hidden changeme password passwd secret token example placeholder field input value default "
        "unset empty missing invalid unknown",
    )
)
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_PATH = re.compile(r"[.~]?(/[\w.@+-]+){2,}/?")
_NO_DIGIT = re.compile(r"\D")
_DATE = re.compile(r"(?:19|20)\d\d[-./ ](?:0[1-9]|1[0-2])[-./ ][0-3]\d")

# --- secrets


def may_be_secret(value: str) -> bool:
    """A value that may be a secret: no token of ours, no placeholder, no variable, no expression, no path."""
    value = value.strip()
    if len(value) < 3 or TOKEN.search(value) or value.lower() in _PLACEHOLDERS:
        return False
    if value[0] in "$%{<" or not value.strip("*.x#- _"):
        return False
    return _NAME.fullmatch(value) is None and _PATH.fullmatch(value) is None


def _assigned(match: Match) -> int:
    value = match.text
    return len(value) if may_be_secret(value) else 0


def _has_digit(match: Match) -> int:
    value = match.text
    return len(value) if any(char.isdigit() for char in value) else 0


def _mixed(match: Match) -> int:
    """Letters and digits together, as random values have them and words have not."""
    value = match.text
    own = any(char.isdigit() for char in value) and any(char.isalpha() for char in value) and may_be_secret(value)
    return len(value) if own else 0


# --- numbers that stand for a person


_GLUED_BEFORE = re.compile(rb"(?:[0-9A-Za-z_][-./_\\]|_|[0-9A-Fa-f]{4,}[-:])$")
_PIECE_BEFORE = re.compile(rb"(?:[0-9A-Za-z][-.]|[0-9A-Fa-f]{4,}[-:])$")  # of a number in groups
_GLUED_AFTER = re.compile(rb"^(?:[-_/\\][0-9A-Za-z]|[.:][0-9])")
_PIECE_AFTER = re.compile(rb"^[-_/\\.:][0-9]")
_OF_A_MACHINE = re.compile(
    rb"(?i)(?:\bid|_id|[a-z]Id|uuid|trace|span|parent|session|run|epoch|time|stamp|date|_at|nanos?|seed|hash|sha|offset"
    rb"|bytes|size|count|tokens?|_n|_ns|_us|_ms|version|build|revision|inode|pid|port|line)[\"\x27]?\s*[:=(#]\s*[\"\x27]?$"
)
_OF_A_CARD = re.compile(rb"(?i)card|visa|mastercard|amex|maestro|\bpan\b|credit|debit|payment|kredit")


def _stands_alone(before: bytes, after: bytes) -> bool:
    """No piece of a longer number, uuid, version, path or fraction."""
    return _PIECE_BEFORE.search(before) is None and _PIECE_AFTER.search(after) is None


# issuer prefixes with the lengths of their numbers: ISO/IEC 7812 ranges as the schemes publish them
_ISSUERS: tuple[tuple[re.Pattern[str], frozenset[int]], ...] = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        ("4", (13, 16, 19)),
        ("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        ("3[47]", (15,)),
        ("30[0-5]|3095|36|38|39", (14,)),
        ("35(?:2[89]|[3-8])", (16,)),
        ("6011|64[4-9]|65|62", (16, 17, 18, 19)),
        ("220[0-4]", (16,)),
        ("5018|5020|5038|5893|6304|6759|676[1-3]", (13, 14, 15, 16, 17, 18, 19)),
    )
)
_USUAL = frozenset((14, 15, 16))


_ONCE = bytes(max(0, code - 48) for code in range(256))
_TWICE = bytes(0 if code < 48 else (code - 48) * 2 - (9 if code > 52 else 0) for code in range(58)) + bytes(198)


def luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812."""
    data = digits.encode()
    return (sum(data[-1::-2].translate(_ONCE)) + sum(data[-2::-2].translate(_TWICE))) % 10 == 0


def _card(match: Match) -> int:
    """The card number that the match starts with: what follows it (a check value, a year) may be digits as well."""
    value, before, after = match
    issuers = [lengths for prefix, lengths in _ISSUERS if prefix.match(_NO_DIGIT.sub("", value))]
    end = next((end for end in _ends(value) if issuers and _is_card(value[:end], issuers)), 0)
    grouped = not value[:end].isdigit()
    left, right = (_PIECE_BEFORE, _PIECE_AFTER) if grouped else (_GLUED_BEFORE, _GLUED_AFTER)
    if not end or left.search(before) or (end == len(value) and right.search(after)):
        return 0
    named = _OF_A_CARD.search(before) is not None
    return end if grouped or named or (end in _USUAL and _OF_A_MACHINE.search(before) is None) else 0


def _ends(value: str) -> list[int]:
    """Where a number of at least 13 digits may end: at a space, a dash or the end."""
    return [at for at in range(13, len(value) + 1) if at == len(value) or not value[at].isdigit()]


def _is_card(text: str, issuers: list[frozenset[int]]) -> bool:
    digits = _NO_DIGIT.sub("", text)
    return (
        any(len(digits) in lengths for lengths in issuers)
        and luhn(digits)
        and len(set(digits)) > 1
        and (len(digits) == len(text) or _even_groups(text))
    )


def _even_groups(text: str) -> bool:
    """Groups as cards are written: fours, or 4-6-5 and 4-6-4; not the columns of a table."""
    groups = [len(group) for group in re.split(r"[ -]", text)]
    return groups in ([4, 6, 5], [4, 6, 4]) or (all(size == 4 for size in groups[:-1]) and 1 <= groups[-1] <= 7)


_IBAN_LENGTHS = dict(
    re.findall(
        r"(\w+):(\d+)",
        "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DJ:27 "
        "DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HR:21 HU:28 IE:22 "
        "IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 "
        "MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 SC:31 "
        "SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30",
    )
)
"""Lengths by country: the IBAN registry of SWIFT."""


def _iban(match: Match) -> int:
    """The IBAN that the match starts with; words in capitals may follow it."""
    value = match.text
    length = int(_IBAN_LENGTHS.get(value[:2].upper(), 0))
    end = kept = 0
    while kept < length and end < len(value):
        kept += value[end] not in " -"
        end += 1
    if not length or kept < length or (end < len(value) and value[end] not in " -"):
        return 0
    plain = value[:end].replace(" ", "").replace("-", "").upper()
    number = int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4]))  # ISO 13616: mod 97 is 1
    return end if number % 97 == 1 else 0


def _ssn(match: Match) -> int:
    """The rules of the US Social Security Administration: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    value, before, after = match
    digits = _NO_DIGIT.sub("", value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    own = len(digits) == 9 and area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return len(value) if own and _stands_alone(before, after) else 0


# --- phone numbers


_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "AT", "CH", "NL", "BE", "PL", "SE", "IN", "AU", "BR", "MX", "JP", "CN")


def _is_phone(text: str, region: str | None, *, possible: bool = False) -> bool:
    import phonenumbers  # 60 ms: not before a text needs it

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) or (possible and phonenumbers.is_possible_number(number))


def _phone_international(match: Match) -> int:
    """`+` and a number of the world's plan. With groups it need only be possible: also numbers kept for examples."""
    value, before, after = match
    if before[-1:].isalnum() or _PIECE_AFTER.search(after):
        return 0
    return len(value) if _is_phone(value, None, possible=not value[1:].isdigit()) else 0


def _phone_formatted(match: Match) -> int:
    """(212) 555-0123 or 212-555-0123: North America's own way to write one."""
    value, before, after = match
    return len(value) if _stands_alone(before, after) and _is_phone(value, "US", possible=value[0] == "(") else 0


def _phone_named(match: Match) -> int:
    """A national number that something calls a phone: valid where one of the larger countries dials it so."""
    value, _, after = match
    digits = _NO_DIGIT.sub("", value)
    if not 7 <= len(digits) <= 15 or _DATE.search(value) or len(set(digits)) < 3 or _GLUED_AFTER.search(after):
        return 0
    if value.startswith("00"):
        return len(value) if _is_phone("+" + value[2:], None) else 0
    return len(value) if any(_is_phone(value, region) for region in _REGIONS) else 0


# --- network addresses


_OF_A_VERSION = re.compile(
    rb"(?i)(?:\bv|version|\bver\.?|release|build|revision|\brev|section|chapter|firmware|oid|==|[<>~^!]=?|@)"
    rb"[\"\x27]?\s*[:=]?\s*[\"\x27]?$|(?:\A|[\s\"\x27(;,])[A-Za-z][\w.+-]*/$|\.$"
)
_OF_AN_ADDRESS = re.compile(
    rb"(?i)\bip\b|ip_|_ip|ipv4|addr|host|client|remote|\bfrom\b|peer|\bsrc|\bdst|source|forwarded|server|ssh|ping|://"
)
_RESOLVERS = frozenset(("1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9"))
_SMALL_OCTET = 31


def _ipv4(match: Match) -> int:
    """A public address: private, loopback and reserved ones name no person, nor do the resolvers all know.

    Four small numbers are a version or a section unless something around them speaks of an address.
    """
    value, before, after = match
    if _OF_A_VERSION.search(before) or _PIECE_BEFORE.search(before) or re.match(rb"\.[0-9]|-[A-Za-z]|_", after):
        return 0
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return 0
    if not address.is_global or value in _RESOLVERS:
        return 0
    small = all(octet <= _SMALL_OCTET for octet in address.packed)
    return 0 if small and _OF_AN_ADDRESS.search(before) is None else len(value)


def _ipv6(match: Match) -> int:
    """A public address."""
    value, before, after = match
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return 0
    return len(value) if address.is_global and before[-1:] not in (b":", b".") and after[:1] != b":" else 0


VALIDATORS: dict[str, Validator] = {
    "assigned": _assigned,
    "has_digit": _has_digit,
    "mixed": _mixed,
    "card": _card,
    "iban": _iban,
    "ssn": _ssn,
    "phone_international": _phone_international,
    "phone_formatted": _phone_formatted,
    "phone_named": _phone_named,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
}
