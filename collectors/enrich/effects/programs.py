"""What programs do, as tables. A program in none of them is unknown: it may do anything, and counts as a write."""

from __future__ import annotations

from collectors.enrich.effects.words import words

READERS = words(
    """
    : [ [[ ack ag alias arch base64 basename bat bc bg break cal cat cd cksum clear cloc cmp column comm continue
    cut date delta file df diff dig dirname dirs dmesg du echo egrep eza exa exit expand expr eza factor false fg
    fgrep fold free getconf getent grep groups hash head help hexdump hexyl history host hostnamectl id iostat
    jobs journalctl jq last ldd less let ll local locale locate logname ls lsblk lscpu lsof lspci lsusb man md5
    md5sum more netstat nl nm nproc nslookup numfmt objdump od paste pgrep pidof ping popd pr printenv printf ps
    pstree pushd pwd read readelf readlink readonly realpath return rev rg ripgrep screenfetch seq set sha1sum
    sha256sum sha512sum shasum shift shopt shuf size sleep ss stat strings sum sw_vers system_profiler tac tail
    test times tokei top tput tr traceroute trap tree true tty type typeset ulimit umask unalias uname unexpand
    uniq unset uptime vmstat w wait wc whatis whereis which who whoami xxd yes zcat zgrep zless fdfind htop
    neofetch tldr code declare export where pbpaste xmllint
    """
)
"""Programs that write nothing, whatever their arguments."""

SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh", "fish", "ash"})
PREFIXES = words(
    """
    sudo doas env nohup time timeout nice ionice stdbuf exec command builtin xargs setsid caffeinate gtimeout
    unbuffer watch chronic npx bunx uvx pnpx
    """
)
KEYWORDS = frozenset({"then", "else", "elif", "do", "if", "while", "until", "!", "{", "coproc"})
CLOSERS = frozenset({"fi", "done", "esac", "}", "for", "select", "case", "function", "in"})
# Options of the prefixes above that take a word of their own.
PREFIX_VALUES = {
    "sudo": frozenset({"-u", "-g", "-h", "-p", "-C", "-r", "-t", "--user", "--group"}),
    "env": frozenset({"-u", "-C", "--unset", "--chdir"}),
    "xargs": frozenset(
        {"-I", "-n", "-P", "-L", "-d", "-s", "-a", "-E", "--max-args", "--max-procs", "--replace", "--delimiter"}
    ),
    "nice": frozenset({"-n"}),
    "ionice": frozenset({"-c", "-n"}),
    "timeout": frozenset({"-s", "-k", "--signal", "--kill-after"}),
    "watch": frozenset({"-n", "--interval"}),
    "npx": frozenset({"-p", "--package"}),
    "uvx": frozenset({"--from", "--with", "-p", "--python"}),
}

# Programs that only check or compile nothing that stays, unless one of these options is there.
CHECKERS: dict[str, frozenset[str]] = {
    "mypy": frozenset(),
    "pyright": frozenset(),
    "flake8": frozenset(),
    "pylint": frozenset(),
    "shellcheck": frozenset(),
    "eslint": frozenset({"--fix"}),
    "tslint": frozenset({"--fix"}),
    "stylelint": frozenset({"--fix"}),
    "biome": frozenset({"--write", "--fix", "--apply", "format"}),
    "hadolint": frozenset(),
    "yamllint": frozenset(),
    "actionlint": frozenset(),
}
FORMATTERS: dict[str, frozenset[str]] = {  # they write, unless one of these options is there
    "black": frozenset({"--check", "--diff"}),
    "isort": frozenset({"--check", "--check-only", "--diff"}),
    "rustfmt": frozenset({"--check"}),
    "autopep8": frozenset({"--diff"}),
}

