"""The walk of a pull: every row that stays is read, whatever is inserted, deleted or given again meanwhile."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.pull.phoenix import cursor_of, row_number
from collectors.pull.walk import KEPT, LostOrderError, Row, Walk

FIRST, NEXT = 7, 13  # rows of a page, fewer than are kept


class Database:
    """Rows by number, as Phoenix has them: a page is newest first, a cursor is the first row of the next page."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.made = 0

    def insert(self, number: int | None = None) -> None:
        """The next number is the greatest and one, as SQLite gives it."""
        self.made += 1
        self.rows[max(self.rows, default=0) + 1 if number is None else number] = f"k{self.made}"

    def page(self, cursor: str, limit: int) -> tuple[list[Row], str]:
        start = row_number(cursor) if cursor else None
        numbers = [n for n in sorted(self.rows, reverse=True) if start is None or n <= start]
        following = cursor_of(numbers[limit]) if len(numbers) > limit else ""
        return [(number, self.rows[number]) for number in numbers[:limit]], following


class Puller:
    """Walks over a database; `read` is what it handed on."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.walk = Walk()
        self.read: list[Row] = []
        self.pages = 0

    def page(self) -> None:
        rows, following = self.database.page(self.walk.next, NEXT if self.walk.under_way else FIRST)
        self.read += [rows[place] for place in self.walk.take(rows, following)]
        self.pages += 1

    def restart(self) -> None:
        self.walk = Walk.of(self.walk.cursor())

    def to_the_end(self) -> None:
        self.page()
        while self.walk.under_way:
            self.page()


def test_a_first_walk_reads_all_and_the_next_only_what_is_new() -> None:
    database = Database()
    puller = Puller(database)
    for _ in range(500):
        database.insert()
    puller.to_the_end()
    assert sorted(puller.read) == sorted(database.rows.items())
    assert puller.pages == 1 + -(-(500 - FIRST) // NEXT)
    for count in (0, 1, 40, 300):
        puller.read.clear()
        before = dict(database.rows)
        for _ in range(count):
            database.insert()
        puller.to_the_end()
        assert sorted(puller.read) == sorted(database.rows.items() - before.items())


def test_a_row_that_is_committed_late_with_a_lower_number_is_read() -> None:
    for size in (3, 90, 400):
        database = Database()
        puller = Puller(database)
        for _ in range(size):
            database.insert()
        late = max(1, size - KEPT // 2)
        del database.rows[late]
        puller.to_the_end()
        database.insert(late)
        for _ in range(30):
            database.insert()
        puller.read.clear()
        puller.to_the_end()
        assert len(puller.read) == 31
        assert (late, database.rows[late]) in puller.read


def test_numbers_that_are_given_again_and_an_empty_database_are_seen() -> None:
    database = Database()
    puller = Puller(database)
    for _ in range(200):
        database.insert()
    puller.to_the_end()
    for number in range(195, 201):
        del database.rows[number]
    for _ in range(4):
        database.insert()
    puller.read.clear()
    puller.to_the_end()
    assert sorted(puller.read) == [(number, database.rows[number]) for number in range(195, 199)]
    database.rows.clear()
    puller.to_the_end()
    for _ in range(250):
        database.insert()
    puller.read.clear()
    puller.to_the_end()
    assert sorted(puller.read) == sorted(database.rows.items())


def happen(what: str, number: int, database: Database, puller: Puller) -> None:
    rows = database.rows
    match what:
        case "insert":
            for _ in range(number):
                database.insert()
        case "delete newest":
            for gone in sorted(rows, reverse=True)[:number]:
                del rows[gone]
        case "delete" if rows:
            del rows[sorted(rows)[number % len(rows)]]
        case "late" if not puller.walk.under_way:
            place = max(rows, default=0) - number
            if place > 0 and place not in rows and len(rows) > KEPT * 2:
                database.insert(place)
        case "empty":
            rows.clear()
        case "page":
            for _ in range(number):
                puller.page()
        case "restart":
            puller.restart()
        case "walk":
            puller.to_the_end()


_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(1, 150)),
        st.tuples(st.just("delete newest"), st.integers(1, 30)),
        st.tuples(st.just("delete"), st.integers(0, 10_000)),
        st.tuples(st.just("late"), st.integers(1, KEPT // 2)),
        st.tuples(st.just("empty"), st.just(0)),
        st.tuples(st.just("page"), st.integers(1, 6)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("walk"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(_OPERATIONS)
def test_every_row_that_stays_is_read(operations: list[tuple[str, int]]) -> None:
    database = Database()
    puller = Puller(database)
    for what, number in operations:
        happen(what, number, database, puller)
    if puller.walk.under_way:
        puller.to_the_end()  # the walk that was under way
    puller.to_the_end()
    assert set(database.rows.items()) <= set(puller.read)
    read = len(puller.read)
    puller.to_the_end()
    assert len(puller.read) == read, "nothing is new, nothing is read again"
    assert len(puller.walk.cursor()) < 8_192


@pytest.mark.parametrize(
    "pages",
    [
        [([(5, "a"), (6, "b")], "")],
        [([(5, "a"), (5, "a")], "")],
        [([(5, "a")], "x"), ([(5, "a")], "x")],
        [([(5, "a")], "x"), ([(9, "c"), (4, "b")], "x")],
    ],
)
def test_pages_that_do_not_go_down_are_refused_and_change_nothing(pages: list[tuple[list[Row], str]]) -> None:
    walk = Walk()
    for rows, following in pages[:-1]:
        walk.take(rows, following)
    before = walk.cursor()
    with pytest.raises(LostOrderError):
        walk.take(*pages[-1])
    assert walk.cursor() == before


@pytest.mark.parametrize(
    "cursor", ["", "x", "{}", "[]", '{"known": 3}', '{"next": null}', json.dumps({"top": {"a": 1}})]
)
def test_a_cursor_that_cannot_be_read_is_a_new_walk(cursor: str) -> None:
    assert Walk.of(cursor) == Walk()


def test_row_numbers() -> None:
    assert row_number("U3BhbjoxNw==") == 17
    assert row_number(cursor_of(123456)) == 123456
    for bad in ("", "x", "U3Bhbjo=", "UHJvamVjdDox", "U3Bhbjotox", cursor_of(10**20), "\u00e9"):
        assert row_number(bad) is None
