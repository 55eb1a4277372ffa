"""File tools: what was written, by the path in the arguments."""

from __future__ import annotations

import re
from typing import Any

from collectors.enrich.effects.verdict import DESTROYS, LOCAL, READ_BY_ARGUMENT, Found, Verdict, one, verdict_of
from collectors.enrich.effects.words import words

_PATHS = (
    "file_path",
    "filePath",
    "path",
    "notebook_path",
    "absolute_path",
    "filename",
    "file",
    "target_file",
    "file_name",
    "filepath",
    "destination",
    "dir",
    "directory",
)
# name -> (operation, reversible). What overwrites cannot tell what was there before; an edit says what it replaced.
_WRITERS = {
    **dict.fromkeys(words("write write_file writefile save_file write_to_file create_text_file"), ("write", "unknown")),
    **dict.fromkeys(words("create create_file new_file touch_file"), ("create", "unknown")),
    **dict.fromkeys(
        words(
            """
            edit edit_file multiedit multi_edit str_replace replace insert str_replace_based_edit replace_in_file
            search_replace append_file insert_line edit_block file_edit insert_edit_into_file replace_string_in_file
            """
        ),
        ("edit", "yes"),
    ),
    **dict.fromkeys(words("notebookedit edit_notebook edit_notebook_file"), ("edit", "unknown")),
    **dict.fromkeys(words("delete_file remove_file delete_directory rm"), ("delete", "no")),
    **dict.fromkeys(words("move_file rename_file"), ("move", "yes")),
    **dict.fromkeys(words("copy_file"), ("copy", "unknown")),
    **dict.fromkeys(words("create_directory mkdir"), ("create", "yes")),
}
_PATCHERS = frozenset({"apply_patch", "patch", "applypatch", "apply_diff"})
# One tool with its operation in an argument, as Anthropic's text editor and those made after it.
_EDITORS = frozenset({"str_replace_editor", "str_replace_based_edit_tool", "text_editor", "file_editor", "editor"})
_EDITOR_READS = frozenset({"view", "read", "open", "find", "search"})
_EDITOR_CALL = re.compile(r"'command': '(\w+)'")
_EDITOR_REVERSIBLE = {"str_replace": "yes", "insert": "yes", "undo_edit": "unknown", "create": "unknown"}
_IN_PATCH = re.compile(
    r"^(?:\*\*\* (?P<verb>Add|Update|Delete) File: (?P<file>.+)|\*\*\* Move to: (?P<to>.+)"
    r"|\+\+\+ (?:b/)?(?P<diff>\S.*))$",
    re.MULTILINE,
)
_MAX_FILES = 50
_TYPES = {"add": "Add", "update": "Update", "delete": "Delete"}
_VERBS = {"Add": ("create", "yes"), "Update": ("edit", "yes"), "Delete": ("delete", "no")}


def path_in(arguments: dict[str, Any]) -> str | None:
    """The path that a file tool was given."""
    return next((value for key in _PATHS if isinstance(value := arguments.get(key), str) and value), None)


def judge(low: str, arguments: dict[str, Any] | None, text: str | None) -> Verdict | None:
    """A file tool, known by its name (lower case); None where it is none. `text`: arguments that are no object."""
    if low in _PATCHERS:
        return _patched(arguments, text)
    if low in _EDITORS:
        return _edited(arguments)
    operation = _WRITERS.get(low)
    if operation is None:
        return None
    if arguments is None:
        name, reversible = operation
        return one("files", name, None, reversible, basis="name" if text is None else "argument", weight=LOCAL)
    path = path_in(arguments) or _typed(low, arguments)
    if path == "" and low in ("create", "edit", "insert"):
        reversible = "yes" if low == "insert" else "unknown"
        return one("files", operation[0], None, reversible, weight=LOCAL)
    if path is None and low in ("replace", "insert", "create", "edit", "write", "patch") and arguments:
        return None  # a word of many meanings, and no path: not this kind of tool
    name, reversible = operation
    if name == "edit" and not _says_what_was(arguments):
        reversible = "unknown"
    if low in ("write_file", "write") and arguments.get("append") is True:
        reversible = "yes"
    return one("files", name, path, reversible, weight=DESTROYS if name == "delete" else LOCAL)


def patched_files(patch: str) -> list[Found]:
    """The files that a patch changes: the `*** Update File:` form, or a unified diff."""
    found = []
    for match in _IN_PATCH.finditer(patch):
        if match["verb"]:
            operation, reversible = _VERBS[match["verb"]]
            found.append(
                Found(
                    "files", operation, match["file"].strip(), reversible, DESTROYS if operation == "delete" else LOCAL
                )
            )
        elif match["diff"] and match["diff"] != "/dev/null":
            found.append(Found("files", "edit", match["diff"].split("\t")[0], "yes", LOCAL))
        elif match["to"]:
            found.append(Found("files", "move", match["to"].strip(), "yes", LOCAL))
        if len(found) >= _MAX_FILES:
            break
    return found


def _patched(arguments: dict[str, Any] | None, text: str | None) -> Verdict:
    patch = text
    if arguments is not None:
        patch = next(
            (value for key in ("input", "patch", "diff", "patchText") if isinstance(value := arguments.get(key), str)),
            None,
        )
    found = patched_files(patch) if patch else _listed(arguments)
    if found:
        return verdict_of(found)
    path = path_in(arguments) if arguments else None
    return one("files", "patch", path, "unknown", weight=LOCAL, basis="name" if path is None else "argument")


def _listed(arguments: dict[str, Any] | None) -> list[Found]:
    """The form of a patch that names its files as keys: {"/a/b.txt": {"type": "update", …}}."""
    found = []
    for path, change in list((arguments or {}).items())[:_MAX_FILES]:
        kind = change.get("type") if isinstance(change, dict) else None
        if kind in _TYPES:
            operation, reversible = _VERBS[_TYPES[kind]]
            found.append(Found("files", operation, path, reversible, DESTROYS if operation == "delete" else LOCAL))
    return found


def _edited(arguments: dict[str, Any] | None) -> Verdict:
    command = arguments.get("command") if arguments else None
    if command is None and arguments and isinstance(code := arguments.get("translated_ipython_code"), str):
        called = _EDITOR_CALL.search(code)  # OpenHands keeps the call as the Python that it ran
        command = called[1] if called else None
    if not isinstance(command, str) or arguments is None:
        return one("files", "edit", None, "unknown", weight=LOCAL, basis="name")
    if command in _EDITOR_READS:
        return READ_BY_ARGUMENT
    return one("files", command[:40], path_in(arguments), _EDITOR_REVERSIBLE.get(command, "unknown"), weight=LOCAL)


def _says_what_was(arguments: dict[str, Any]) -> bool:
    """True where the arguments of an edit hold what it replaced, or only add something."""
    return any(key.startswith(("old", "edits", "diff", "search", "insert", "new_str")) for key in arguments)


def _typed(low: str, arguments: dict[str, Any]) -> str | None:
    """The path of a tool that is typed as a command, `create reproduce.py`; "" where it names none; None otherwise."""
    typed = arguments.get("command")
    if not isinstance(typed, str) or len(arguments) > 1 or typed[: len(low)].lower() != low:
        return None
    words = typed.split(None, 2)
    return words[1].strip("\"'") if low == "create" and len(words) > 1 else ""
