"""andon.toml: what may stand in it, and what is said where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.registry.config import load_config
from store.registry.model import RegistryError


def test_rotate_wait_is_an_age(tmp_path: Path) -> None:
    path = tmp_path / "andon.toml"
    assert load_config(path).rotate_wait_s == 30
    path.write_text('rotate_wait = "5m"\n')
    assert load_config(path).rotate_wait_s == 300
    path.write_text('rotate_wait = "soon"\n')
    with pytest.raises(RegistryError, match="rotate_wait"):
        load_config(path)
