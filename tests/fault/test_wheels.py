"""What is installed is what was built: both wheels in an empty environment, and what if another overwrites ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sysconfig.get_path("scripts")) / "uv"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def call(*command: str | Path, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds andon, andon-guard and what they need, from wheels alone."""
    home = tmp_path_factory.mktemp("wheels")
    for project in (ROOT / "guard", ROOT):
        call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", home / "dist", project, cwd=home)
    call(sys.executable, "-m", "venv", "--without-pip", home / "env", cwd=home)
    installer = [UV, "pip"] if UV.exists() else [sys.executable, "-m", "pip"]
    python = home / "env" / "bin" / "python"
    call(*installer, "install", "--python", python, "--find-links", home / "dist", "andon", cwd=home)
    return home / "env" / "bin"


def test_andon_answers_and_its_data_files_came_along(installed: Path, tmp_path: Path) -> None:
    assert "Commands:" in call(installed / "andon", "--help", cwd=tmp_path)
    board = call(installed / "andon", "demo", cwd=tmp_path)
    assert "billing-bot" in board
    code = "from runbooks.playbooks.load import load_playbooks; print(*load_playbooks())"
    assert "runaway-loop" in call(installed / "python", "-P", "-c", code, cwd=tmp_path)


def test_the_guard_needs_nothing_of_ours(installed: Path, tmp_path: Path) -> None:
    code = "import sys, andon_guard; print(sorted({'console', 'store', 'collectors', 'runbooks'} & set(sys.modules)))"
    assert call(installed / "python", "-P", "-c", code, cwd=tmp_path).strip() == "[]"


def test_a_package_that_overwrote_ours_is_said_and_nothing_opens(installed: Path, tmp_path: Path) -> None:
    """PyPI's own `store` or `console`, installed into the same environment, overwrites our __init__.py."""
    (victim,) = (installed.parent / "lib").glob("python3*/site-packages/store/__init__.py")
    before = victim.read_bytes()
    victim.write_text("# somebody else's store\n")
    try:
        said = call(installed / "andon", "--help", cwd=tmp_path, code=2)
    finally:
        victim.write_bytes(before)
    assert "overwritten by another package" in said
    assert "pipx install andon" in said
