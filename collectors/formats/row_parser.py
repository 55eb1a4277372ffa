"""A parser that reads one JSON value a line (or a whole document), and keeps any that upsets it as a reject."""

from __future__ import annotations

from abc import ABC, abstractmethod

from collectors.formats.base import BadLine, Line, Parsed
from collectors.formats.decode import CANNOT, UnreadableError


class RowParser(ABC):
    """Subclasses read one line in `_row` and put what it says into `self._out`."""

    def __init__(self, format_name: str) -> None:
        self._format_name = format_name
        self._out = Parsed()

    def state(self) -> bytes:
        """What the next line needs: nothing, where lines stand for themselves."""
        return b""

    def parse(self, lines: list[Line]) -> Parsed:
        """Read the next lines in order. Never raises for any bytes."""
        self._out = Parsed()
        for line in lines:
            try:
                self._row(line.data)
            except UnreadableError as error:
                self._out.bad.append(BadLine(line, str(error)))
            except RecursionError:
                self._out.bad.append(BadLine(line, "nested too deeply"))
            except Exception as error:  # noqa: BLE001 - no line may ever stop the collector; it is kept as a reject
                self._out.bad.append(BadLine(line, f"{CANNOT} ({type(error).__name__})"))
        return self._out

    @abstractmethod
    def _row(self, data: bytes) -> None:
        """Read one line. UnreadableError says why it cannot be read."""

    def _unknown(self, what: str) -> None:
        """Count a row or block of a type that the format does not know; `what` is no text of the log (`type_name`)."""
        name = f"{self._format_name}/{what}"
        self._out.unknown_types[name] = self._out.unknown_types.get(name, 0) + 1
