"""Programs that speak to another host: HTTP, mail, a remote shell."""

from __future__ import annotations

import re

from collectors.enrich.effects import http
from collectors.enrich.effects.shell_common import Call, local, options_and_rest, short, value_of
from collectors.enrich.effects.verdict import Found
from collectors.enrich.effects.words import words

_CURL_VALUES = words(
    """
    -X --request -d --data --data-raw --data-binary --data-urlencode --data-ascii --json -F --form -T
    --upload-file -o --output -H --header -u --user -A --user-agent -e --referer -b --cookie -c --cookie-jar -m
    --max-time --connect-timeout -w --write-out --retry --retry-delay -x --proxy --cacert --cert --key -E -K
    --config --resolve --url -r --range --limit-rate
    """
)
_CURL_BODY = re.compile(r"-d.*|-F.*|--data\b.*|--data-.*|--json\b.*|--form\b.*", re.DOTALL)
_CURL_METHOD = re.compile(r"-[a-zA-Z]*X([A-Za-z]+)|-[a-zA-Z]*X")
_CURL_SAVES = re.compile(r"-[a-zA-Z]*O[a-zA-Z]*|--remote-name")
_LONGEST_FLAG = 40
_FIELD = re.compile(r"[^=:]:?=|@")
_SSH_VALUES = words("-i -p -l -o -L -R -D -J -F -c -m -b -e -E -S -w -W")


def curl(call: Call) -> list[Found]:
    options, rest = options_and_rest(call.arguments, _CURL_VALUES)
    url = value_of(call.arguments, "--url") or (rest[0] if rest else None)
    method = _curl_method(call, options).upper()[:20]
    found = []
    if method not in http.SAFE:
        found.append(Found("http", method, http.place(url) if url else None, http.reversible(method)))
    target = value_of(call.arguments, "-o", "--output")
    if target is None and any(_CURL_SAVES.fullmatch(one) for one in options if len(one) <= _LONGEST_FLAG):
        target = url.rsplit("/", 1)[-1] if url else "download"
    if target and target != "-" and not target.startswith("/dev/"):
        found += local("download", target)
    return found


def _curl_method(call: Call, options: list[str]) -> str:
    named = value_of(call.arguments, "--request")
    for number, word in enumerate(call.arguments):
        if word[:2] != "--" and len(word) <= _LONGEST_FLAG and (match := _CURL_METHOD.fullmatch(word)):
            named = match[1] or (call.arguments[number + 1] if number + 1 < len(call.arguments) else None)
    if named:
        return named
    flags = [one for one in options if one[:1] == "-"]
    if call.has("-T", "--upload-file"):
        return "PUT"
    if call.has("-I", "--head", "-G", "--get"):
        return "GET"
    return "POST" if any(_CURL_BODY.fullmatch(one) for one in flags) else "GET"


def wget(call: Call) -> list[Found]:
    options, rest = options_and_rest(call.arguments, frozenset({"-O", "-P", "-o", "--header", "--method"}))
    method = (value_of(call.arguments, "--method") or "").upper()
    if any(one.startswith(("--post-data", "--post-file", "--body-data")) for one in options) or method not in (
        "",
        *http.SAFE,
    ):
        method = method or "POST"
        return [Found("http", method[:20], http.place(rest[0]) if rest else None, http.reversible(method))]
    target = value_of(call.arguments, "-O", "--output-document")
    if "--spider" in options or target in ("-", "/dev/null") or any(one.endswith("O-") for one in options):
        return []
    return local("download", target or (rest[0].rsplit("/", 1)[-1] if rest else None))


def httpie(call: Call) -> list[Found]:
    rest = options_and_rest(call.arguments, frozenset({"-a", "--auth", "-o", "--output", "-A"}))[1]
    method = rest[0] if rest and rest[0].isupper() and rest[0].isalpha() else ""
    where = rest[1:] if method else rest
    if not where:
        return []
    method = method or ("POST" if any(_FIELD.search(one) for one in where[1:]) or call.is_fed else "GET")
    return [] if method in http.SAFE else [Found("http", method[:20], http.place(where[0]), http.reversible(method))]


def mail(call: Call) -> list[Found]:
    rest = options_and_rest(call.arguments, frozenset({"-s", "-c", "-b", "-r", "-f", "-a", "-A", "-S"}))[1]
    return [Found("email", "send", short(" ".join(rest)), "no")]


def ssh(call: Call) -> list[Found]:
    """A command on another host is judged as one here; a login without one may do anything there."""
    words = call.arguments
    while words and words[0][:1] == "-":
        words = words[2 if words[0] in _SSH_VALUES else 1 :]
    if not words:
        return []
    host = words[0].rpartition("@")[2]
    remote = " ".join(words[1:]) or call.text
    if not remote:
        return [Found("ssh", "login", short(host), "unknown", basis="unknown")]
    inner = call.line(remote)
    if not inner:
        return []
    worst = max(inner, key=lambda one: one.severity)
    operation = f"{worst.system} {worst.operation}"[:80]
    return [
        Found("ssh", operation, short(f"{host} {worst.resource or ''}".strip()), worst.reversible, basis=worst.basis)
    ]
