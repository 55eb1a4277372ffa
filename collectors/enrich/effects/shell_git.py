"""git, and the command lines of its hosts."""

from __future__ import annotations

from collectors.enrich.effects import http
from collectors.enrich.effects.programs import GIT_LOCAL, GIT_READS
from collectors.enrich.effects.shell_common import Call, options_and_rest, short, value_of
from collectors.enrich.effects.verdict import DESTROYS, LOCAL, Found
from collectors.enrich.effects.words import words

_VALUES = frozenset({"-m", "-F", "--message", "-b", "-B", "-o", "-c", "-C"})
_GLOBAL_VALUES = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace"})
_LISTS = frozenset(
    {
        "-l",
        "--list",
        "-a",
        "-r",
        "-v",
        "-vv",
        "--all",
        "--show-current",
        "--contains",
        "--merged",
        "--no-merged",
        "-n",
        "--points-at",
    }
)
_CONFIG_READS = frozenset({"--get", "--list", "-l", "--get-all", "--get-regexp", "--show-origin"})
_SHOWS = frozenset({"list", "show", "status", "log", "view"})
_GH_READS = words("list view status diff checks show watch download ls get trace ci clone-url token")
_GH_SILENT = frozenset({"search", "status", "browse", "help", "version", "completion"})
_GH_VALUES = frozenset(
    {"-R", "--repo", "-t", "--title", "-b", "--body", "-X", "--method", "-f", "-F", "-H", "-q", "--jq", "--json", "-L"}
)


def git(call: Call) -> list[Found]:
    words = call.arguments
    while words and words[0][:1] == "-" and words[0] not in ("--version", "--help"):
        words = words[2 if words[0] in _GLOBAL_VALUES else 1 :]
    if not words or words[0] in GIT_READS or words[0] == "--help":
        return []
    verb, (options, rest) = words[0], options_and_rest(words[1:], _VALUES)
    if verb == "push":
        return _push(options, rest)
    if _only_shows(verb, options, rest):
        return []
    operation, reversible = _local(verb, options, rest, words)
    resource = rest[0] if rest else value_of(words[1:], "-b", "-B", "-c", "-C")
    if verb == "clone" and rest:
        resource = http.place(rest[0])
    elif verb in ("commit", "stash", "apply", "am"):
        resource = None
    weight = DESTROYS if reversible == "no" else LOCAL - (verb == "add")  # what is added is committed next
    return [Found("git", operation, short(resource), reversible, weight)]


def _local(verb: str, options: list[str], rest: list[str], words: list[str]) -> tuple[str, str]:
    """(operation, reversible) of a write to the own repository. Uncommitted work, once thrown away, is gone."""
    if verb == "reset" and "--hard" in options:
        return "reset --hard", "no"
    if verb == "checkout" and ("--" in words or "." in rest or "-f" in options):
        return "checkout --", "no"
    if verb == "restore" and "--staged" in options and "--worktree" not in options:
        return verb, "yes"
    if verb == "stash" and rest[:1] in (["drop"], ["clear"]):
        return f"stash {rest[0]}", "no"
    if verb == "branch" and not {"-D", "-d", "--delete"}.isdisjoint(options):
        return "branch -D", "unknown"
    return verb, GIT_LOCAL.get(verb, "unknown")


def _push(options: list[str], rest: list[str]) -> list[Found]:
    if "--dry-run" in options or "-n" in options:
        return []
    target = " ".join((http.place(rest[0]) if "://" in rest[0] else rest[0], *rest[1:3])) if rest else None
    forced = any(one[:7] == "--force" or one in ("-f", "--delete", "-d", "--mirror") for one in options)
    if forced or any(one[:1] in ("+", ":") for one in rest[1:]):
        return [Found("git", "push --force", short(target), "unknown")]
    return [Found("git", "push", short(target), "yes")]


def _only_shows(verb: str, options: list[str], rest: list[str]) -> bool:
    """True for those forms of a writing subcommand that only show something."""
    if verb in ("branch", "tag"):
        return not _LISTS.isdisjoint(options) or not (rest or options)
    if verb == "remote":
        return not rest or rest[0] in ("show", "get-url")
    if verb in ("stash", "worktree", "submodule", "notes", "bisect"):
        return (rest[:1] != [] and rest[0] in _SHOWS) or (verb in ("submodule", "notes") and not rest)
    if verb == "config":
        return not _CONFIG_READS.isdisjoint(options) or (len(rest) == 1 and not options)
    if verb == "apply":
        return not {"--check", "--stat", "--numstat"}.isdisjoint(options)
    if verb in ("reflog", "symbolic-ref"):
        return rest[:1] not in (["expire"], ["delete"]) and (verb == "reflog" or len(rest) < 2)
    return "--dry-run" in options


def gh(call: Call) -> list[Found]:
    """GitHub's `gh` and GitLab's `glab`."""
    rest = options_and_rest(call.arguments, _GH_VALUES)[1]
    system = "github" if call.program == "gh" else "gitlab"
    if not rest or rest[0] in _GH_SILENT or call.has("--help"):
        return []
    area, verb = rest[0], rest[1] if len(rest) > 1 else ""
    if area == "api":
        has_fields = call.has("-f", "-F", "--field", "--raw-field", "--input")
        method = (value_of(call.arguments, "-X", "--method") or ("POST" if has_fields else "GET")).upper()
        graphql_read = verb == "graphql" and not any("mutation" in word for word in call.arguments)
        if method in http.SAFE or graphql_read:
            return []
        return [Found(system, f"api {method}"[:80], short(verb), http.reversible(method))]
    if verb in _GH_READS or not verb or (area == "auth" and verb == "setup-git"):
        return []
    if (area, verb) in (("pr", "checkout"), ("repo", "clone")):
        return [Found("git", f"{area} {verb}", short(" ".join(rest[2:3])), "yes", LOCAL)]
    target = " ".join(one for one in (value_of(call.arguments, "-R", "--repo"), *rest[2:3]) if one)
    return [Found(system, f"{area} {verb}"[:80], short(target), "no" if verb == "delete" else "unknown")]
