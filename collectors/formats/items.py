"""A parser of lines that hold many items: a bad one costs the others nothing, and the line is kept as a reject."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from collectors.formats.decode import UnreadableError
from collectors.formats.row_parser import RowParser

T = TypeVar("T")


def mostly(items: Sequence[T], are: Callable[[T], bool]) -> bool:
    """True if more than half of them are: a new kind of item in a list does not hide what the list is."""
    return sum(1 for one in items if are(one)) * 2 > len(items)


class ItemsParser(RowParser):
    """Subclasses read each item of a line by `_each`."""

    def _each(self, items: Iterable[T], read: Callable[[T], None]) -> None:
        """Read all items. UnreadableError afterwards if any could not be read; what the others came to is kept."""
        count, bad = 0, 0
        why = "no object in it"
        for item in items:
            count += 1
            try:
                read(item)
            except UnreadableError as error:
                bad += 1
                why = str(error)
        if bad or not count:
            raise UnreadableError(why if count < 2 else f"{bad} of its {count} items: {why}")
