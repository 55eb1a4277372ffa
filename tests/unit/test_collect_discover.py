"""Selection: what a path, a folder and a glob come to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collectors.discover import Selection, has_log_ending


def made(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n")


def names(selection: Selection, root: Path) -> list[str]:
    return [os.path.relpath(path, root) for path in selection.expand().files]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.jsonl", True),
        ("a.ndjson", True),
        ("a.json", True),
        ("a.log", True),
        ("a.LOG", True),
        ("a.log.1", True),
        ("a.jsonl-20260131", True),
        ("a.log.2026-01-31T02:00", True),
        ("a.log.1.gz", True),
        ("a.log.1.zip", False),
        ("a.txt", False),
        ("a.logo", False),
        ("log", False),
    ],
)
def test_endings(name: str, wanted: bool) -> None:
    assert has_log_ending(name) is wanted


def test_a_folder_is_taken_whole_and_a_named_file_whatever_its_ending(tmp_path: Path) -> None:
    made(tmp_path / "d/a.jsonl", tmp_path / "d/e/.hidden/b.log.2", tmp_path / "d/c.txt", tmp_path / "named.txt")
    selection = Selection([tmp_path / "d", tmp_path / "named.txt"])
    assert names(selection, tmp_path) == ["d/a.jsonl", "d/e/.hidden/b.log.2", "named.txt"]


def test_a_loop_of_links_ends_and_a_linked_folder_is_entered_once(tmp_path: Path) -> None:
    made(tmp_path / "d/a.jsonl", tmp_path / "other/b.jsonl")
    (tmp_path / "d/loop").symlink_to(tmp_path / "d")
    (tmp_path / "d/there").symlink_to(tmp_path / "other")
    (tmp_path / "d/again").symlink_to(tmp_path / "other")
    found = Selection([tmp_path / "d"]).expand()
    assert sorted(os.path.realpath(path) for path in found.files) == [
        str(tmp_path / "d/a.jsonl"),
        str(tmp_path / "other/b.jsonl"),
    ]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*.jsonl", ["a.jsonl", "b.jsonl"]),
        ("[!b].jsonl", ["a.jsonl"]),
        ("?.log", ["c.log"]),
        ("**/*.txt", ["d/e/x.txt", "d/y.txt"]),
        ("d/*/x.*", ["d/e/x.txt"]),
        ("d*", ["d/e/z.log"]),
    ],
)
def test_globs_find_and_accept_the_same(tmp_path: Path, pattern: str, wanted: list[str]) -> None:
    every = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.log", "d/e/x.txt", "d/y.txt", "d/e/z.log", "cc.log")]
    made(*every)
    selection = Selection([f"{tmp_path}/{pattern}"])
    assert sorted(names(selection, tmp_path)) == wanted
    assert sorted(os.path.relpath(path, tmp_path) for path in every if selection.accepts(str(path))) == wanted


def test_accepts_follows_the_same_rules_as_expand(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    selection = Selection([tmp_path / "d", tmp_path / "one.txt"])
    assert selection.accepts(str(tmp_path / "d/new/x.jsonl"))
    assert selection.accepts(str(tmp_path / "one.txt"))
    assert not selection.accepts(str(tmp_path / "d/new/x.txt"))
    assert not selection.accepts(str(tmp_path / "dd/x.jsonl"))
    assert not selection.accepts(str(tmp_path / "one.txt.1"))
    assert selection.is_family(str(tmp_path / "one.txt.1"))


def test_a_name_with_wildcard_signs_that_exists_is_a_file(tmp_path: Path) -> None:
    made(tmp_path / "a[1].jsonl")
    assert names(Selection([tmp_path / "a[1].jsonl"]), tmp_path) == ["a[1].jsonl"]


def test_nothing_found_is_a_problem_not_an_error(tmp_path: Path) -> None:
    found = Selection([f"{tmp_path}/*.jsonl", tmp_path / "missing/x.log"]).expand()
    assert [problem.reason for problem in found.problems] == ["nothing matches it yet"]
    assert found.files == [str(tmp_path / "missing/x.log")]
    assert str(tmp_path) in found.flat
