"""What one simple command of a shell does, by its program and its words."""

from __future__ import annotations

from collections.abc import Callable

from collectors.enrich.effects import shell_cloud, shell_data, shell_files, shell_git, shell_net, shell_packages
from collectors.enrich.effects.programs import CHECKERS, CLIENTS, FILE_PROGRAMS, FORMATTERS, READERS, SQL_CLIENTS
from collectors.enrich.effects.shell_common import Call, first_of, local, options_and_rest, short, unknown
from collectors.enrich.effects.verdict import DESTROYS, Found
from collectors.enrich.effects.words import words

_VERSION = frozenset({"--version", "-V", "--help", "-h", "version", "help"})
_SETS = ("set", "add", "del", "delete", "flush", "replace", "-w", "-s", "--set", "change", "set-timezone", "set-time")


def judge(call: Call) -> list[Found]:
    """The effects of one simple command whose prefixes are gone; [] where it only reads."""
    program, arguments = call.program, call.arguments
    if (special := _SPECIAL.get(program)) is not None:
        return special(call)
    if program in READERS:
        return []
    if (arguments and len(arguments) <= 2 and all(word in _VERSION for word in arguments)) or arguments == ["-v"]:
        return []
    if (file_program := FILE_PROGRAMS.get(program)) is not None:
        return shell_files.file_program(call, file_program)
    if (client := CLIENTS.get(program)) is not None:
        return shell_cloud.client(call, client)
    if program in SQL_CLIENTS:
        return shell_data.sql_client(call)
    if (fixes := CHECKERS.get(program)) is not None:
        return local(program) if call.has(*fixes) else []
    if (checks := FORMATTERS.get(program)) is not None:
        return [] if call.has(*checks) else local(program, " ".join(options_and_rest(arguments)[1]))
    return unknown(program, first_of(arguments))


def _kill(call: Call) -> list[Found]:
    if call.arguments[:1] in (["-l"], ["-L"], ["-0"]):
        return []
    rest = options_and_rest(call.arguments, frozenset({"-s"}))[1]
    return [Found("processes", "kill", short(" ".join(rest)), "no", DESTROYS)]


def _crontab(call: Call) -> list[Found]:
    if call.has("-l"):
        return []
    return [Found("cron", "delete", None, "no") if call.has("-r") else Found("cron", "write")]


def _host(call: Call) -> list[Found]:
    return [Found("host", call.program, short(" ".join(options_and_rest(call.arguments)[1][:3])))]


def _shows_or_sets(call: Call) -> list[Found]:
    """`mount`, `ip`, `hostname`, `sysctl`: they show something, or set it."""
    if call.program in ("mount", "hostname"):
        return _host(call) if first_of(call.arguments) else []
    return _host(call) if call.has(*_SETS) or any("=" in word for word in call.arguments) else []


_SPECIAL: dict[str, Callable[[Call], list[Found]]] = {
    "apply_patch": shell_files.apply_patch,
    "applypatch": shell_files.apply_patch,
    "crontab": _crontab,
    "curl": shell_net.curl,
    "dd": shell_files.dd,
    "fd": shell_files.find,
    "find": shell_files.find,
    "git": shell_git.git,
    "perl": shell_files.perl,
    "prettier": shell_files.prettier,
    "redis-cli": shell_data.redis,
    "ruff": shell_files.ruff,
    "sort": shell_files.sort,
    "ssh": shell_net.ssh,
    "tar": shell_files.tar,
    "tee": shell_files.tee,
    "tsc": shell_files.tsc,
    "wget": shell_net.wget,
    "yq": shell_files.yq,
    **dict.fromkeys(("gh", "glab"), shell_git.gh),
    **dict.fromkeys(("sed", "gsed"), shell_files.sed),
    **dict.fromkeys(("awk", "gawk", "mawk"), shell_files.awk),
    **dict.fromkeys(("scp", "rsync"), shell_files.copy),
    **dict.fromkeys(("http", "https", "xh"), shell_net.httpie),
    **dict.fromkeys(("mail", "mailx", "sendmail", "mutt", "swaks", "msmtp"), shell_net.mail),
    **dict.fromkeys(("mongosh", "mongo"), shell_data.mongo),
    **dict.fromkeys(("aws", "gcloud", "gsutil", "az", "bq"), shell_cloud.cloud),
    **dict.fromkeys(("docker", "podman", "docker-compose", "nerdctl"), shell_cloud.docker),
    **dict.fromkeys(
        words(
            """
    pip pip3 npm pnpm yarn bun uv poetry pipenv cargo go composer bundle twine pipx rustup nvm corepack
    """
        ),
        shell_packages.packages,
    ),
    **dict.fromkeys(
        ("python", "python3", "python2", "node", "ruby", "php", "tsx", "ts-node", "deno", "Rscript"),
        shell_packages.interpreter,
    ),
    **dict.fromkeys(("make", "gmake", "just", "task", "ninja"), shell_packages.make),
    **dict.fromkeys(("kill", "pkill", "killall"), _kill),
    **dict.fromkeys(
        words(
            """
    shutdown reboot halt poweroff useradd userdel usermod passwd groupadd iptables ufw fdisk parted umount
    modprobe visudo
    """
        ),
        _host,
    ),
    **dict.fromkeys(("mount", "ip", "hostname", "ifconfig", "route", "timedatectl", "sysctl"), _shows_or_sets),
}
