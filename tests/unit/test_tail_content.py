"""Packed: the unpacked bytes of a gzip file at any place, in bounded memory, and why there are no more."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.tail import content
from collectors.tail.content import Packed, Plain, Trouble, content_of


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def packed(path: Path, data: bytes, members: int = 1) -> Path:
    size = len(data) // members + 1
    path.write_bytes(b"".join(gzip.compress(data[at : at + size], 1) for at in range(0, len(data), size)))
    return path


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_BACK_BYTES", 4_000)
    monkeypatch.setattr(content, "_OUT_BYTES", 1_000)


@pytest.mark.usefixtures("small_window")
@pytest.mark.parametrize("members", [1, 7])
def test_any_place_in_any_order(tmp_path: Path, members: int) -> None:
    choice = random.Random(members)
    data = choice.randbytes(100_000)
    with opened(packed(tmp_path / "a.gz", data, members)) as descriptor:
        found = content_of(descriptor)
        assert isinstance(found, Packed)
        for _ in range(60):
            position, length = choice.randrange(110_000), choice.randrange(9_000)
            assert found.pread(length, position) == data[position : position + length], (position, length)
        assert found.pread(200_000, 0) == data
        assert found.pread(1, len(data)) == b""
        assert (found.size(), found.is_whole, found.trouble) == (len(data), True, None)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_file_that_is_written_in_two_pieces_is_read_on(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.mktemp("two") / "a.gz"
    raw, data = b"".join(gzip.compress(piece) for piece in pieces), b"".join(pieces)
    path.write_bytes(raw[:cut])
    with opened(path) as descriptor:
        found = Packed(descriptor)
        begun = found.pread(1000, 0)
        assert data.startswith(begun)
        path.write_bytes(raw)
        assert found.pread(1000, 0) == data
        assert found.is_whole


def test_what_ends_too_early_is_damaged_or_is_cut_says_so(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(50_000)
    raw = gzip.compress(data)
    path = tmp_path / "a.gz"
    for changed, trouble in (
        (raw[:30_000], Trouble.CUT),
        (raw + b"what is no member", Trouble.DAMAGED),
        (raw[:-8] + b"\0" * 8, Trouble.DAMAGED),
    ):
        path.write_bytes(changed)
        with opened(path) as descriptor:
            found = Packed(descriptor)
            assert data.startswith(found.pread(100_000, 0))
            assert found.trouble is trouble


def test_a_file_that_was_cut_has_no_size_until_it_is_read_anew(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.gz", b"one\n" * 1000)
    with opened(path) as descriptor:
        found = Packed(descriptor)
        assert len(found.pread(10_000, 0)) == 4000
        path.write_bytes(b"")
        assert found.size() == 0


def test_what_is_not_packed_is_read_as_it_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one\ntwo\n")
    with opened(path) as descriptor:
        found = content_of(descriptor)
        assert isinstance(found, Plain)
        assert (found.pread(3, 4), found.size()) == (b"two", 8)
