"""Every key of the console, once: screens take their bindings from here, help and README their tables."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    key: str  # as Textual names it
    action: str
    word: str  # on the last line
    says: str  # in the help
    shown: str = ""  # how the key is written, where its name is not
    changes: bool = False  # it changes the world: greyed out in read-only mode
    listed: bool = True  # on the last line of its screen


KEYS = (
    Key("enter", "open", "open", "open what the cursor is on", "Enter"),
    Key("K", "stop", "stop", "stop: shows what it hits, asks for a code, proves it", changes=True),
    Key("A", "arm", "arm", "start again what is off: asks for a reason and a code", changes=True),
    Key("b", "blast", "blast", "blast radius: what was written outside"),
    Key("r", "runbook", "runbook", "the runbook of what the cursor is on"),
    Key("x", "tick", "tick", "tick a step off, or take the tick back", changes=True),
    Key("n", "note", "note", "write a note to the incident", changes=True),
    Key("i", "incident", "incident", "open an incident", changes=True),
    Key("I", "incidents", "incidents", "the incidents, newest first", listed=False),
    Key("e", "export", "export", "write a bundle; says where it is"),
    Key("s", "sessions", "sessions", "sessions, newest first"),
    Key("t", "window", "time", "time window: 15 m, 1 h, 24 h, 7 d"),
    Key("slash", "find", "find", "filter the list", "/"),
    Key("o", "scope", "scope", "blast radius: of the next scope: agent, session, tenant, user, everything"),
    Key("o", "order", "order", "sort the list anew: next order"),
    Key("space", "pause", "pause", "hold the screen at this moment, or go on live", "Space", listed=False),
    Key("colon", "palette", "keys", "run an action by its name", ":", listed=False),
    Key("question_mark", "help", "help", "this page", "?", listed=False),
    Key("escape", "back", "back", "one step back", "Esc", listed=False),
    Key("q", "leave", "quit", "leave the console; asks first", listed=False),
)
_BY_ACTION = {key.action: key for key in KEYS}
_SHARED = ("incidents", "pause", "palette", "help", "back", "leave")
CHANGES = frozenset(key.action for key in KEYS if key.changes)


def bindings(*actions: str) -> list[BindingType]:
    """The bindings of a screen: the named ones on its last line, then those every screen has."""
    names = [*actions, *(name for name in _SHARED if name not in actions)]
    return [_binding(_BY_ACTION[name]) for name in names]


def dialog_bindings(*actions: str) -> list[BindingType]:
    """The bindings of a dialog: nothing but these."""
    return [_binding(_BY_ACTION[name]) for name in actions]


def key_of(action: str) -> Key | None:
    return _BY_ACTION.get(action)


def label(key: Key) -> str:
    return key.shown or key.key


def key_table() -> list[tuple[str, str]]:
    """(key, what it does) for the help screen and the README."""
    moving = [("↑ ↓ j k", "move the cursor; PageUp, PageDown, g, G for more"), ("Tab", "the next list or field")]
    return [(label(key), key.says) for key in KEYS] + moving


def _binding(key: Key) -> Binding:
    return Binding(key.key, key.action, key.word, show=key.listed, key_display=label(key))
