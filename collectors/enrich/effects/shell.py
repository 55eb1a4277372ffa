"""A shell call: everything that its command line would do, through pipes, lists, substitutions and nested shells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from collectors.enrich.effects import shell_programs
from collectors.enrich.effects.programs import CLOSERS, KEYWORDS, PREFIX_VALUES, PREFIXES, READERS, SHELLS
from collectors.enrich.effects.shell_common import Call, unknown
from collectors.enrich.effects.shell_words import Command, split
from collectors.enrich.effects.verdict import LOCAL, READ_BY_ARGUMENT, Found, Verdict, verdict_of

_DEEPEST = 5
_MAX_FOUND = 100
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_SIMPLE = re.compile(r"[\w ./,:=@%+-]+")
_DEVICES = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "&1", "&2", "-"})
_ENVIRONMENTS = ("activate", "rc", "profile", "nvm.sh", "env")  # what is sourced for its variables alone
_LONGEST_SIMPLE = 300


def judge(command: str) -> Verdict:
    """What a command line does; a read where every part of it only reads."""
    if len(command) <= _LONGEST_SIMPLE and _SIMPLE.fullmatch(command):  # no quote, no operator: one simple command
        words = command.split()
        if words and words[0] in READERS:
            return READ_BY_ARGUMENT
    return verdict_of(effects(command))


def judge_words(words: list[str]) -> Verdict:
    """As `judge`, for an argument list: `["bash", "-lc", "…"]` or `["git", "push"]`."""
    return verdict_of(_command(Command(words=words), 0))


def effects(text: str, depth: int = 0) -> list[Found]:
    """All effects of a command line, in its order. What cannot be read to its end counts as an unknown effect."""
    if depth > _DEEPEST:
        return unknown("nested")
    line = split(text)
    found: list[Found] = []
    for command in line.commands:
        found += _command(command, depth)
        if len(found) > _MAX_FOUND:
            break
    for inner in line.inner[:_MAX_FOUND]:
        found += effects(inner, depth + 1)
    if not line.whole:
        found += unknown("script")
    return found


def _command(command: Command, depth: int) -> list[Found]:
    found = _redirected(command.redirects) if command.redirects else []
    words = _without_prefixes(command.words)
    if not words:
        return found
    program = words[0].rpartition("/")[2]
    if words[0].startswith(("./", "../")):
        return found + unknown(words[0], words[1] if len(words) > 1 else None)
    if program in READERS:
        return found
    if program in SHELLS or program == "eval":
        return found + _nested(program, words[1:], command, depth)
    if program in (".", "source"):
        is_environment = len(words) > 1 and words[1].endswith(_ENVIRONMENTS)
        return found if is_environment else found + unknown("source", words[1] if len(words) > 1 else None)
    is_fed = command.piped or any(operator[:1] == "<" for operator, _ in command.redirects)
    return found + shell_programs.judge(
        Call(
            program,
            words[1:],
            command.text,
            is_fed,
            partial(_words, depth=depth + 1),
            partial(effects, depth=depth + 1),
        )
    )


def _words(words: list[str], depth: int) -> list[Found]:
    return _command(Command(words=words), depth) if depth <= _DEEPEST else unknown("nested")


def _redirected(redirects: Iterable[tuple[str, str]]) -> list[Found]:
    found = []
    for operator, target in redirects:
        if ">" not in operator or target in _DEVICES or not target or (operator == ">&" and target.isdigit()):
            continue
        appends = operator in (">>", "&>>")
        found.append(
            Found("files", "append" if appends else "write", target[:200], "yes" if appends else "unknown", LOCAL)
        )
    return found


def _without_prefixes(words: list[str]) -> list[str]:
    """The words from the program on: keywords, assignments, `sudo`, `env`, `timeout 5` and their like taken off."""
    at, count = 0, len(words)
    while at < count:
        word = words[at]
        if word in KEYWORDS or _ASSIGNMENT.match(word):
            at += 1
        elif word in CLOSERS:
            return []
        elif word.rpartition("/")[2] in PREFIXES:
            at = _after_prefix(words, at)
        else:
            break
    return words if at == 0 else words[at:]


def _after_prefix(words: list[str], at: int) -> int:
    prefix = words[at].rpartition("/")[2]
    values = PREFIX_VALUES.get(prefix, frozenset())
    at += 1
    while at < len(words) and words[at][:1] == "-":
        at += 2 if words[at] in values else 1
    if prefix in ("timeout", "gtimeout") and at < len(words):
        at += 1
    return at


def _nested(program: str, arguments: list[str], command: Command, depth: int) -> list[Found]:
    """`bash -c '…'`, `eval …`, `bash script.sh`, `… | sh`."""
    if program == "eval":
        return effects(" ".join(arguments), depth + 1)
    for number, word in enumerate(arguments):
        if word[:1] == "-" and word[:2] != "--":
            if "c" in word:
                return effects(arguments[number + 1], depth + 1) if number + 1 < len(arguments) else []
            if word == "-n":
                return []
        elif word in ("--version", "--help"):
            return []
        elif word[:1] != "-":
            return unknown(program, word)
    if command.text is not None:
        return effects(command.text, depth + 1)
    return unknown(program, "standard input" if command.piped else None)
