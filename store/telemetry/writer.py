"""The only writer of telemetry.db: one batch is one transaction that leaves every total exact.

Fold by key; read the before-images by primary key; take away what the old row contributed and add what the new one
does; upsert; add the deltas; write each source's offset and parser state; commit. A crash loses the batch whole, and
the sources' offsets with it, so the same lines are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress, islice
from typing import Any, NamedTuple

import msgspec

from store.database import transaction
from store.folder import StoreFolder
from store.record.batch import Batch, Feed, Finding, Probe, Source, Written
from store.record.merge import Parts, Row, join, join_parts, same_parts
from store.record.span import COLUMNS, Span
from store.telemetry.mend import mended
from store.telemetry.packed import (
    FUTURE_NS,
    SPAN_COLUMNS,
    WIDTH,
    Folded,
    Groups,
    Key,
    Packed,
    fold,
    pack_folded,
    parted,
    stored_parts,
    unpack,
)
from store.telemetry.payload import Blocks, insert_blocks, next_block, store_refs
from store.telemetry.schema import TELEMETRY, open_telemetry_writer
from store.telemetry.totals import EXTREMES, SUMS, Deltas, at_ns, contribution, gave_up_an_extreme, upsert_extreme
from store.telemetry.wal import WriteAheadLog

_CHUNK = 400
_FEW = 4  # of this many packed rows at most one may be known, or all are packed anew
_RANK, _ENDED = COLUMNS.index("rank"), COLUMNS.index("ended_ns")
_LAST = list(EXTREMES).index("last_ns")
_decode_packed = msgspec.msgpack.Decoder(Packed).decode
_UPSERT_SPAN = (
    f"INSERT INTO span ({', '.join(SPAN_COLUMNS)}) VALUES ({', '.join('?' * len(SPAN_COLUMNS))}) "
    f"ON CONFLICT (namespace, span_id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in SPAN_COLUMNS[2:])}"
)
_SOURCE_COLUMNS = Source.__struct_fields__


def _replace(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_UPSERT_SOURCE = _replace("source", _SOURCE_COLUMNS)
_UPSERT_FINDING = _replace("finding", tuple(name.rstrip("_") for name in Finding.__struct_fields__))
_UPSERT_FEED = _replace("feed", Feed.__struct_fields__)
_UPSERT_PROBE = _replace("probe", Probe.__struct_fields__)


class Before(NamedTuple):
    """A stored row, before this batch."""

    row: Row
    future: int
    parts: Parts


class Writer:
    """Writes batches through one connection, in one thread; the caller holds the collector's lock."""

    def __init__(self, folder: StoreFolder) -> None:
        """StoreError where the database is locked, foreign, corrupt or newer than this Andon."""
        self._folder = folder
        self._open()

    def _open(self) -> None:
        self._connection = open_telemetry_writer(self._folder)
        self._log = WriteAheadLog(self._connection, self._folder.telemetry)

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
        self.look_after_log()
        try:
            return self._transaction(batch, ingest_ns)
        except (UnicodeEncodeError, OverflowError, TypeError):
            # a value that SQLite or msgpack cannot hold: mend the whole batch once, and flag what was mended
            return self._transaction(msgspec.structs.replace(batch, spans=mended(batch.spans)), ingest_ns)

    def look_after_log(self) -> None:
        """Keep the write-ahead log within bounds, and go on in a new one where it was deleted under us.

        sqlite3.OperationalError where a reader keeps it from being started anew.
        """
        if self._log.was_taken_away():
            # what was committed into the deleted file goes into the database, and is seen again by everybody
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.close()
            self._open()
        self._log.make_room()

    def _transaction(self, batch: Batch, ingest_ns: int) -> Written:
        # outside the transaction: within one SQLite refuses the change
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if batch.durable else TELEMETRY.synchronous}")
        with transaction(self._connection):
            written = Written(gaps=len(batch.gaps))
            newest_ns = self._write_spans(batch.spans, ingest_ns, written)
            for data in batch.packed:
                newest_ns = max(newest_ns, self._write_packed(_decode_packed(data), ingest_ns, written))
            if written.records:
                self._note_lag(newest_ns, ingest_ns)
            self._write_rest(batch, written)
        self._log.note()
        return written

    def _write_spans(self, spans: list[Span], ingest_ns: int, written: Written) -> int:
        if not spans:
            return 0
        folded, duplicates = fold(spans)
        before = self._before(folded)
        if before:
            written.records += len(spans)
            written.duplicates += duplicates
            return self._join(folded, before, ingest_ns, written)
        return self._add_new(pack_folded(folded, duplicates, len(spans), ingest_ns), ingest_ns, written)

    def _write_packed(self, packed: Packed, ingest_ns: int, written: Written) -> int:
        keys = packed.keys()
        before = self._before(keys)
        if len(before) * _FEW <= len(keys):
            return self._add_new(packed, ingest_ns, written, before)
        # much of it is known: repack, so that texts which the store has already are not stored again
        written.records += packed.records
        written.duplicates += packed.duplicates
        return self._join(unpack(packed), before, ingest_ns, written)

    def _add_new(
        self, packed: Packed, ingest_ns: int, written: Written, before: dict[Key, Before] | None = None
    ) -> int:
        """Rows of which the store knows none but those of `before`. The newest moment of them."""
        written.records += packed.records
        written.duplicates += packed.duplicates
        runs, minutes = Deltas(), Deltas()
        for session, run_id, sums, extremes in packed.runs:
            runs.sums[session, run_id], runs.extremes[session, run_id] = sums, extremes
        for minute_ns, agent, sums in packed.minutes:
            minutes.sums[minute_ns, agent] = sums
        allowed_ns = ingest_ns + FUTURE_NS
        ends = [extremes[_LAST] for _, _, _, extremes in packed.runs if extremes[_LAST] is not None]
        newest_ns = max((end for end in ends if end <= allowed_ns), default=0)
        first = next_block(self._connection)
        insert_blocks(self._connection, first, packed.blocks)
        groups, known = parted(packed.groups, first, before or {})
        changed = [self._rejoin(row, old, runs, minutes, allowed_ns, written) for row, old in known]
        written.new_spans += sum(len(rows) for rows in groups.values())
        self._insert_groups(groups)
        self._connection.executemany(_UPSERT_SPAN, filter(None, changed))
        self._apply_all(runs, minutes)
        return newest_ns

    def _rejoin(
        self, came: Row, old: Before, runs: Deltas, minutes: Deltas, allowed_ns: int, written: Written
    ) -> tuple[Any, ...] | None:
        """A packed row of SPAN_COLUMNS whose key the store knows: take back what it was counted as, and join it.

        The row to be written, or None where it says nothing new.
        """
        counted = contribution(came[:WIDTH], came[WIDTH + 1])
        runs.take((counted.session, counted.run_id), counted.sums)
        if counted.minute is not None:
            minutes.take(counted.minute, counted.sums)
        row, parts = join(old.row, came[:WIDTH]), join_parts(old.parts, stored_parts(came))
        future = int((at_ns(row) or 0) > allowed_ns)
        joined = contribution(row, future)
        if (joined.session, joined.run_id) != (counted.session, counted.run_id) or gave_up_an_extreme(counted, joined):
            runs.dirty.add((counted.session, counted.run_id))
        if row == old.row and same_parts(parts, old.parts):
            written.duplicates += 1
            return None
        written.changed_spans += 1
        _add_deltas(runs, minutes, row, future, old)
        return (*row, at_ns(row), future, *store_refs(parts, row[_RANK], row[_ENDED]))

    def _join(self, incoming: Folded, before: dict[Key, Before], ingest_ns: int, written: Written) -> int:
        """Rows of which the store knows some: each total loses what the old row gave and gets what the new one gives.

        The newest moment of what changed.
        """
        runs, minutes = Deltas(), Deltas()
        latest_allowed_ns = ingest_ns + FUTURE_NS
        blocks, groups = Blocks(next_block(self._connection)), Groups()
        changed: list[tuple[Any, ...]] = []
        newest_ns = 0
        for key, (row, parts) in incoming.items():
            old = before.get(key)
            if old is not None:
                row, parts = join(old.row, row), join_parts(old.parts, parts)
                if row == old.row and same_parts(parts, old.parts):
                    written.duplicates += 1
                    continue
                written.changed_spans += 1
            else:
                written.new_spans += 1
            at = at_ns(row) or 0
            future = int(at > latest_allowed_ns)
            newest_ns = newest_ns if future else max(newest_ns, at)
            placed = blocks.place(parts)
            if old is None:
                groups.add(row, future, placed)
            else:
                changed.append((*row, at_ns(row), future, *store_refs(placed, row[_RANK], row[_ENDED])))
            _add_deltas(runs, minutes, row, future, old)
        blocks.end()
        insert_blocks(self._connection, blocks.first, blocks.packed)
        self._insert_groups(groups.rows)
        self._connection.executemany(_UPSERT_SPAN, changed)
        self._apply_all(runs, minutes)
        return newest_ns

    def _before(self, keys: Iterable[Key]) -> dict[Key, Before]:
        """The stored rows of these keys."""
        found: dict[Key, Before] = {}
        for chunk in _chunks(keys, _CHUNK):
            # CROSS JOIN makes the wanted keys the outer loop: by IN (VALUES ...) SQLite 3.40 scans the whole table
            rows = self._connection.execute(
                f"WITH wanted (n, i) AS (VALUES {', '.join(['(?, ?)'] * len(chunk))}) "
                f"SELECT {', '.join(SPAN_COLUMNS)} FROM wanted "
                "CROSS JOIN span ON namespace = n AND span_id = i",
                [value for key in chunk for value in key],
            ).fetchall()
            for row in rows:
                found[row[0], row[1]] = Before(row[:WIDTH], row[WIDTH + 1], stored_parts(row))
        return found

    def _insert_groups(self, groups: dict[bytes, list[tuple[Any, ...]]]) -> None:
        for pattern, rows in groups.items():
            names = list(compress(SPAN_COLUMNS, pattern))
            self._connection.executemany(
                f"INSERT INTO span ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", rows
            )

    def _note_lag(self, newest_ns: int, ingest_ns: int) -> None:
        """How far behind the newest event of this batch its reading came."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)",
            [("ingest_ns", ingest_ns), ("lag_ns", max(0, ingest_ns - newest_ns) if newest_ns else None)],
        )

    def _apply_all(self, runs: Deltas, minutes: Deltas) -> None:
        self._apply("run", ("session", "run_id"), runs)
        self._apply("session", ("session",), runs.by_session())
        self._apply("minute", ("minute_ns", "agent"), minutes)

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
        emptied = [key for key, sums in deltas.sums.items() if sums[0] <= 0]
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


def _add_deltas(runs: Deltas, minutes: Deltas, row: Row, future: int, old: Before | None) -> None:
    new = contribution(row, future)
    run_key = (new.session, new.run_id)
    if old is not None:
        gone = contribution(old.row, old.future)
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
