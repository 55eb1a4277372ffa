"""How far a pull has read: a walk from the newest row down to the first one that is known.

Phoenix numbers its rows as it stores them, so a span that ends late has a new number, however early it began: rows are
walked by number, not by time. Numbers are not trusted beyond that. SQLite gives the numbers of deleted rows again, a
Phoenix may be started with an empty database, and PostgreSQL may commit a lower number after a higher one. So the
newest rows are kept by number and a hash of their key: a walk that meets one of them unchanged ends below the last of
them, and takes the rows between them that are new; one that meets none goes down to the end. Reading a row again
changes nothing, for a span is known by its own key.
"""

from __future__ import annotations

import msgspec

KEPT = 50  # rows by which a walk knows where the one before began
Row = tuple[int, str]  # (number, hash of the span's key)


class LostOrderError(Exception):
    """The pages do not go down: the same rows would come for ever."""


class Walk(msgspec.Struct):
    """`known`: the newest rows of the last whole walk. `next`: where a walk that is under way goes on, else ""."""

    known: dict[int, str] = {}
    next: str = ""
    top: dict[int, str] = {}  # the newest rows of the walk that is under way
    last: int | None = None  # the lowest number it has read

    @classmethod
    def of(cls, cursor: str) -> Walk:
        """The walk that a stored cursor says; a new one where that cannot be read."""
        try:
            return msgspec.json.decode(cursor.encode(), type=cls) if cursor else cls()
        except msgspec.MsgspecError:
            return cls()

    def cursor(self) -> str:
        return msgspec.json.encode(self).decode()

    @property
    def under_way(self) -> bool:
        return self.next != ""

    def take(self, rows: list[Row], following: str) -> list[int]:
        """Go on over a page; `following` is the cursor of the next one, "" at the end. Places of the rows to be read.

        LostOrderError, and nothing is changed, where the page does not go down.
        """
        below = self.last if self.under_way else None
        for number, _ in rows:
            if below is not None and number >= below:
                raise LostOrderError
            below = number
        if not self.under_way:
            self.top, self.last = {}, None
        self.top.update(rows[: KEPT - len(self.top)])
        floor = min(self.known) if len(self.known) >= KEPT else 0  # fewer are all the rows that there were
        fresh: list[int] = []
        met = False  # in this very page: since the one before, the database may have become another
        for place, (number, key_hash) in enumerate(rows):
            if self.known.get(number) == key_hash:
                met = True
            elif not (met and number < floor):
                fresh.append(place)
        if rows:
            self.last = rows[-1][0]
        self.next = "" if met and self.last is not None and self.last <= floor else following
        if not self.under_way:
            kept = {**(self.known if met else {}), **self.top}
            self.known = {number: kept[number] for number in sorted(kept, reverse=True)[:KEPT]}
            self.top, self.last = {}, None
        return fresh

    def skip_to(self, cursor: str, number: int) -> None:
        """Leave out a row that cannot be read; the walk goes on at `cursor`, below `number`."""
        self.next, self.last = cursor, number
