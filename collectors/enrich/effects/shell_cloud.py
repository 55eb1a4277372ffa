"""Clouds, clusters and containers: the subcommand says whether it writes."""

from __future__ import annotations

import re
from itertools import pairwise

from collectors.enrich.effects import sql
from collectors.enrich.effects.shell_common import Call, options_and_rest, short, value_of
from collectors.enrich.effects.verdict import LOCAL, OUTSIDE, UNKNOWN, Found
from collectors.enrich.effects.words import words

_DESTROYS = re.compile(r"(^|-)(delete|destroy|terminate|remove|rm|rb|purge|drop|wipe|deregister|revoke)(-|$)")
_READS = re.compile(
    r"(describe|list|get|head|lookup|search|show|view|batch-get|filter|query|scan|estimate|test|validate|wait|ls|logs|tail|cat)(-|$)"
)
_VALUES = frozenset(
    {"-n", "--namespace", "-f", "--filename", "--context", "-l", "-o", "--output", "-c", "-p", "--replicas", "-u"}
)
_CLOUD_VALUES = frozenset({"--profile", "--region", "--project", "--output", "--query", "--format", "--zone"})
_LISTING_GROUPS = frozenset({"state", "workspace", "repo", "stack", "rollout", "set"})
_LISTING = frozenset({"list", "show", "search", "ls", "status", "history", "pull"})
_CONFIG_WRITES = ("set", "use", "delete", "unset", "rename")
_DOCKER_READS = words(
    """
    ps images logs inspect stats top version info events history search port diff ls config context df
    """
)
_DOCKER_GROUPS = words(
    """
    container image volume network system compose builder buildx context manifest stack service swarm
    """
)
_DOCKER_VALUES = frozenset(
    {"-f", "--file", "-p", "-H", "--context", "--name", "-t", "--tag", "-e", "-v", "--network", "-u", "-w"}
)
_SYSTEMS = {"gcloud": "gcp", "gsutil": "gcp", "bq": "gcp", "az": "azure"}


def client(call: Call, known: tuple[frozenset[str], frozenset[str], str]) -> list[Found]:
    """A program of CLIENTS: kubectl, terraform, systemctl and their like."""
    reads, destroys, system = known
    options, rest = options_and_rest(call.arguments, _VALUES)
    verb = rest[0] if rest else options[0] if options else ""
    if not verb or verb in ("help", "--help", "--version") or _client_reads(call, verb, rest, reads):
        return []
    if verb == "exec" and "--" in call.arguments:
        inner = call.arguments[call.arguments.index("--") + 1 :]
        if inner and not call.words(inner):
            return []
    named = rest[1:3]
    resource = " ".join(named) or value_of(call.arguments, "-f", "--filename", "-target", "-var-file")
    if system == "kubernetes" and resource and (namespace := value_of(call.arguments, "-n", "--namespace")):
        resource = f"{namespace}: {resource}"
    if system == "packages":
        return [
            Found(system, f"{call.program} {verb}"[:80], short(resource), "no" if verb in destroys else "yes", LOCAL)
        ]
    weight = LOCAL if verb in ("init", "fmt") else OUTSIDE
    return [Found(system, verb[:80], short(resource), "no" if verb in destroys else "unknown", weight)]


def _client_reads(call: Call, verb: str, rest: list[str], reads: frozenset[str]) -> bool:
    second = rest[1] if len(rest) > 1 else ""
    if verb in reads or not reads.isdisjoint(call.arguments[:1]):
        return not (verb == "config" and second.startswith(_CONFIG_WRITES))
    if call.has("--dry-run=client", "--dry-run=server", "--dry-run", "-check", "--check"):
        return True
    return (verb in _LISTING_GROUPS and second in _LISTING) or (call.program == "service" and second == "status")


def cloud(call: Call) -> list[Found]:
    """aws, gcloud, az and the tools beside them: verbs such as describe, list and get read, all others write."""
    rest = options_and_rest(call.arguments, _CLOUD_VALUES)[1]
    system = _SYSTEMS.get(call.program, call.program)
    if not rest or rest[0] in ("version", "help"):
        return []
    if rest[0] in ("configure", "login") or rest[:2] == ["auth", "login"]:
        return [Found(system, rest[0], None, "yes", LOCAL)]
    if call.program == "bq" and rest[0] == "query" and len(rest) > 1:
        return sql.effects(rest[-1], "bigquery")
    if call.program == "gsutil" or rest[0] == "s3":
        verb, operands = (
            (rest[0], rest[1:]) if call.program == "gsutil" else (rest[1] if len(rest) > 1 else "ls", rest[2:])
        )
        return _objects(call, system, verb, operands)
    verbs = rest[1:2] if call.program == "aws" else rest
    destroys = any(_DESTROYS.search(word) for word in verbs)
    if not destroys and any(_READS.match(word) for word in verbs):
        return []
    if call.program == "aws":
        operation, target = " ".join(rest[:2]), rest[2] if len(rest) > 2 else None
    else:
        operation, target = " ".join(rest[:-1]) or rest[0], rest[-1] if len(rest) > 1 else None
    return [
        Found(system, operation[:80], short(target or _first_value(call.arguments)), "no" if destroys else "unknown")
    ]


def _first_value(words: list[str]) -> str | None:
    """The value of the first long option, which is how clouds name what they work on."""
    for word, following in pairwise(words):
        if word[:2] == "--" and word not in _CLOUD_VALUES and following[:1] != "-":
            return following
    return None


def _objects(call: Call, system: str, verb: str, operands: list[str]) -> list[Found]:
    """Object storage: `aws s3 …` and `gsutil …`."""
    if verb in ("ls", "presign", "cat", "stat", "du", "hash") or call.has("--dryrun", "-n") or not operands:
        return []
    remote = [word for word in operands if "://" in word]
    if verb in ("rm", "rb"):
        return [Found(system, f"s3 {verb}" if system == "aws" else verb, short(operands[-1]), "no")]
    operation = f"s3 {verb}" if system == "aws" else verb
    if remote and operands[-1] not in remote:  # to here
        taken = [Found(system, operation, short(remote[0]), "unknown")] if verb == "mv" else []
        return [*taken, Found("files", "download", short(operands[-1]), "unknown", LOCAL)]
    return [Found(system, operation[:80], short(operands[-1]), "no" if call.has("--delete", "-d") else "unknown")]


def docker(call: Call) -> list[Found]:
    """docker, podman, compose."""
    rest = options_and_rest(call.arguments, _DOCKER_VALUES)[1]
    if call.program == "docker-compose":
        rest = ["compose", *rest]
    if not rest:
        return []
    group = rest[0] if rest[0] in _DOCKER_GROUPS else None
    verb = (rest[1] if len(rest) > 1 else "ps") if group else rest[0]
    targets = rest[2:] if group else rest[1:]
    if verb in _DOCKER_READS or (verb == "exec" and len(targets) > 1 and not call.words(targets[1:])):
        return []
    destroys = verb in ("rm", "rmi", "prune", "kill", "remove") or (verb == "down" and call.has("-v", "--volumes"))
    name = value_of(call.arguments, "-t", "--tag") if verb == "build" else None
    if not targets and call.arguments[-1] != verb and call.arguments[-1][:1] != "-":
        targets = call.arguments[-1:]  # `rm -f web`: -f is no option with a value there
    found = Found(
        "docker", (f"{group} {verb}" if group else verb)[:80], short(name or (targets[0] if targets else None))
    )
    if destroys:
        return [found._replace(reversible="no")]
    return [found if verb == "push" else found._replace(weight=UNKNOWN)]
