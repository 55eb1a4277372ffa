"""What the operator says of the files: where they are, and, if need be, their format and the agent they are of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from collectors.discover import Selection
from collectors.formats import FORMATS, by_name
from collectors.formats.base import Format
from collectors.formats.own_json import NAME as OWN_JSON
from collectors.formats.own_json import OwnJson
from collectors.formats.own_mapping import OwnMapping
from collectors.tail.names import shown


class CollectError(Exception):
    """The collector cannot do what was asked; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One `[[source]]`: a file, folder or glob. Without a format each file is recognised by content.

    `mapping`: how your own JSON is read, with the format's name `json`.
    """

    path: str | os.PathLike[str]
    format_name: str | None = None
    agent: str | None = None
    mapping: OwnMapping | None = None


class Declarations:
    """Of several sources that find the same file, the first one counts."""

    def __init__(self, sources: Iterable[Declared]) -> None:
        """CollectError where there is no format of that name."""
        own = list(sources)
        self.selection = Selection([source.path for source in own])
        self._each = [(Selection([one.path]), _form(one), one.agent) for one in own]
        self._says_nothing = all(form is None and agent is None for _, form, agent in self._each)

    def form_of(self, path: str) -> Format | None:
        """The format that the file is read as; None: recognise it."""
        return self._of(path)[0]

    def agent_of(self, path: str) -> str | None:
        """The agent that its lines are of where they name none; None: the format's own name."""
        return self._of(path)[1]

    def _of(self, path: str) -> tuple[Format | None, str | None]:
        if self._says_nothing:
            return None, None
        for selection, form, agent in self._each:
            if selection.accepts(path) or selection.is_family(path):
                return form, agent
        return None, None


def _form(source: Declared) -> Format | None:
    name = source.format_name
    if source.mapping is not None:
        return OwnJson(source.mapping)
    if name is None:
        return None
    if name == OWN_JSON:
        raise CollectError(
            "format json is your own: its [[source]] in andon.toml says in [source.fields] how to read it"
        )
    form = by_name(name)
    if form is None:
        known = ", ".join([*(one.name for one in FORMATS), OWN_JSON])
        raise CollectError(f"{shown(name)} is not a format that Andon reads; it reads {known}")
    return form
