"""H45: an audit row that was edited, deleted, moved or cut off is found, and the first bad one is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from store.control import Actor, Control
from store.control.audit import read_head, write_head
from store.folder import StoreFolder

ME = Actor.current()
ROWS = 8


@pytest.fixture
def folder(folder: StoreFolder) -> StoreFolder:
    with Control(folder) as control:
        for number in range(1, ROWS + 1):
            assert control.audit(ME, "test", f"agent:a{number}", {"number": number, "text": "é\x1b"}) == number
    return folder


def tamper(folder: StoreFolder, *statements: str) -> None:
    with closing(sqlite3.connect(folder.control, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def first_bad(folder: StoreFolder) -> int | None:
    with Control(folder) as control:
        bad = control.verify_audit()
        return bad.seq if bad else None


def test_a_whole_chain_is_whole(folder: StoreFolder) -> None:
    assert first_bad(folder) is None


@pytest.mark.parametrize("column", ["entry_id", "at_ns", "actor", "action", "subject", "detail", "prev", "hash"])
def test_an_edit_of_any_column_is_found(folder: StoreFolder, column: str) -> None:
    value = "7" if column == "at_ns" else '\'{"label":"someone else"}\''
    tamper(folder, f"UPDATE audit SET {column} = {value} WHERE seq = 4")
    assert first_bad(folder) == 4


def test_a_deleted_row_is_found(folder: StoreFolder) -> None:
    tamper(folder, "DELETE FROM audit WHERE seq = 4")
    assert first_bad(folder) == 4


def test_a_deleted_row_with_the_rest_moved_up_is_found(folder: StoreFolder) -> None:
    tamper(
        folder,
        "DELETE FROM audit WHERE seq = 4",
        *(f"UPDATE audit SET seq = {n - 1} WHERE seq = {n}" for n in range(5, 9)),
    )
    assert first_bad(folder) == 4


def test_two_rows_in_each_others_place_are_found(folder: StoreFolder) -> None:
    tamper(folder, *(f"UPDATE audit SET seq = {new} WHERE seq = {old}" for old, new in [(4, 99), (5, 4), (99, 5)]))
    assert first_bad(folder) == 4


def test_a_cut_tail_is_found(folder: StoreFolder) -> None:
    tamper(folder, "DELETE FROM audit WHERE seq > 5")
    assert first_bad(folder) == 6


def test_a_cut_tail_without_its_head_is_found(folder: StoreFolder) -> None:
    tamper(folder, "DELETE FROM audit WHERE seq > 5")
    (folder.path / "audit.head").unlink()
    assert first_bad(folder) == 6


def test_a_chain_written_anew_is_found(folder: StoreFolder) -> None:
    tamper(folder, "DELETE FROM audit")
    head = (folder.path / "audit.head").read_bytes()
    with Control(folder) as control:
        for number in range(ROWS):
            control.audit(ME, "another story", str(number))
    (folder.path / "audit.head").write_bytes(head)
    assert first_bad(folder) == ROWS


def test_every_single_deletion_is_found(folder: StoreFolder) -> None:
    for seq in range(1, ROWS + 1):
        with closing(sqlite3.connect(folder.control, isolation_level=None)) as connection:
            row = connection.execute("SELECT * FROM audit WHERE seq = ?", (seq,)).fetchall()[0]
            connection.execute("DELETE FROM audit WHERE seq = ?", (seq,))
            assert first_bad(folder) == seq
            connection.execute(f"INSERT INTO audit VALUES ({', '.join('?' * len(row))})", row)
    assert first_bad(folder) is None


def test_a_head_that_is_late_is_no_alarm_and_it_never_goes_back(folder: StoreFolder) -> None:
    path = folder.path / "audit.head"
    head = read_head(path)
    assert head is not None
    write_head(path, 3, "0" * 64)
    assert read_head(path) == head
    with closing(sqlite3.connect(folder.control)) as connection:
        third = connection.execute("SELECT hash FROM audit WHERE seq = 3").fetchall()[0][0]
    path.unlink()
    write_head(path, 3, third)
    assert first_bad(folder) is None


@pytest.mark.parametrize("spoil", [b"", b"{", b"[1]", b'{"seq": "x", "hash": 1}'])
def test_a_broken_head_is_said(folder: StoreFolder, spoil: bytes) -> None:
    (folder.path / "audit.head").write_bytes(spoil)
    assert first_bad(folder) == ROWS + 1


def test_verify_on_an_empty_chain(folder: StoreFolder, tmp_path: object) -> None:
    empty = StoreFolder(folder.path / "other").prepare()
    assert first_bad(empty) is None


def test_an_entry_is_added_once(folder: StoreFolder) -> None:
    add: Callable[[Control], int] = lambda control: control.audit(ME, "a", "b", entry_id="e-1", at_ns=5)  # noqa: E731
    with Control(folder) as control:
        assert add(control) == add(control) == ROWS + 1
        assert control.audit_rows()[-1].at_ns == 5
