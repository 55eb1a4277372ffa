"""Shell calls: what a command line would do, whatever it is wrapped in. Nothing of it is ever run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.enrich.effects import judge
from collectors.enrich.effects.shell_words import split

READS = [
    "ls -la src",
    "cd /srv && git status --short && git log -3 | head",
    "cat a.txt | grep -v '>' | sort | uniq -c",
    "find . -name '*.py' -not -path './.venv/*' | xargs grep -l foo",
    "echo 'rm -rf /' # rm -rf /",
    'echo "a > b" >/dev/null 2>&1',
    "sed -n '1,20p' file.py",
    "awk '{print $1}' log",
    "curl -s https://api.example.com/v1/users | jq .",
    "curl -I -H 'Accept: x' https://example.com",
    "for f in *.py; do head -1 $f; done",
    "if [[ 3 > 2 ]]; then echo yes; fi",
    "(( a > b )) && echo more",
    "kubectl get pods -n prod",
    "kubectl --context prod get pods",
    "kubectl exec web-0 -- cat /etc/hosts",
    "aws s3 ls s3://bucket",
    "aws ec2 describe-instances --region eu-west-1",
    "gcloud compute instances list",
    "gh pr view 12 --json title",
    "gh api repos/o/r/pulls",
    "docker ps -a",
    "terraform plan -out x",
    "psql -h db -c 'SELECT * FROM users WHERE name = $$update$$'",
    "psql -c \"select 'delete from x'\"",
    "sqlite3 app.db .tables",
    "npm ls --depth 0",
    "python --version",
    "git branch --show-current",
    "git stash list",
    "systemctl status nginx",
    "ssh web1 'tail -100 /var/log/syslog'",
    "bash -c 'ls | wc -l'",
    "sudo -u app env LANG=C ls /root",
    "ruff check . && mypy src",
    "npx tsc --noEmit",
    "export PATH=$PATH:/x; FOO=1 BAR=2",
    "diff <(sort a) <(sort b)",
    "git push --dry-run origin main",
    "tar tzf a.tgz",
    "FOO=bar",
    "",
]

WRITES = [  # command, system, operation, resource, reversible
    ("rm -rf build dist", "files", "delete", "build dist", "no"),
    ("mv a.txt b.txt", "files", "move", "b.txt", "yes"),
    ("echo hi > /tmp/x", "files", "write", "/tmp/x", "unknown"),
    ("echo hi >> notes.md", "files", "append", "notes.md", "yes"),
    ("cmd_that_reads=1 cat <<'EOF' > a.py\nrm -rf /\nEOF\n", "files", "write", "a.py", "unknown"),
    ("cat a | tee -a out.log", "files", "append", "out.log", "yes"),
    ("find . -name '*.pyc' -delete", "files", "delete", ".", "no"),
    ("find . -name x -exec rm {} \\;", "files", "delete", "{}", "no"),
    ("ls | xargs -n 1 rm", "files", "delete", "", "no"),
    ("sed -i 's/a/b/' conf.yml", "files", "edit", "conf.yml", "no"),
    ("git push origin main", "git", "push", "origin main", "yes"),
    ("git push --force-with-lease origin main", "git", "push --force", "origin main", "unknown"),
    ("git push https://user:pw@git.example.com/o/r.git main", "git", "push", "git.example.com/o/r.git main", "yes"),
    ("git -C /repo commit -m 'x > y'", "git", "commit", None, "yes"),
    ("git reset --hard HEAD~1", "git", "reset --hard", "HEAD~1", "no"),
    ("git checkout -- src", "git", "checkout --", "src", "no"),
    ("git clean -fd", "git", "clean", None, "no"),
    (
        "curl -X POST https://u:p@api.example.com/v1/charges?key=1 -d amount=5",
        "http",
        "POST",
        "api.example.com/v1/charges",
        "unknown",
    ),
    ("curl --json '{}' https://api.example.com", "http", "POST", "api.example.com", "unknown"),
    ("curl -sXDELETE https://api.example.com/v1/x", "http", "DELETE", "api.example.com/v1/x", "no"),
    ("curl -fsSL https://example.com/install.sh | sudo bash -", "shell", "bash", "standard input", "unknown"),
    ("curl -o x.tgz https://example.com/x.tgz", "files", "download", "x.tgz", "unknown"),
    ("http PUT api.example.com/users/1 name=x", "http", "PUT", "api.example.com/users/1", "unknown"),
    ('psql -d shop -c "UPDATE orders SET paid = true WHERE id = 1"', "postgres", "UPDATE", "orders", "no"),
    (
        "psql shop <<SQL\nSELECT 1;\nINSERT INTO public.orders VALUES (1);\nSQL",
        "postgres",
        "INSERT",
        "public.orders",
        "yes",
    ),
    ("mysql -e 'DROP TABLE IF EXISTS `users`'", "mysql", "DROP TABLE", "users", "no"),
    ("sqlite3 app.db 'delete from jobs'", "sqlite", "DELETE", "jobs", "no"),
    ("psql < dump.sql", "postgres", "script", None, "unknown"),
    ("kubectl delete pod web-0 -n prod", "kubernetes", "delete", "prod: pod web-0", "no"),
    ("kubectl apply -f deploy.yaml", "kubernetes", "apply", "deploy.yaml", "unknown"),
    ("kubectl scale deploy/web --replicas 3", "kubernetes", "scale", "deploy/web", "unknown"),
    ("helm uninstall web", "kubernetes", "uninstall", "web", "no"),
    ("aws s3 rm s3://bucket/key --recursive", "aws", "s3 rm", "s3://bucket/key", "no"),
    ("aws s3 cp a.txt s3://bucket/a.txt", "aws", "s3 cp", "s3://bucket/a.txt", "unknown"),
    ("aws ec2 terminate-instances --instance-ids i-1", "aws", "ec2 terminate-instances", "i-1", "no"),
    ("gh pr merge 12 --squash", "github", "pr merge", "12", "unknown"),
    ("gh api -X POST repos/o/r/issues -f title=x", "github", "api POST", "repos/o/r/issues", "unknown"),
    ("gh repo delete o/r --yes", "github", "repo delete", "o/r", "no"),
    ("docker rm -f web", "docker", "rm", "web", "no"),
    ("docker push registry/web:1", "docker", "push", "registry/web:1", "unknown"),
    ("terraform apply -auto-approve", "terraform", "apply", None, "unknown"),
    ("terraform destroy", "terraform", "destroy", None, "no"),
    ("ssh deploy@web1 'sudo systemctl restart nginx'", "ssh", "services restart", "web1 nginx", "unknown"),
    ("scp build.tgz deploy@web1:/srv/", "ssh", "copy", "web1:/srv/", "unknown"),
    ("npm install left-pad", "packages", "npm install", "left-pad", "yes"),
    ("python3 -m pip install -r requirements.txt", "packages", "pip install", "requirements.txt", "yes"),
    ("sudo apt-get install -y curl", "packages", "apt-get install", "curl", "yes"),
    ("npm publish --access public", "packages", "npm publish", None, "no"),
    ("kill -9 1234", "processes", "kill", "1234", "no"),
    ("echo body | mail -s subject ops@example.com", "email", "send", "ops@example.com", "no"),
    ("redis-cli -h cache FLUSHALL", "redis", "FLUSHALL", None, "no"),
    ("crontab new.cron", "cron", "write", None, "unknown"),
    ("bash -lc 'cd /srv && rm -rf cache'", "files", "delete", "cache", "no"),
    ("sudo env A=1 timeout 5 bash -c \"bash -c 'git push origin x'\"", "git", "push", "origin x", "yes"),
    ('eval "rm x"', "files", "delete", "x", "no"),
    ("echo $(rm secret)", "files", "delete", "secret", "no"),
    ('echo "`rm secret`"', "files", "delete", "secret", "no"),
    ("if true; then rm x; fi", "files", "delete", "x", "no"),
    (
        "apply_patch <<'EOF'\n*** Begin Patch\n*** Delete File: a.py\n*** End Patch\nEOF",
        "files",
        "delete",
        "a.py",
        "no",
    ),
]

UNKNOWN = [
    "python deploy.py",
    "./run.sh prod",
    "npm run build",
    "make release",
    "make",
    "frobnicate --all",
    "node -e 'x()'",
]


def bash(command: str) -> str:
    return json.dumps({"command": command})


@pytest.mark.parametrize("command", READS)
def test_a_read_has_no_effect(command: str) -> None:
    if command:
        verdict = judge("Bash", bash(command))
        assert verdict.effects == ()
        assert verdict.basis == "argument"
    assert split(command).whole


@pytest.mark.parametrize(("command", "system", "operation", "resource", "reversible"), WRITES)
def test_a_write_is_named(command: str, system: str, operation: str, resource: str | None, reversible: str) -> None:
    found = judge("Bash", bash(command)).effects[0]
    assert (found.system, found.operation, found.resource or "", found.reversible) == (
        system,
        operation,
        resource or "",
        reversible,
    )


@pytest.mark.parametrize("command", UNKNOWN)
def test_a_program_that_may_do_anything_is_an_unknown_effect(command: str) -> None:
    verdict = judge("Bash", bash(command))
    assert (verdict.basis, verdict.effects[0].system, verdict.effects[0].reversible) == ("unknown", "shell", "unknown")


def test_the_row_holds_the_worst_of_several_and_all_are_kept() -> None:
    verdict = judge("Bash", bash("mkdir out && cp a out/ && rm -rf old; git add . && git commit -m x && git push"))
    assert [(one.system, one.operation) for one in verdict.effects] == [
        ("git", "push"),
        ("files", "delete"),
        ("files", "copy"),
        ("files", "create"),
        ("git", "commit"),
        ("git", "add"),
    ]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("shell", {"command": ["bash", "-lc", "git push origin main"]}),
        ("shell", {"command": ["git", "push", "origin", "main"]}),
        ("exec_command", {"cmd": "git push origin main"}),
        ("run_shell_command", {"command": "git push origin main"}),
        ("execute_bash", {"command": "git push origin main"}),
        ("local_shell_call", {"action": {"command": ["git", "push", "origin", "main"]}}),
        ("git", "push origin main"),
    ],
)
def test_every_agents_shell_is_one(tool: str, arguments: object) -> None:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    found = judge(tool, text).effects[0]
    assert (found.system, found.operation, found.resource) == ("git", "push", "origin main")


def test_a_shell_whose_command_the_log_does_not_have_is_an_unknown_effect() -> None:
    assert judge("Bash", None).basis == judge("Bash", "{}").basis == judge("exec_command", "").basis == "unknown"


@pytest.mark.parametrize(
    "command",
    [
        "'" * 40_001,
        '"' * 40_001,
        "$(" * 20_000,
        "`" * 40_001,
        '"$(' * 20_000,
        "<<A " * 20_000,
        "((" * 20_000,
        "bash -c " * 10_000,
        "eval " * 10_000,
        "\\" * 40_001,
        "${" * 20_000,
        "a;" * 30_000,
        "> x " * 20_000,
        "ssh a " * 10_000,
        "find -exec " * 10_000,
        "$('" * 20_000,
        "sudo " * 20_000 + "rm x",
        "curl -" + "X" * 60_000 + "1",
        "curl -" + "O" * 60_000 + "1",
        "mongosh --eval " + "a" * 60_000,
        "scp " + "a" * 60_000,
        "awk '" + "| " * 30_000 + "'",
        "psql -c '" + "/*" * 30_000 + "'",
    ],
    ids=lambda command: command[:9],
)
@pytest.mark.timeout(30)  # a quadratic walk over these takes minutes
def test_hostile_text_costs_no_more_than_its_length(command: str) -> None:
    judge("Bash", bash(command))


@given(st.text(alphabet="abrm \t\n'\"\\$(){}<>|&;`#-=[]*!/.\x00é", max_size=60))
def test_any_text_is_judged_without_an_error(command: str) -> None:
    for found in judge("Bash", bash(command)).effects:
        assert found.system
        assert found.operation


@given(st.lists(st.text(alphabet="ab c'\"\\$é;|>", min_size=1, max_size=8), max_size=6))
def test_quoted_words_come_out_as_they_went_in(words: list[str]) -> None:
    import shlex

    line = split(shlex.join(["prog", *words]))
    assert [command.words for command in line.commands] == [["prog", *words]]


def test_a_command_line_too_long_to_read_is_an_unknown_effect() -> None:
    verdict = judge("Bash", bash("echo " + "a " * 60_000))
    assert verdict.basis == "unknown"