_KUBECTL_READS = (
    "get describe logs top explain api-resources api-versions version cluster-info auth diff wait config port-forward"
)
_HELM_READS = "list ls status get history template show search lint version env dependency"
_RABBIT_READS = "list_queues list_exchanges list_bindings list_connections status cluster_status"
_SYSTEMCTL_READS = "status is-active is-enabled is-failed list-units list-unit-files list-timers show cat"
# program -> (words of subcommands that read, words that destroy, name of the system). All other subcommands write.
CLIENTS: dict[str, tuple[frozenset[str], frozenset[str], str]] = {
    program: (frozenset(reads.split()), frozenset(destroys.split()), system)
    for program, reads, destroys, system in (
        ("kubectl", _KUBECTL_READS, "delete drain", "kubernetes"),
        ("oc", "get describe logs top explain version status whoami projects", "delete", "kubernetes"),
        ("helm", _HELM_READS, "uninstall delete", "kubernetes"),
        ("argocd", "list get diff history logs version", "delete", "argocd"),
        ("terraform", "plan validate show output graph version providers console", "destroy", "terraform"),
        ("tofu", "plan validate show output graph version providers console", "destroy", "terraform"),
        ("terragrunt", "plan validate show output version", "destroy", "terraform"),
        ("pulumi", "preview stack logs whoami version about", "destroy", "pulumi"),
        ("ansible-playbook", "--check --list-tasks --syntax-check", "", "ansible"),
        ("ansible", "", "", "ansible"),
        ("vault", "read list status version", "delete destroy", "vault"),
        ("heroku", "logs ps apps info config:get releases status", "apps:destroy pg:reset", "heroku"),
        ("fly", "status logs info list version", "destroy", "fly"),
        ("flyctl", "status logs info list version", "destroy", "fly"),
        ("vercel", "ls list logs inspect whoami", "rm remove", "vercel"),
        ("netlify", "status watch open", "sites:delete", "netlify"),
        ("wrangler", "tail whoami", "delete", "cloudflare"),
        ("firebase", "projects:list apps:list", "firestore:delete", "firebase"),
        ("supabase", "status", "", "supabase"),
        ("stripe", "logs listen status version", "", "stripe"),
        ("doctl", "", "", "digitalocean"),
        ("rabbitmqctl", _RABBIT_READS, "delete_queue purge_queue reset", "rabbitmq"),
        ("systemctl", _SYSTEMCTL_READS, "", "services"),
        ("launchctl", "list print", "", "services"),
        ("service", "--status-all", "", "services"),
        ("supervisorctl", "status tail", "", "services"),
        ("pm2", "list ls logs show status monit", "delete kill", "services"),
        ("brew", "list info search outdated doctor config deps leaves --version", "", "packages"),
        ("apt", "list search show policy", "purge", "packages"),
        ("apt-get", "check changelog", "purge", "packages"),
        ("dnf", "list search info repolist", "", "packages"),
        ("yum", "list search info repolist", "", "packages"),
        ("apk", "info search list", "", "packages"),
        ("gem", "list search info env", "push yank", "packages"),
        ("conda", "list info search", "", "packages"),
    )
}

# Local file programs -> (operation, reversible, does it destroy). The resource is their last word that is no option.
FILE_PROGRAMS: dict[str, tuple[str, str, bool]] = {
    "rm": ("delete", "no", True),
    "unlink": ("delete", "no", True),
    "shred": ("delete", "no", True),
    "rmdir": ("delete", "yes", False),
    "trash": ("delete", "yes", False),
    "mv": ("move", "yes", False),
    "cp": ("copy", "unknown", False),
    "ln": ("link", "yes", False),
    "install": ("copy", "unknown", False),
    "mkdir": ("create", "yes", False),
    "touch": ("create", "yes", False),
    "truncate": ("truncate", "no", True),
    "chmod": ("chmod", "unknown", False),
    "chown": ("chown", "unknown", False),
    "chgrp": ("chown", "unknown", False),
    "split": ("write", "yes", False),
    "unzip": ("extract", "unknown", False),
    "zip": ("write", "yes", False),
    "gzip": ("write", "yes", False),
    "gunzip": ("extract", "yes", False),
    "patch": ("edit", "yes", False),
    "mktemp": ("create", "yes", False),
    "mkfs": ("format", "no", True),
    "gcc": ("build", "yes", False),
    "g++": ("build", "yes", False),
    "clang": ("build", "yes", False),
    "convert": ("write", "unknown", False),
    "ffmpeg": ("write", "unknown", False),
    "pandoc": ("write", "unknown", False),
    "ssh-keygen": ("create", "unknown", False),
    "codesign": ("write", "unknown", False),
}

SQL_CLIENTS: dict[
    str, tuple[str, frozenset[str], frozenset[str]]
] = {  # system, options with SQL, options with a database
    "psql": ("postgres", frozenset({"-c", "--command"}), frozenset({"-d", "--dbname"})),
    "mysql": ("mysql", frozenset({"-e", "--execute"}), frozenset({"-D", "--database"})),
    "mariadb": ("mysql", frozenset({"-e", "--execute"}), frozenset({"-D", "--database"})),
    "sqlite3": ("sqlite", frozenset({"-cmd"}), frozenset()),
    "duckdb": ("duckdb", frozenset({"-c"}), frozenset()),
    "clickhouse-client": ("clickhouse", frozenset({"-q", "--query"}), frozenset({"-d", "--database"})),
    "clickhouse": ("clickhouse", frozenset({"-q", "--query"}), frozenset({"-d", "--database"})),
    "sqlcmd": ("sqlserver", frozenset({"-Q", "-q"}), frozenset({"-d"})),
    "snowsql": ("snowflake", frozenset({"-q", "--query"}), frozenset({"-d"})),
}

GIT_READS = words(
    """
    status log diff show blame annotate grep ls-files ls-tree ls-remote rev-parse rev-list describe shortlog
    cat-file fetch for-each-ref merge-base name-rev check-ignore check-attr count-objects fsck var version help
    whatchanged diff-tree diff-index diff-files range-diff cherry verify-commit verify-tag show-ref show-branch
    get-tar-commit-id --version
    """
)
GIT_LOCAL = {  # reversible; others of git's subcommands are unknown
    **dict.fromkeys(
        words(
            """
            add commit merge rebase cherry-pick revert pull clone init mv tag switch am apply checkout branch worktree
            bisect notes config remote stash submodule reset
            """
        ),
        "yes",
    ),
    **dict.fromkeys(words("clean restore gc prune"), "no"),
}
