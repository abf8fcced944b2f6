"""One tiny run that many tests look at."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import launching
import pytest


@dataclass(frozen=True)
class Run:
    """A run that was made in the working folder `work`, and what was said."""

    work: Path
    folder: Path
    launched: launching.Launched
    log_dir: Path

    @property
    def scores(self):
        return [json.loads(line) for line in (self.folder / "scores.jsonl").read_text().splitlines()]

    def copied(self, work):
        """The same run in another working folder."""
        folder = work / "runs" / self.folder.name
        shutil.copytree(self.folder, folder, symlinks=True)
        return Run(work, folder, self.launched, self.log_dir)


@pytest.fixture
def work(tmp_path):
    """An empty working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """One epoch of a tiny network, trained by two processes."""
    work = tmp_path_factory.mktemp("run") / "work"
    work.mkdir()
    log_dir = work / "paddle_log"
    overrides = (*launching.TINY, *launching.CONSTANT, "name=tiny")
    launched = launching.train("tones_cnn6.yaml", *overrides, processes=2, cwd=work, log_dir=log_dir)
    assert launched.exit_codes == (0, 0), str(launched)
    return Run(work, work / "runs" / "tiny", launched, log_dir)
