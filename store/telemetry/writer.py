"""The only writer of telemetry.db: one batch is one transaction that leaves every total exact.

Fold by key; read the before-images by primary key; take away what the old row contributed and add what the new one
does; upsert; add the deltas; write each source's offset and parser state; commit. A crash loses the batch whole, and
the sources' offsets with it, so the same lines are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from store.database import transaction
from store.folder import StoreFolder
from store.record.batch import Batch, Feed, Finding, Probe, Source, Written
from store.record.merge import Parts, Row, join, join_parts, row_of, same_parts
from store.record.span import COLUMNS, NS_PER_S, Span
from store.telemetry.mend import mended
from store.telemetry.payload import BlockWriter, load_parts, refs_of, store_refs
from store.telemetry.schema import open_telemetry_writer
from store.telemetry.totals import (
    EXTREMES,
    SUMS,
    Deltas,
    at_ns,
    contribution,
    gave_up_an_extreme,
    upsert_extreme,
)

FUTURE_NS = 300 * NS_PER_S
_CHUNK = 400
Key = tuple[str, str]

_SPAN_COLUMNS = (*COLUMNS, "at_ns", "future", "parts")
_UPSERT_SPAN = (
    f"INSERT INTO span ({', '.join(_SPAN_COLUMNS)}) VALUES ({', '.join('?' * len(_SPAN_COLUMNS))}) "
    f"ON CONFLICT (namespace, span_id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in _SPAN_COLUMNS[2:])}"
)
_SOURCE_COLUMNS = Source.__struct_fields__


def _replace(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_UPSERT_SOURCE = _replace("source", _SOURCE_COLUMNS)
_UPSERT_FINDING = _replace("finding", tuple(name.rstrip("_") for name in Finding.__struct_fields__))
_UPSERT_FEED = _replace("feed", Feed.__struct_fields__)
_UPSERT_PROBE = _replace("probe", Probe.__struct_fields__)


class Writer:
    """Writes batches through one connection, in one thread; the caller holds the collector's lock."""

    def __init__(self, folder: StoreFolder) -> None:
        """StoreError where the database is locked, foreign, corrupt or newer than this Andon."""
        self._connection = open_telemetry_writer(folder)
        self._blocks = BlockWriter()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sources(self) -> list[Source]:
        """Every source with its offset and parser state, as the last committed batch left them."""
        rows = self._connection.execute(f"SELECT {', '.join(_SOURCE_COLUMNS)} FROM source").fetchall()
        return [Source(**dict(zip(_SOURCE_COLUMNS, row, strict=True)) | {"whole": bool(row[-1])}) for row in rows]

    def feeds(self) -> list[Feed]:
        """Every receiver and pull, with the cursor that the last committed batch left it."""
        columns = Feed.__struct_fields__
        rows = self._connection.execute(f"SELECT {', '.join(columns)} FROM feed").fetchall()
        return [Feed(**dict(zip(columns, row, strict=True))) for row in rows]

    def write(self, batch: Batch, ingest_ns: int) -> Written:
        """Commit the whole batch, or raise and leave the store as it was.

        `ingest_ns` is the wall clock at reading; it decides only what is `future`.
        """
        try:
            return self._transaction(batch, ingest_ns)
        except (UnicodeEncodeError, OverflowError, TypeError):
            # a value that SQLite or msgpack cannot hold: mend the whole batch once, and flag what was mended
            return self._transaction(msgspec.structs.replace(batch, spans=mended(batch.spans)), ingest_ns)

    def _transaction(self, batch: Batch, ingest_ns: int) -> Written:
        with transaction(self._connection):
            written = Written(records=len(batch.spans), gaps=len(batch.gaps))
            self._write_spans(batch.spans, ingest_ns, written)
            self._write_rest(batch, written)
        return written

    def _write_spans(self, spans: list[Span], ingest_ns: int, written: Written) -> None:
        if not spans:
            return
        incoming, written.duplicates = _fold(spans)
        before = self._before(incoming)
        runs, minutes = Deltas(), Deltas()
        latest_allowed_ns = ingest_ns + FUTURE_NS
        changed: list[tuple[Row, Parts, int]] = []
        for key, (row, parts) in incoming.items():
            old = before.get(key)
            if old is not None:
                old_row, old_future, old_parts = old
                row, parts = join(old_row, row), join_parts(old_parts, parts)
                if row == old_row and same_parts(parts, old_parts):
                    written.duplicates += 1
                    continue
                written.changed_spans += 1
            else:
                written.new_spans += 1
            future = int((at_ns(row) or 0) > latest_allowed_ns)
            changed.append((row, parts, future))
            new = contribution(row, future)
            run_key = (new.session, new.run_id)
            if old is not None:
                gone = contribution(old_row, old_future)
                gone_run = (gone.session, gone.run_id)
                runs.take(gone_run, gone.sums)
                if gone.minute is not None:
                    minutes.take(gone.minute, gone.sums)
                if gone_run != run_key or gave_up_an_extreme(gone, new):
                    runs.dirty.add(gone_run)
            runs.add(run_key, new.sums)
            runs.raise_extremes(run_key, new.extremes)
            if new.minute is not None:
                minutes.add(new.minute, new.sums)
        self._upsert_spans(changed)
        self._note_lag(changed, ingest_ns)
        self._apply("run", ("session", "run_id"), runs)
        self._apply("session", ("session",), runs.by_session())
        self._apply("minute", ("minute_ns", "agent"), minutes)

    def _before(self, keys: Iterable[Key]) -> dict[Key, tuple[Row, int, Parts]]:
        """The stored rows of these keys: (row, future, parts)."""
        found: dict[Key, tuple[Row, int, Parts]] = {}
        width = len(COLUMNS)
        for chunk in _chunks(keys, _CHUNK):
            # CROSS JOIN makes the wanted keys the outer loop: by IN (VALUES ...) SQLite 3.40 scans the whole table
            rows = self._connection.execute(
                f"WITH wanted (n, i) AS (VALUES {', '.join(['(?, ?)'] * len(chunk))}) "
                f"SELECT {', '.join(COLUMNS)}, future, parts FROM wanted "
                "CROSS JOIN span ON namespace = n AND span_id = i",
                [value for key in chunk for value in key],
            ).fetchall()
            for row in rows:
                found[row[0], row[1]] = (row[:width], row[width], load_parts(row[width + 1]))
        return found

    def _upsert_spans(self, changed: list[tuple[Row, Parts, int]]) -> None:
        stored = self._blocks.store(self._connection, [parts for _, parts, _ in changed])
        self._connection.executemany(
            _UPSERT_SPAN,
            [
                (*row, at_ns(row), future, store_refs(parts))
                for (row, _, future), parts in zip(changed, stored, strict=True)
            ],
        )

    def _note_lag(self, changed: list[tuple[Row, Parts, int]], ingest_ns: int) -> None:
        """How far behind the newest event of this batch its reading came."""
        newest = max((at_ns(row) or 0 for row, _, future in changed if not future), default=0)
        self._connection.executemany(
            "INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)",
            [("ingest_ns", ingest_ns), ("lag_ns", max(0, ingest_ns - newest) if newest else None)],
        )

    def _apply(self, table: str, key_columns: tuple[str, ...], deltas: Deltas) -> None:
        """Add the deltas to `table`, and compute anew the extremes that a change may have taken away."""
        has_extremes = table != "minute"
        columns = (*key_columns, *SUMS, *(EXTREMES if has_extremes else ()))
        sets = [f"{name} = {name} + excluded.{name}" for name in SUMS]
        if has_extremes:
            sets += [upsert_extreme(name) for name in EXTREMES]
        no_extremes = [None] * len(EXTREMES)
        self._connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
            f"ON CONFLICT ({', '.join(key_columns)}) DO UPDATE SET {', '.join(sets)}",
            [
                (*key, *sums, *(deltas.extremes.get(key, no_extremes) if has_extremes else ()))
                for key, sums in deltas.sums.items()
            ],
        )
        # what holds no span any more is not a row
        emptied = [key for key, sums in deltas.sums.items() if sums[0] < 0]
        where = " AND ".join(f"{column} = ?" for column in key_columns)
        self._connection.executemany(f"DELETE FROM {table} WHERE {where} AND spans = 0", emptied)
        for key in deltas.dirty:
            values = self._connection.execute(
                f"SELECT {', '.join(EXTREMES.values())} FROM span WHERE {_rows_of(key)}",
                [value for value in key if value],
            ).fetchone()
            self._connection.execute(
                f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in EXTREMES)} WHERE {where}",
                (*values, *key),
            )

    def _write_rest(self, batch: Batch, written: Written) -> None:
        connection = self._connection
        if batch.rejects:
            before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO reject (source_id, offset, length, reason, line_hash, sample, path, at_ns) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        r.source_id,
                        r.offset,
                        r.length,
                        r.reason,
                        r.line_hash,
                        _clean(r.sample),
                        _clean(r.path),
                        r.at_ns,
                    )
                    for r in batch.rejects
                ],
            )
            written.rejects = connection.total_changes - before
        connection.executemany(
            "INSERT INTO gap (path, at_ns, lost_bytes, reason) VALUES (?, ?, ?, ?)",
            [(_clean(gap.path), gap.at_ns, gap.lost_bytes, gap.reason) for gap in batch.gaps],
        )
        connection.executemany(
            "INSERT INTO unknown_type (type, count) VALUES (?, ?) "
            "ON CONFLICT (type) DO UPDATE SET count = count + excluded.count",
            [(_clean(name), count) for name, count in batch.unknown_types.items()],
        )
        connection.executemany(
            _UPSERT_SOURCE,
            [msgspec.structs.astuple(msgspec.structs.replace(s, path=_clean(s.path))) for s in batch.sources],
        )
        for statement, rows in (
            (_UPSERT_FINDING, batch.findings),
            (_UPSERT_FEED, batch.feeds),
            (_UPSERT_PROBE, batch.probes),
        ):
            if rows:
                connection.executemany(statement, [msgspec.structs.astuple(row) for row in rows])


def _fold(spans: list[Span]) -> tuple[dict[Key, tuple[Row, Parts]], int]:
    """The batch's versions joined by key, and how many of them said nothing new."""
    folded: dict[Key, tuple[Row, Parts]] = {}
    duplicates = 0
    for span in spans:
        row = row_of(span)
        parts = refs_of(span) if span.parts else {}
        key = row[:2]
        own = folded.get(key)
        if own is None:
            folded[key] = (row, parts)
        elif own[0] == row and same_parts(own[1], parts):
            duplicates += 1
        else:
            folded[key] = (join(own[0], row), join_parts(own[1], parts))
    return folded, duplicates


def _rows_of(key: tuple[Any, ...]) -> str:
    """The condition that finds the spans of a session or run key; an empty part of the key is an unknown one."""
    session = "session = ?" if key[0] else "(session IS NULL OR session = '')"
    if len(key) == 1:
        return session
    return session + (" AND run_id = ?" if key[1] else " AND (run_id IS NULL OR run_id = '')")


def _chunks(keys: Iterable[Key], size: int) -> Iterator[list[Key]]:
    iterator = iter(keys)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _clean(text: str) -> str:
    """Text that SQLite can bind: a lone surrogate (a byte of a file name that is no UTF-8) becomes its escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
