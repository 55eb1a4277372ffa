"""Package managers, interpreters and the scripts of a project. A project's own script may do anything."""

from __future__ import annotations

from collectors.enrich.effects.programs import CHECKERS, FORMATTERS
from collectors.enrich.effects.shell_common import Call, first_of, local, options_and_rest, short, unknown, value_of
from collectors.enrich.effects.verdict import LOCAL, Found
from collectors.enrich.effects.words import words

_INSTALLS = words(
    """
    install i ci add remove rm uninstall un update upgrade up link unlink sync lock dedupe prune tap require fetch
    get tidy vendor
    """
)
_READS = words(
    """
    list ls view info show outdated audit search freeze why explain doctor root prefix bin whoami ping help tree
    metadata check clippy vet version env config doc about licenses fund owner verify-project pkgid current which
    graph
    """
)
_PUBLISHES = frozenset({"publish", "unpublish", "deprecate", "yank", "upload", "deploy"})
_MAKES = frozenset(
    {"init", "create", "new", "pack", "download", "wheel", "venv", "build", "fmt", "clean", "export", "set", "mod"}
)
_RUNNERS = frozenset({"run", "exec", "dlx", "x"})
_PYTHON_RUNNERS = frozenset({"uv", "poetry", "pipenv", "rye", "hatch"})
_VALUES = frozenset(
    {
        "--prefix",
        "--filter",
        "-w",
        "--workspace",
        "-C",
        "--cwd",
        "-F",
        "-r",
        "-p",
        "--port",
        "--host",
        "-e",
        "-m",
        "-t",
        "--access",
        "--tag",
        "--otp",
    }
)
_HARMLESS_MODULES = frozenset({"json.tool", "site", "platform", "this", "sysconfig"})


def packages(call: Call) -> list[Found]:
    program = call.program
    options, rest = options_and_rest(call.arguments, _VALUES)
    if program == "uv" and rest[:1] == ["pip"]:
        program, rest = "uv pip", rest[1:]
    if not rest:
        installs = program in ("yarn", "pnpm", "bundle") and not options
        return [Found("packages", f"{program} install", None, "yes", LOCAL)] if installs else []
    verb, operand = rest[0], rest[1] if len(rest) > 1 else None
    if verb in _RUNNERS:
        return _run(call, program, verb, rest)
    if verb in _PUBLISHES:
        return [Found("packages", f"{program} {verb}", short(" ".join(rest[1:3])), "no")]
    if verb == "mod" and operand in ("tidy", "vendor", "download"):
        return [Found("packages", f"{program} {verb} {operand}", None, "yes", LOCAL)]
    if verb in _READS:
        writes = (
            (verb == "config" and operand in ("set", "delete"))
            or call.has("--fix")
            or (verb == "audit" and operand == "fix")
        )
        return local(f"{program} {verb}", operand, "unknown") if writes else []
    if verb in _INSTALLS:
        named = " ".join(rest[1:5]) or value_of(call.arguments, "-r", "--requirement")
        return [Found("packages", f"{program} {verb}", short(named), "yes", LOCAL)]
    if verb in _MAKES and program not in ("npm", "pnpm", "yarn", "bun"):
        return local(f"{program} {verb}", operand, "yes")
    return unknown(f"{program} {verb}", operand)


def _run(call: Call, program: str, verb: str, rest: list[str]) -> list[Found]:
    """`npm run build` is the project's own script; `poetry run mypy` is mypy."""
    at = call.arguments.index(verb) + 1
    inner = call.arguments[at:]
    while inner and inner[0][:1] == "-":
        inner = inner[1:]
    if inner and (program in _PYTHON_RUNNERS or verb != "run"):
        return call.words(inner)
    return unknown(f"{program} {verb}", rest[1] if len(rest) > 1 else None)


def interpreter(call: Call) -> list[Found]:
    """python, node, ruby: what a program does, nobody can tell from its name."""
    words = call.arguments
    if words[:1] and words[0] in ("--version", "-V", "-VV", "-v", "--help", "-h"):
        return []
    if words[:1] == ["-m"] and len(words) > 1:
        module = words[1]
        if module in _HARMLESS_MODULES:
            return []
        if module in ("pip", "uv", *CHECKERS, *FORMATTERS):
            return call.words(words[1:])
        if module == "venv":
            return local("create", words[-1], "yes")
        return unknown(f"{call.program} -m {module}"[:60])
    inline = words[:1] in (["-c"], ["-e"], ["-p"], ["-"], ["-r"], [])
    return unknown(call.program, None if inline else first_of(words))


def make(call: Call) -> list[Found]:
    """make, just, task: a target of the project."""
    if call.has("-n", "--dry-run", "--version", "-v", "--list", "-l"):
        return []
    return unknown(call.program, " ".join(options_and_rest(call.arguments, frozenset({"-C", "-f", "-j"}))[1][:3]))
