"""Two processes that open a new store at the same moment both end well, and the schema is there once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from store.control.schema import CONTROL
from store.folder import StoreFolder
from store.telemetry.schema import TELEMETRY

_OPEN = {
    "telemetry": "from store.telemetry.writer import Writer; Writer(folder).close()",
    "control": "from store.control import Control; Control(folder).close()",
}
_VERSIONS = {"telemetry": TELEMETRY.version, "control": CONTROL.version}


@pytest.mark.parametrize("database", list(_OPEN))
def test_processes_that_race_to_make_a_store_all_end_well(folder: StoreFolder, database: str) -> None:
    code = (
        "import sys; from pathlib import Path; from store.folder import StoreFolder; "
        f"folder = StoreFolder(Path(sys.argv[1])); sys.stdin.readline(); {_OPEN[database]}"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(5)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[1] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 5, said
    path: Path = getattr(folder, database)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (_VERSIONS[database],)
        assert connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone() == (_VERSIONS[database],)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
