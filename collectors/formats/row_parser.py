"""A parser that reads one JSON object a line, and keeps any line that upsets it as a reject."""

from __future__ import annotations

from abc import ABC, abstractmethod

from collectors.formats.base import BadLine, Line, Parsed
from collectors.formats.decode import CANNOT, UnreadableError


class RowParser(ABC):
    """Subclasses read one line in `_row` and put what it says into `self._out`."""

    def __init__(self) -> None:
        self._out = Parsed()

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
