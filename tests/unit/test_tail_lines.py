"""LineReader: complete lines, offsets that never lie past a newline, bounded memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.formats.base import Line
from collectors.tail.content import Plain
from collectors.tail.lines import READ_BYTES, LineReader, Oversize, Stretch


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def drain(reader: LineReader) -> tuple[list[Line], list[Oversize], list[Stretch]]:
    found: list[Line] = []
    long: list[Oversize] = []
    all_stretches = []
    while True:
        stretch = reader.read()
        assert not stretch.changed
        found += stretch.lines
        long += stretch.oversize
        all_stretches.append(stretch)
        if not stretch.more:
            return found, long, all_stretches


def test_a_partial_line_is_kept_back_until_its_newline(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one\ntw")
    with opened(path) as descriptor:
        reader = LineReader(Plain(descriptor))
        assert drain(reader)[0] == [Line(0, b"one")]
        assert reader.offset == 4
        with path.open("ab") as file:
            file.write(b"o")
        assert drain(reader)[0] == []
        assert reader.offset == 4
        assert reader.unended_line() == Line(4, b"two")
        with path.open("ab") as file:
            file.write(b"\n")
        assert drain(reader)[0] == [Line(4, b"two")]
        assert reader.offset == 8


def test_crlf_blank_lines_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\n \r\none\r\n\r\ntwo  \n\t\n")
    with opened(path) as descriptor:
        reader = LineReader(Plain(descriptor))
        found, _, stretches = drain(reader)
        assert found == [Line(4, b"one"), Line(11, b"two  ")]
        assert sum(stretch.blank for stretch in stretches) == 4
        assert reader.offset == path.stat().st_size
        assert drain(reader)[0] == []


def test_a_line_over_a_read_boundary_is_whole_and_keeps_its_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a"
    long_line = ("é€😀" * (READ_BYTES // 9 + 10)).encode()
    path.write_bytes(b"x" * (READ_BYTES - 1) + b"\n" + long_line + b"\n" + "é\n".encode() * READ_BYTES)
    with opened(path) as descriptor:
        found, long, _ = drain(LineReader(Plain(descriptor)))
    assert not long
    assert found[1].data == long_line
    assert {one.data for one in found[2:]} == {"é".encode()}
    assert len(found) == 2 + READ_BYTES


def test_a_byte_order_mark_is_taken_off_the_first_line_only(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n")
    with opened(path) as descriptor:
        assert drain(LineReader(Plain(descriptor)))[0] == [Line(3, b"{}"), Line(6, b"\xef\xbb\xbf{}")]


@pytest.mark.parametrize("nuls", [1, 1000, 3 * READ_BYTES + 7])
def test_nul_bytes_before_a_line_are_skipped_and_counted(tmp_path: Path, nuls: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\0" * nuls + b"one\ntwo\n")
    with opened(path) as descriptor:
        reader = LineReader(Plain(descriptor), max_line_bytes=1000)
        found, long, stretches = drain(reader)
        assert (found, long) == ([Line(nuls, b"one"), Line(nuls + 4, b"two")], [])
        assert sum(stretch.nul_bytes for stretch in stretches) == nuls
        assert reader.offset == nuls + 8


@pytest.mark.parametrize("limit", [20, 1 << 20])
@pytest.mark.parametrize("extra", [2, 5_000_000])
def test_a_line_past_the_limit_is_hashed_not_held(tmp_path: Path, limit: int, extra: int) -> None:
    path = tmp_path / "a"
    big = b"x" * (limit + extra)
    path.write_bytes(b"one\n" + big + b"\n" + b"y" * limit + b"\ntwo\n")
    with opened(path) as descriptor:
        reader = LineReader(Plain(descriptor), max_line_bytes=limit)
        tracemalloc.start()
        found, long, _ = drain(reader)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [one.data[:3] for one in found] == [b"one", b"yyy", b"two"]
        assert [(one.offset, one.length) for one in long] == [(4, limit + extra)]
        assert long[0].line_hash == hashlib.blake2b(big, digest_size=16).hexdigest()
        assert peak < 4 * max(limit, READ_BYTES) + (1 << 20)
        assert reader.offset == path.stat().st_size


def test_a_file_without_any_newline_stays_at_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    with opened(path) as descriptor:
        reader = LineReader(Plain(descriptor), max_line_bytes=1000)
        assert drain(reader)[:2] == ([], [])
        assert reader.offset == 0
        with path.open("ab") as file:
            file.write(b"xx\nshort\n")
        found, long, _ = drain(reader)
        assert found == [Line(3_000_003, b"short")]
        assert [(one.offset, one.length) for one in long] == [(0, 3_000_002)]


@pytest.mark.parametrize("after", [b"", b"on", b"ONE\ntwo\n", b"ONE\ntwo\nthree and more\n"])
def test_a_file_that_was_cut_or_written_anew_is_noticed(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one\ntwo\n")
    with opened(path) as descriptor:
        reader = LineReader(Plain(descriptor))
        drain(reader)
        path.write_bytes(after)
        assert reader.read().changed


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"bb\n", b" ", "é".encode(), b"c" * 30]), max_size=60),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    max_lines=st.integers(1, 4),
)
def test_any_way_of_writing_the_same_bytes_gives_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], cuts: list[int], max_lines: int
) -> None:
    data = b"".join(pieces)
    path = tmp_path_factory.mktemp("lines") / "a"
    path.touch()
    found: list[Line] = []
    with opened(path) as descriptor:
        reader = LineReader(Plain(descriptor), max_line_bytes=25)
        at = 0
        for cut in sorted({*(min(cut, len(data)) for cut in cuts), len(data)}):
            with path.open("ab") as file:
                file.write(data[at:cut])
            at = cut
            more = True
            while more:
                stretch = reader.read(max_lines)
                found += stretch.lines
                more = stretch.more
            assert reader.offset == data[:at].rfind(b"\n") + 1
            assert reader.head == data[: reader.offset][:4096]
            assert reader.tail == data[: reader.offset][-1024:]
    expected, start = [], 0
    for raw in data.split(b"\n")[:-1]:
        kept = raw[:-1] if raw.endswith(b"\r") else raw
        if kept.strip() and len(kept) <= 25:
            expected.append(Line(start, kept))
        start += len(raw) + 1
    assert found == expected
