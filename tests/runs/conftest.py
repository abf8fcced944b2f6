"""Runs that many tests look at, each made once."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import killing
import launching
import pytest
import small_disks
import tiny
import tiny_training_plugins

FAULTY_TRACKERS = Path(__file__).resolve().parents[1] / "unit"


@dataclass(frozen=True)
class Run:
    """A run that was made in the working folder `work`, and what was printed."""

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
    """One epoch of a small network, trained by two processes as a user starts them."""
    work = tmp_path_factory.mktemp("run") / "work"
    work.mkdir()
    log_dir = work / "paddle_log"
    overrides = (*launching.TINY, *launching.CONSTANT, "name=tiny")
    launched = launching.train("tones_cnn6.yaml", *overrides, processes=2, cwd=work, log_dir=log_dir)
    assert launched.exit_codes == (0, 0), str(launched)
    return Run(work, work / "runs" / "tiny", launched, log_dir)


@pytest.fixture(scope="session")
def env(tmp_path_factory):
    """The plugins of `tiny` are installed; W&B's own log goes into a folder of the tests."""
    folder = tmp_path_factory.mktemp("tiny")
    places = {f"WANDB_{name}_DIR": str(folder / "wandb") for name in ("CACHE", "CONFIG", "DATA")}
    return {**places, **tiny.install(folder / "site")}


@pytest.fixture(scope="session")
def all_plugins(tmp_path_factory, env):
    """Also an optimizer, a schedule and a metric of another distribution, and a tracker with a fault."""
    folder = tmp_path_factory.mktemp("plugins")
    info = folder / "faulty" / "faulty_trackers-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-trackers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pannsdist.trackers]\nfaulty = faulty_trackers:FaultyTracker\n")
    judge = tiny_training_plugins.install(folder / "judge")
    path = (judge, str(folder / "faulty"), str(FAULTY_TRACKERS), env["PYTHONPATH"])
    return {**env, "PYTHONPATH": os.pathsep.join(path)}


class Disks:
    """Small disks of their own. Without the right to mount one it stays a folder."""

    def __init__(self):
        self.folders = []

    def mount(self, folder, size):
        folder.mkdir()
        if small_disks.mount(folder, size):
            self.folders.append(folder)

    def unmount(self):
        for folder in self.folders:
            small_disks.unmount(folder)


@pytest.fixture(scope="session")
def disks():
    found = Disks()
    yield found
    found.unmount()


@dataclass(frozen=True)
class Outcome:
    """What a run of two processes came to, and its working folder."""

    work: Path
    launched: launching.Launched


@pytest.fixture(scope="session")
def together(request, tmp_path_factory, all_plugins):
    """What came of every run that the test files name in IN_TURN; the same two processes make them one after another.

    IN_TURN maps a name to a function of a working folder and of `request.getfixturevalue` that gives the command.
    """
    place = tmp_path_factory.mktemp("together")
    modules = {item.module for item in request.session.items}
    planned = {name: plan for module in modules for name, plan in getattr(module, "IN_TURN", {}).items()}
    commands = {}
    for name in sorted(planned):
        work = place / name.replace(" ", "_")
        work.mkdir()
        commands[name] = planned[name](work, request.getfixturevalue)
    launched = launching.in_turn(commands, place / "files", env=all_plugins)
    return {name: Outcome(commands[name].cwd, outcome) for name, outcome in launched.items()}


@pytest.fixture(scope="session")
def killed(tmp_path_factory, all_plugins):
    """A run of two processes that was stopped and killed at seeded moments, and then came to its end."""
    return killing.killed_run(tmp_path_factory.mktemp("killed") / "work", all_plugins)
