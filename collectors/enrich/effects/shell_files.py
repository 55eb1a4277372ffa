"""Programs that work on files: what they leave changed, and where."""

from __future__ import annotations

import re

from collectors.enrich.effects import files
from collectors.enrich.effects.shell_common import Call, first_of, local, options_and_rest, short, unknown, value_of
from collectors.enrich.effects.verdict import DESTROYS, LOCAL, Found

_MANY = frozenset({"rm", "unlink", "shred", "rmdir", "mkdir", "touch", "tee", "chmod", "chown", "chgrp", "trash"})
_COMPILERS = frozenset({"gcc", "g++", "clang"})
_REMOTE = re.compile(r"(?:[\w.-]+@)?[\w.-]{2,}:(?!\\)")
_AWK_WRITES = re.compile(r"system\s*\(|\|\s*\"|>\s*\"")
_IN_PLACE = re.compile(r"-[nErsuz]*i|--in-place")
_SHOWN = 5


def file_program(call: Call, known: tuple[str, str, bool]) -> list[Found]:
    """A program of FILE_PROGRAMS."""
    operation, reversible, destroys = known
    options, rest = options_and_rest(call.arguments)
    program = call.program
    if program in ("unzip", "zip") and call.has("-l", "-t", "-Z"):
        return []
    if program in _COMPILERS:
        return local(operation, value_of(call.arguments, "-o") or "a.out", reversible)
    if program in ("chmod", "chown", "chgrp"):
        rest = rest[1:]
    if program in _MANY:
        resource = " ".join(rest[:_SHOWN]) + (" …" if len(rest) > _SHOWN else "")
    else:
        resource = rest[-1] if rest else ""
    if program == "rmdir" and "-p" in options:
        reversible = "unknown"
    return [Found("files", operation, short(resource), reversible, DESTROYS if destroys else LOCAL)]


def dd(call: Call) -> list[Found]:
    target = next((word[3:] for word in call.arguments if word.startswith("of=")), None)
    return [Found("files", "write", short(target), "no", DESTROYS)] if target else []


def tee(call: Call) -> list[Found]:
    rest = options_and_rest(call.arguments)[1]
    targets = [word for word in rest if not word.startswith("/dev/")]
    appends = call.has("-a", "--append")
    return (
        local("append" if appends else "write", " ".join(targets[:_SHOWN]), "yes" if appends else "unknown")
        if targets
        else []
    )


def copy(call: Call) -> list[Found]:
    """`scp`, `rsync`: to another host, or from it."""
    rest = options_and_rest(
        call.arguments, frozenset({"-P", "-i", "-o", "-F", "-c", "-l", "-e", "--exclude", "--include"})
    )[1]
    if not rest or call.has("--dry-run", "-n", "--list-only"):
        return []
    destroys = call.has("--delete", "--remove-source-files")
    if _REMOTE.match(rest[-1]):
        return [Found("ssh", "copy", short(rest[-1].rpartition("@")[2]), "no" if destroys else "unknown")]
    return local("copy", rest[-1], "no" if destroys else "unknown")


def sed(call: Call) -> list[Found]:
    if not any(_IN_PLACE.match(word) for word in call.arguments):
        return []
    rest = options_and_rest(call.arguments, frozenset({"-e", "-f", "--expression"}))[1]
    return local("edit", rest[-1] if rest else None, "no")


def awk(call: Call) -> list[Found]:
    if call.has("inplace"):
        return local("edit", call.arguments[-1], "no")
    return unknown(call.program) if _AWK_WRITES.search(first_of(call.arguments) or "") else []


def perl(call: Call) -> list[Found]:
    if call.has("-v", "--version"):
        return []
    if any(re.match(r"-\w*i", word) for word in call.arguments):
        rest = options_and_rest(call.arguments, frozenset({"-e", "-pe", "-ne"}))[1]
        return local("edit", rest[-1] if rest else None, "no")
    inline = any(re.fullmatch(r"-\w*[eE]", word) for word in call.arguments)
    return unknown(call.program, None if inline else first_of(call.arguments))


def find(call: Call) -> list[Found]:
    words = call.arguments
    place = words[0] if words and words[0][:1] != "-" else "."
    found = [Found("files", "delete", short(place), "no", DESTROYS)] if "-delete" in words else []
    taken = 0
    for number, word in enumerate(words[:-1]):
        if number < taken:
            continue
        if word in ("-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec"):
            inner = words[number + 1 :]
            end = next((at for at, one in enumerate(inner) if one in (";", "+")), len(inner))
            taken = number + 1 + end
            if inner[:end]:
                found += call.words(inner[:end])
        elif word in ("-fprint", "-fls", "-fprintf"):
            found += local("write", words[number + 1])
    return found


def tar(call: Call) -> list[Found]:
    mode = call.arguments[0] if call.arguments else ""
    short_mode = mode.lstrip("-") if mode[:2] != "--" else ""
    if "t" in short_mode or call.has("--list", "--help", "--version"):
        return []
    if "x" in short_mode or call.has("--extract"):
        return local("extract", value_of(call.arguments, "-C", "--directory"))
    return local("write", call.arguments[1] if len(call.arguments) > 1 else None)


def sort(call: Call) -> list[Found]:
    target = value_of(call.arguments, "-o", "--output")
    return local("write", target) if target else []


def yq(call: Call) -> list[Found]:
    return local("edit", call.arguments[-1], "no") if call.has("-i", "--inplace") else []


def apply_patch(call: Call) -> list[Found]:
    patch = call.text or (call.arguments[0] if call.arguments else "")
    return files.patched_files(patch) or local("patch")


def prettier(call: Call) -> list[Found]:
    rest = options_and_rest(call.arguments)[1]
    return local("format", rest[-1] if rest else None) if call.has("--write", "-w") else []


def ruff(call: Call) -> list[Found]:
    formats = call.has("format") and not call.has("--check", "--diff")
    if not formats and not call.has("--fix", "--fix-only", "--unsafe-fixes"):
        return []
    return local("ruff format" if formats else "ruff --fix")


def tsc(call: Call) -> list[Found]:
    return [] if call.has("--noEmit", "-v", "--version", "--help") else local("build", None, "yes")
