"""The store folder is private, and never somebody else's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from store.folder import StoreError, StoreFolder


def test_a_folder_of_other_things_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    tmp_path.chmod(0o755)
    with pytest.raises(StoreError, match="holds other things"):
        StoreFolder(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_store_that_was_begun_is_prepared_again(folder: StoreFolder) -> None:
    folder.log.rmdir()
    assert folder.prepare().log.is_dir()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_path_that_is_a_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(StoreError, match="cannot be used"):
        StoreFolder(path).prepare()
