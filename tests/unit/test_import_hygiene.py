"""The headless packages never import Textual, whichever of their modules is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
rooms = {"textual", "console", "store", "collectors", "runbooks"}
print(*sorted({name.partition(".")[0] for name in sys.modules} & rooms))
"""


@pytest.mark.parametrize(
    ("packages", "loaded"),
    [
        (["store"], "store"),
        (["collectors"], "collectors store"),
        (["runbooks"], "runbooks store"),
        (["andon_guard"], ""),
        (["console.cli", "console.demo"], "collectors console runbooks store"),
    ],
)
def test_a_headless_package_loads_no_more_than_it_may(packages: list[str], loaded: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *packages], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    allowed = set(loaded.split())
    assert set(done.stdout.split()) <= allowed, done.stdout
    assert "textual" not in done.stdout.split()
