"""What a tool call did outside, told by its arguments and its name. Nothing is executed, opened or resolved.

`judge(tool, arguments)` asks the kinds of tool in turn: an MCP server's, a shell, a file tool, a browser, SQL, HTTP;
then the name's verbs. What no kind knows is an effect of unknown kind: erring to a write that nobody made is better
than hiding one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from collectors.enrich.effects import browser, files, http, mcp, names, shell, sql
from collectors.enrich.effects.verdict import READ_BY_NAME, Found, Verdict, one
from collectors.enrich.effects.words import words

__all__ = ["Found", "Verdict", "judge"]

SHELL_TOOLS = words(
    """
    bash shell exec_command run_command run_shell_command execute_bash run_terminal run_terminal_cmd
    run_in_terminal shell_exec shell_command execute_command terminal execute exec local_shell local_shell_call
    container.exec cmd powershell bash_command run_bash execute_shell unified_exec launch-process run
    """
)
PROGRAMS = words("git gh kubectl helm docker aws gcloud terraform npm psql curl")
CODE_TOOLS = words(
    """
    execute_ipython_cell python code_interpreter execute_code run_python python_repl repl js_repl jupyter run_code
    """
)
SHELL_INPUTS = words(
    """
    write_stdin write_bash bash_input send_input connect_sendline connect_exec send_keys connect_start
    """
)
SHELL_ENDS = words(
    """
    killbash killshell kill_bash kill_shell stop_bash bashkill bash_kill kill_terminal connect_stop
    """
)
_COMMAND_KEYS = (
    "command",
    "cmd",
    "args",
    "script",
    "commands",
    "input",
    "shell_command",
    "CommandLine",
    "action",
    "code",
)
_RESOURCE_KEYS = (
    *("to", "recipient", "recipients", "to_email", "email", "channel", "channel_id", "phone", "phone_number"),
    *("table", "table_name", "collection", "bucket", "repo", "repository", "url", "path", "file_path"),
    *("resource", "resource_id", "customer_id", "user_id", "account_id", "order_id", "invoice_id", "ticket_id"),
    *("issue_number", "issue_key", "page_id", "document_id", "project", "id", "name", "title"),
)
_SHELL_ID_KEYS = ("shell_id", "bash_id", "sessionId", "session_id", "id")
_MAX_RESOURCE = 200
_CACHED_CHARS = 300
_decode = msgspec.json.Decoder().decode


def judge(tool: str, text: str | None) -> Verdict:
    """What a call of `tool` with these arguments did. `text`: JSON or bare text; None: the arguments are not known."""
    if text is None or len(text) <= _CACHED_CHARS:
        return _remembered(tool, text)
    return _judge(tool, text)


def _judge(tool: str, text: str | None) -> Verdict:
    arguments, text = _arguments(text)
    if (parts := mcp.parts_of(tool)) is not None:
        server, own = parts
        if server in browser.SERVERS and (verdict := browser.judge(own.lower(), arguments)) is not None:
            effects = tuple(found._replace(system=server, operation=own, basis="name") for found in verdict.effects)
            return Verdict("name", effects)
        return mcp.judge(server, own, arguments, _resource(arguments))
    low = tool.lower()
    if low in names.INTERNAL:
        return READ_BY_NAME
    for kind in (_shell, files.judge):
        if (verdict := kind(low, arguments, text)) is not None:
            return verdict
    if (verdict := browser.judge(low, arguments)) is not None:
        return verdict
    if arguments:
        if (statements := sql.statements_of(arguments)) is not None:
            return sql.judge(statements, tool)
        if (verdict := http.judge(low, arguments)) is not None:
            return verdict
    return names.judge(tool, _resource(arguments))


_remembered = lru_cache(maxsize=4096)(_judge)


def _arguments(text: str | None) -> tuple[dict[str, Any] | None, str | None]:
    """(the arguments as an object, or None; the text where they are none). A string of JSON in JSON is opened once."""
    if text is None:
        return None, None
    value: Any = text
    for _ in range(2):
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
            break
        try:
            value = _decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            break
    if isinstance(value, dict):
        return value, text
    return None, value if isinstance(value, str) else text


def _shell(low: str, arguments: dict[str, Any] | None, text: str | None) -> Verdict | None:
    """A shell, or a tool that runs code; None where it is neither."""
    if low in SHELL_TOOLS:
        command = _command_in(arguments) if arguments is not None else text
        if isinstance(command, list):
            return shell.judge_words([word for word in command if isinstance(word, str)])
        if command:
            return shell.judge(command)
        if low in ("execute", "exec", "run", "terminal", "cmd") and arguments:
            return None  # a word of many meanings, and no command
        return one("shell", low, None, "unknown", basis="unknown")
    if low in PROGRAMS:
        given = _command_in(arguments) if arguments is not None else text
        if isinstance(given, list):
            return shell.judge_words([low, *(word for word in given if isinstance(word, str))])
        if given:
            return shell.judge(given if given.split(None, 1)[0] == low else f"{low} {given}")
    if low in CODE_TOOLS:
        return one("shell", low, None, "unknown", basis="unknown")
    if low in SHELL_INPUTS:
        sent = next(
            (
                value
                for key in ("chars", "input", "line", "text")
                if isinstance(value := (arguments or {}).get(key), str)
            ),
            None,
        )
        if sent is not None and not sent.strip():
            return READ_BY_NAME  # an empty write only waits for more output
        place = (arguments or {}).get("command")  # of a connection: its host and port
        resource = " ".join(place.split()[1:3]) if isinstance(place, str) and low == "connect_start" else None
        return one("shell", low, resource, "unknown", basis="unknown")
    if low in SHELL_ENDS:
        return one("processes", "kill", _resource_of(arguments, _SHELL_ID_KEYS), "no", basis="name")
    return None


def _command_in(arguments: dict[str, Any]) -> str | list[Any] | None:
    for key in _COMMAND_KEYS:
        value = arguments.get(key)
        if isinstance(value, str | list) and value:
            return value
        if isinstance(value, dict) and isinstance(inner := value.get("command"), str | list) and inner:
            return inner
    return None


def _resource(arguments: dict[str, Any] | None) -> str | None:
    """What a call was about: its recipient, table, path or id."""
    return _resource_of(arguments, _RESOURCE_KEYS)


def _resource_of(arguments: dict[str, Any] | None, keys: tuple[str, ...]) -> str | None:
    if not arguments:
        return None
    for key in keys:
        if (value := arguments.get(key)) is None:
            continue
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            value = ", ".join(value[:10])
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value:
            return http.place(value) if key == "url" else value[:_MAX_RESOURCE]
    return None
