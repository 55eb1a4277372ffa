"""Your own JSON, by a mapping: one object a line, or a document that is one object or a list of them.

What a record says is put into the fields of Andon NDJSON and goes on as a line of that would (`andon_span`). What the
mapping does not take stays with the payload, as `extra`. Namespace: `session:<session id>`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from collectors.formats.andon_line import AndonLine
from collectors.formats.andon_span import fit_line, to_span
from collectors.formats.base import BadLine, Line, SourceFacts
from collectors.formats.decode import UnreadableError, canonical, decode_value, type_name
from collectors.formats.own_mapping import TIMES, OwnMapping
from collectors.formats.own_paths import without
from collectors.formats.row_parser import RowParser
from store.record.span import KINDS, Span

NAME = "json"


class OwnJson:
    """The format that one mapping makes. It is never recognised by content: a source declares it.

    `name` has a digest of the mapping in it: a file that was read by another mapping is read anew.
    """

    namespace = "session"
    whole = True

    def __init__(self, mapping: OwnMapping) -> None:
        self.mapping = mapping
        self.name = f"{NAME}:{mapping.digest}"

    def recognises(self, head: list[bytes]) -> bool:  # noqa: ARG002 - no content tells
        return False

    def parser(self, facts: SourceFacts, state: bytes = b"") -> OwnJsonParser:  # noqa: ARG002 - it holds none
        return OwnJsonParser(self.mapping, facts)


class OwnJsonParser(RowParser):
    """Every record stands alone."""

    def __init__(self, mapping: OwnMapping, facts: SourceFacts) -> None:
        super().__init__(NAME)
        self._mapping = mapping
        self._agent = facts.agent or NAME

    def _row(self, data: bytes) -> None:
        value, mended = decode_value(data)
        if isinstance(value, dict):
            self._record(value, data, mended)
        elif isinstance(value, list):
            for one in value:
                self._element(one, mended)
        else:
            raise UnreadableError("not a JSON object")

    def _element(self, value: Any, mended: set[str]) -> None:
        """One of a list. A bad one is a reject by itself, and the next one is read."""
        data = canonical(value).encode("utf-8", "replace")
        try:
            if not isinstance(value, dict):
                raise UnreadableError("not a JSON object")
            self._record(value, data, set(mended))
        except UnreadableError as error:
            self._out.bad.append(BadLine(Line(0, data), str(error)))

    def _record(self, row: dict[str, Any], data: bytes, flags: set[str]) -> None:
        mapping = self._mapping
        if mapping.where is not None and (passed := mapping.where.passes_over(row)) is not None:
            self._unknown(passed)
            return
        line = mapping.read(row, flags)
        kind = line.get("kind")
        if isinstance(kind, str) and kind not in KINDS:
            self._unknown(type_name(kind))
            return
        self._out.spans.append(self._span(line, row, data, flags))

    def _span(self, line: dict[str, Any], row: dict[str, Any], data: bytes, flags: set[str]) -> Span:
        for name in ("session_id", "kind"):
            if not line.get(name):
                raise UnreadableError(f"no {name}: {self._missing(name, flags)}")
        times = TIMES & line.keys()
        if not times:
            mapped = [name for name in ("time", "ended_at", "started_at") if self._mapping.paths_of(name)]
            raise UnreadableError("no time: " + "; ".join(self._missing(name, flags) for name in mapped))
        extra: dict[str, Any] = {}
        try:
            fitted = msgspec.convert(line, AndonLine)
        except msgspec.ValidationError:
            fitted = fit_line(line, extra, flags)
        extra.update(without(row, self._mapping.taken))
        return to_span(fitted, data, format_name=NAME, agent=self._agent, extra=extra, flags=flags)

    def _missing(self, name: str, flags: set[str]) -> str:
        path = self._mapping.paths_of(name)
        return f"what is at {path} cannot be read as {name}" if name in flags else f"nothing at {path}"
