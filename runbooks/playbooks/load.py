"""Runbooks as Markdown: front matter says what it is for, a task list says what to do.

The front matter is `key: value` lines between two `---`; a list is `[a, b]`. It is text and nothing else: no
types to guess, no anchors, no objects. A step is an item of the top-level task list; where its first line ends
in code (`K`), that is the console key that does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin
from mdit_py_plugins.tasklists import tasklists_plugin
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from store.record.window import TimeError, parse_age

LARGEST_BYTES = 256 * 1024
SHIPPED = Path(__file__).parent


class PlaybookError(Exception):
    """A runbook cannot be used; the message names the file, the key and what to write instead."""


@dataclass(frozen=True, slots=True)
class Step:
    """`number` counts from 1; `body` is Markdown as it was written; `key` is the console key that does it."""

    number: int
    title: str
    body: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Playbook:
    name: str
    title: str
    severity: str  # SEV1, SEV2 or SEV3
    about: str  # Markdown before the first step
    steps: tuple[Step, ...]
    alerts: tuple[str, ...] = ()  # the classes of alert it answers
    agents: tuple[str, ...] = ()  # only for these; empty is any
    escalate_after_ns: int | None = None


class _FrontMatter(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: str = Field(min_length=1, max_length=120)
    severity: Literal["SEV1", "SEV2", "SEV3"]
    alerts: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    escalate_after: int | None = None

    @field_validator("escalate_after", mode="before")
    @classmethod
    def _age(cls, value: object) -> int:
        try:
            return parse_age(str(value))
        except TimeError as error:
            raise ValueError(str(error)) from None


def load_playbooks(extra: Path | None = None) -> dict[str, Playbook]:
    """The shipped runbooks and those of the folder `extra`, by name; one of `extra` replaces a shipped one.

    A folder that does not exist holds none. PlaybookError for the first file that cannot be used.
    """
    books = _folder(SHIPPED)
    if extra is not None and extra.exists():
        books |= _folder(extra)
    return books


def parse_playbook(text: str, where: str) -> Playbook:
    """Read one runbook; `where` is what errors call it. PlaybookError says what is wrong."""
    tokens = _markdown().parse(text)
    if not tokens or tokens[0].type != "front_matter":
        raise PlaybookError(f"{where}: it must begin with front matter between two lines of ---")
    try:
        front = _FrontMatter.model_validate(_front_matter(tokens[0].content, where))
    except ValidationError as error:
        raise PlaybookError(f"{where}: {_first_problem(error)}") from None
    lines = text.splitlines()
    task_list = _task_list(tokens)
    if task_list is None:
        raise PlaybookError(f"{where}: it has no step; write steps as a list of `- [ ] what to do`")
    about = "\n".join(lines[_end(tokens[0]) : _begin(tokens[task_list])]).strip()
    steps = tuple(_steps(tokens, task_list, lines, where))
    return Playbook(
        name=front.name,
        title=front.title,
        severity=front.severity,
        about=about,
        steps=steps,
        alerts=front.alerts,
        agents=front.agents,
        escalate_after_ns=front.escalate_after,
    )


def _folder(folder: Path) -> dict[str, Playbook]:
    books: dict[str, Playbook] = {}
    try:
        for path in sorted(folder.glob("*.md")):
            if path.stat().st_size > LARGEST_BYTES:
                raise PlaybookError(f"{path}: larger than {LARGEST_BYTES // 1024} KiB, which is no runbook")
            book = parse_playbook(path.read_text(encoding="utf-8"), str(path))
            if book.name in books:
                raise PlaybookError(f"{path}: another file of this folder already has the name {book.name}")
            books[book.name] = book
    except (OSError, UnicodeDecodeError) as error:
        raise PlaybookError(f"{folder}: a runbook cannot be read: {error}") from None
    return books


def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark").use(front_matter_plugin).use(tasklists_plugin)


def _front_matter(text: str, where: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for number, line in enumerate(text.splitlines(), start=2):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([a-z_]+):\s*(.*?)\s*", line)
        if match is None:
            raise PlaybookError(f"{where}, line {number}: write `key: value`, or `key: [a, b]` for a list")
        key, value = match[1], match[2]
        if key in values:
            raise PlaybookError(f"{where}, line {number}: {key} is given twice")
        listed = re.fullmatch(r"\[(.*)\]", value)
        values[key] = value if listed is None else tuple(part.strip() for part in listed[1].split(",") if part.strip())
    return values


def _task_list(tokens: list[Token]) -> int | None:
    return next(
        (
            index
            for index, token in enumerate(tokens)
            if token.level == 0 and token.nesting == 1 and "contains-task-list" in str(token.attrGet("class"))
        ),
        None,
    )


def _steps(tokens: list[Token], task_list: int, lines: list[str], where: str) -> Iterator[Step]:
    number = 0
    for index in range(task_list + 1, len(tokens)):
        token = tokens[index]
        if token.level == 0:
            break
        if token.type != "list_item_open" or token.level != 1:
            continue
        number += 1
        head = tokens[index + 2]
        if token.attrGet("class") != "task-list-item" or head.type != "inline":
            raise PlaybookError(f"{where}: step {number} is not written as `- [ ] what to do`")
        title, key = _title(head)
        if not title:
            raise PlaybookError(f"{where}: step {number} has no title")
        yield Step(number, title, _dedent(lines[_end(head) : _end(token)]), key)


def _title(head: Token) -> tuple[str, str | None]:
    children = [child for child in head.children or [] if child.type != "html_inline" and child.content]
    key = None
    if children and children[-1].type == "code_inline":
        key = children.pop().content.strip()
    return " ".join("".join(child.content for child in children).split()), key


def _dedent(lines: list[str]) -> str:
    filled = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    return "\n".join(line[margin:].rstrip() for line in lines).strip()


def _begin(token: Token) -> int:
    assert token.map is not None
    return token.map[0]


def _end(token: Token) -> int:
    assert token.map is not None
    return token.map[1]


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {where}"
    if first["type"] == "missing":
        return f"the key {where} is missing"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
