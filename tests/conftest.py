"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.folder import StoreFolder

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StoreFolder]:
    """An empty store folder, made under the widest umask there is."""
    before = os.umask(0)
    try:
        yield StoreFolder(tmp_path / "store").prepare()
    finally:
        os.umask(before)


@pytest.fixture
def shared_data() -> Path:
    """Real agent logs beside the checkout; without them the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip("the real agent logs (shared/data beside the checkout) are not here")
    return SHARED
