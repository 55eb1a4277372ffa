"""T42: random actions of a writer, of the machine and of the collector; `make soak` runs many more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.folder import StoreFolder
from tests.fault.model import Model


def run(where: Path, seed: int, *, live: bool, poll: bool = False) -> None:
    """One sequence of thirty actions in a folder of its own."""
    logs = where / f"{seed}" / "logs"
    logs.mkdir(parents=True)
    model = Model(StoreFolder(where / f"{seed}" / "store").prepare(), logs, seed, live=live, poll=poll)
    try:
        model.run()
        model.check()
    except BaseException as error:
        error.add_note(f"seed {seed}, live {live}, poll {poll}: {' '.join(model.history)}")
        raise
    finally:
        model.end()


@pytest.mark.parametrize("block", range(10))
def test_t42_restarts_and_halts(tmp_path: Path, block: int) -> None:
    """Forty-six sequences a block, each reading from start to end or stopped in the middle."""
    for seed in range(block * 46, block * 46 + 46):
        run(tmp_path, seed, live=False)


@pytest.mark.parametrize("poll", [False, True], ids=["events", "polling"])
@pytest.mark.parametrize("block", range(4))
def test_t42_a_process_that_is_killed_stopped_and_paused(tmp_path: Path, block: int, poll: bool) -> None:
    for seed in range(1000 + block * 5, 1005 + block * 5):
        run(tmp_path, seed, live=True, poll=poll)
