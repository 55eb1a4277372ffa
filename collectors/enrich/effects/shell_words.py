"""A shell's command line as simple commands: words, redirections and here documents. Nothing is executed or expanded.

Quotes are taken off, `$NAME` stays as it stands. What a substitution (`$(…)`, backquotes, `<(…)`) would run is
handed out apart, for it runs too. Every step is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_CHARS = 65_536
MAX_COMMANDS = 300
_SPACE = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_OPERATOR = re.compile(r"\d*(?:<<<|<<-?|>>|>\||[<>]&|<>|[<>](?!\())|&>>?|\|\||&&|;;|\|&|[|&;()\n]")
_PLAIN = re.compile(r"[^\s'\"\\|&;()<>`$]+")
_WORD_END = frozenset(" \t\r\n|&;()<>")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(slots=True)
class Command:
    """One simple command. `piped`: its input is the output of the one before."""

    words: list[str] = field(default_factory=list)
    redirects: list[tuple[str, str]] = field(default_factory=list)  # (operator without a descriptor, target)
    text: str | None = None  # of a here document or here string
    piped: bool = False


@dataclass(slots=True)
class Line:
    """`inner`: texts of substitutions. `whole` is False where the text was too long to be read to its end."""

    commands: list[Command]
    inner: list[str]
    whole: bool = True


def split(text: str) -> Line:
    """Read a command line as a POSIX shell would cut it up. What is unbalanced is read to the end of the text."""
    return _Splitter(text[:MAX_CHARS]).split(len(text) <= MAX_CHARS)


class _Splitter:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._commands: list[Command] = []
        self._command = Command()
        self._inner: list[str] = []
        self._redirect: str | None = None
        self._documents: list[tuple[Command, str, bool]] = []  # (command, delimiter, tabs are stripped)

    def split(self, whole: bool) -> Line:
        text, end = self._text, len(self._text)
        while self._at < end:
            if len(self._commands) >= MAX_COMMANDS:
                whole = False
                break
            if match := _SPACE.match(text, self._at):
                self._at = match.end()
            elif match := _OPERATOR.match(text, self._at):
                self._at = match.end()
                self._operator(match[0])
            elif text[self._at] == "#":
                newline = text.find("\n", self._at)
                self._at = end if newline < 0 else newline
            else:
                self._take(self._word())
        self._end(piped=False)
        return Line(self._commands, self._inner, whole)

    def _take(self, word: str) -> None:
        operator, self._redirect = self._redirect, None
        if operator is None:
            self._command.words.append(word)
        elif operator in ("<<", "<<-"):
            self._documents.append((self._command, word, operator == "<<-"))
        elif operator == "<<<":
            self._command.text = word
        else:
            self._command.redirects.append((operator, word))

    def _operator(self, operator: str) -> None:
        words, text = self._command.words, self._text
        if operator == "(" and not words and text.startswith("(", self._at):  # `(( … ))` is arithmetic
            close = text.find("))", self._at)
            self._at = close + 2 if close >= 0 else len(text)
            return
        if operator == "(" and len(words) == 1 and text.startswith(")", self._at):  # `name() { … }`
            self._command.words = []
        if "[[" in words and "]]" not in words:
            words.append(operator)
            return
        bare = operator.lstrip("0123456789")
        if bare[0] in "<>" or bare in ("&>", "&>>"):
            self._redirect = bare
            return
        self._end(piped=operator in ("|", "|&"))
        if operator == "\n" and self._documents:
            self._read_documents()

    def _end(self, *, piped: bool) -> None:
        self._redirect = None
        command = self._command
        if command.words or command.redirects:
            self._commands.append(command)
            self._command = Command(piped=piped)
        elif piped:
            command.piped = True

    def _read_documents(self) -> None:
        text = self._text
        for command, delimiter, strip in self._documents:
            lines: list[str] = []
            while self._at < len(text):
                newline = text.find("\n", self._at)
                line = text[self._at : newline if newline >= 0 else len(text)]
                self._at = newline + 1 if newline >= 0 else len(text)
                if strip:
                    line = line.lstrip("\t")
                if line.rstrip("\r") == delimiter:
                    break
                lines.append(line)
            command.text = "\n".join(lines)
        self._documents = []

    def _word(self) -> str:
        """The word that starts here, without its quotes."""
        text, pieces = self._text, []
        while self._at < len(text):
            char = text[self._at]
            if match := _PLAIN.match(text, self._at):
                pieces.append(match[0])
                self._at = match.end()
            elif char == "'":
                pieces.append(self._until("'"))
            elif char == '"':
                pieces.append(self._double())
            elif char == "\\":
                if text[self._at + 1 : self._at + 2] != "\n":
                    pieces.append(text[self._at + 1 : self._at + 2])
                self._at += 2
            elif char == "`":
                self._inner.append(self._until("`"))
                pieces.append("$(…)")
            elif char == "$" or (char in "<>" and text[self._at + 1 : self._at + 2] == "("):
                pieces.append(self._dollar())
            elif char in _WORD_END:
                break
            else:  # white space that no shell cuts at
                pieces.append(char)
                self._at += 1
        return "".join(pieces)

    def _until(self, quote: str) -> str:
        """From the quote at the cursor to its like; to the end of the text where there is none."""
        close = self._text.find(quote, self._at + 1)
        inside = self._text[self._at + 1 : close if close >= 0 else len(self._text)]
        self._at = close + 1 if close >= 0 else len(self._text)
        return inside

    def _double(self) -> str:
        text, start, at = self._text, self._at + 1, self._at + 1
        end = len(text)
        substitutes = escaped = False
        while at < end and text[at] != '"':
            if text[at] == "\\":
                escaped = True
                at += 1
            elif text[at] == "`" or (text[at] == "$" and text[at + 1 : at + 2] == "("):
                substitutes = True
                inner_start = at + (1 if text[at] == "`" else 2)
                at = _closing(text, at) if text[at] == "$" else _find_or_end(text, "`", at + 1)
                self._inner.append(text[inner_start:at])
            at = _next_of_note(text, at + 1)
        inside = text[start:at]
        self._at = min(end, at + 1)
        if escaped and not substitutes:
            inside = inside.replace("\\\n", "")
            inside = _ESCAPE.sub(lambda match: match[1] if match[1] in '"\\$`' else match[0], inside)
        return inside

    def _dollar(self) -> str:
        text, start = self._text, self._at
        if text[start + 1 : start + 2] == "(":
            close = _closing(text, start)
            inside = text[start + 2 : close]
            if not inside.startswith("("):  # `$((…))` is arithmetic
                self._inner.append(inside)
            self._at = close + 1
            return "$(…)"
        if text[start] == "$" and text[start + 1 : start + 2] in ("'", '"'):
            self._at += 1
            return ""
        if text[start] == "$" and text[start + 1 : start + 2] == "{":
            close = text.find("}", start)
            self._at = close + 1 if close >= 0 else len(text)
            return text[start : self._at]
        self._at += 1
        return "$"


_OF_NOTE = re.compile(r'["\\`$]')


def _next_of_note(text: str, at: int) -> int:
    match = _OF_NOTE.search(text, at)
    return match.start() if match else len(text)


def _find_or_end(text: str, what: str, at: int) -> int:
    found = text.find(what, at)
    return found if found >= 0 else len(text)


_PAREN = re.compile(r"'[^']*'|\\.|[()]", re.DOTALL)


def _closing(text: str, at: int) -> int:
    """Where the parenthesis of the substitution at `at` closes; the end of the text where it does not."""
    depth = 0
    for match in _PAREN.finditer(text, at):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
            if depth == 0:
                return match.start()
    return len(text)
