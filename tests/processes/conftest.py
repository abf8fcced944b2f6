"""Runs of several processes that more than one test looks at, each made once."""

import json
from dataclasses import dataclass
from pathlib import Path

import launching
import numpy as np
import pytest

SCRIPTS = Path(__file__).parent / "scripts"
LATE_S = 35
"""Beyond the 30 s after which gloo gives a collective up."""


@dataclass(frozen=True)
class Results:
    """What the processes of a script left in a folder, by name and rank."""

    folder: Path

    def json(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def arrays(self, name):
        with np.load(self.folder / f"{name}.npz") as file:
            return dict(file)


@pytest.fixture(scope="session", autouse=True)
def late(tmp_path_factory):
    """Two processes of which one is late; they wait while other tests run."""
    folder = tmp_path_factory.mktemp("late") / "results"
    folder.mkdir()
    started = launching.start(SCRIPTS / "late.py", folder, LATE_S, cwd=folder)
    yield started, Results(folder)
    started.kill()


@pytest.fixture(scope="session")
def met(tmp_path_factory):
    """Two processes that did everything in common that a world offers: what each of them got."""
    folder = tmp_path_factory.mktemp("world") / "results"
    folder.mkdir()
    launched = launching.launch(SCRIPTS / "world.py", folder, cwd=folder)
    assert launched.exit_codes == (0, 0), str(launched)
    return [Results(folder).json(f"world.{rank}") for rank in range(2)]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Steps, gradients and scores of two processes, and of one with the same clips."""
    folder = tmp_path_factory.mktemp("training") / "results"
    folder.mkdir()
    for processes in (2, 0):
        launched = launching.launch(SCRIPTS / "training.py", folder, processes=processes, cwd=folder)
        assert launched.exit_code == 0, str(launched)
    return Results(folder)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory):
    """What 50 steps of one, two and four processes saw and lost."""
    folder = tmp_path_factory.mktemp("worlds") / "results"
    folder.mkdir()
    for processes in (0, 2, 4):
        launched = launching.launch(SCRIPTS / "world_sizes.py", folder, processes=processes, cwd=folder)
        assert launched.exit_code == 0, str(launched)
    return Results(folder)
