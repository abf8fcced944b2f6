"""Two, four and one processes that run all scripts of this folder in turn: most of a start is the import of Paddle."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import changing_worlds
import event_sounds
import hub_parts
import launching
import numpy as np
import paddle
import pytest
import tiny
from bad_clips import skipped_clips, tested

SCRIPTS = Path(__file__).parent / "scripts"
EXPERIMENTS = launching.PROJECT / "pannsdist" / "run" / "doctor" / "proving" / "experiments.py"
SIZED = ("world_sizes", "event_scores")
"""The scripts that one, two and four processes run."""
LATE_S = 35
"""Beyond the 30 s after which gloo gives a collective up."""
TOOLS = (
    *("train.epochs=2", "train.accumulate_steps=2", "train.clip_norm=1", "train.amp=bf16", "train.ema_decay=0.9"),
    *("train.freeze=[conv_block1]", "train.unfreeze_epoch=2", "train.recompute=true", "loss.name=focal"),
    *("optimizer.layer_decay=0.8", "optimizer.head_lr_factor=5", "schedule.name=one_cycle", "schedule.warmup_epochs=0"),
)
REFUSED = {
    "sync_batch_norm": "train.sync_batch_norm=true",
    "freeze": "train.freeze=[conv_blok1]",
    "accumulate_steps": "train.accumulate_steps=3",
}


@dataclass(frozen=True)
class Results:
    """What the processes of a script left in a folder, by name and rank."""

    folder: Path

    def json(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def arrays(self, name):
        with np.load(self.folder / f"{name}.npz") as file:
            return dict(file)

    def ranks(self, name, size):
        return [self.arrays(f"{name}.{rank}of{size}") for rank in range(size)]


@pytest.fixture(scope="session", autouse=True)
def late(tmp_path_factory):
    """Two processes of which one is late; they wait while other tests run."""
    folder = tmp_path_factory.mktemp("late") / "results"
    folder.mkdir()
    started = launching.start(SCRIPTS / "late.py", folder, LATE_S, cwd=folder)
    yield started, Results(folder)
    started.kill()


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """The folder in which every script has one of its own."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="session")
def env(place):
    """Where the tiny plugins are installed, and the weights of `plain`; sounds with events are written, too."""
    event_sounds.write(place / "event_scores")
    event_sounds.write(changing_worlds.sounds(place))
    hub_parts.install(place / "hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANNSDIST_HOME", str(place / "home"))
        paddle.seed(7)
        hub_parts.put_weights(hub_parts.Plain, hub_parts.PlainLayer(hub_parts.BINS, 527))
    path = (str(place / "hub"), tiny.install(place / "site")["PYTHONPATH"])
    return {"PANNSDIST_HOME": str(place / "home"), "PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture(scope="session")
def results(place):
    """The results of a script by its name; the fixtures `two`, `four` and `alone` write them."""
    return lambda name: Results(place / name)


def script(place, name):
    """A script of this folder that leaves its results in a folder of its name."""
    return launching.Command((SCRIPTS / f"{name}.py", place / name), place / name)


def face(place, name, *arguments):
    """A run of hub.Trainer: batch size of each process, and epochs of each session."""
    return launching.Command((SCRIPTS / "paddlehub_face.py", name, *arguments), place / "face")


def proving(place, name):
    """What `doctor --prove` runs in every process, without the real network that it times."""
    wanted = {"parts": ["claims", "all_reduce"], "bytes": [4, 1 << 20], "batch_size": 4}
    return launching.Command((EXPERIMENTS, place / name / "proving.json", json.dumps(wanted)), place / name)


def train(place, name, *overrides):
    return launching.training("tones_cnn6.yaml", *launching.TINY, *overrides, cwd=place / name)


@pytest.fixture(scope="session")
def two(place, env):
    """What came of each script and command in two processes."""
    commands = {name: script(place, name) for name in ("world", "training", "freezing", *SIZED)}
    commands |= {"both": face(place, "both", 2, 3), "default": face(place, "default", 2, 1, 2)}
    commands |= {name: train(place, f"refused_{name}", setting) for name, setting in REFUSED.items()}
    commands |= {"tools": train(place, "tools", *TOOLS)}
    commands |= {"bad clips": skipped_clips(SCRIPTS / "fitting.py", place / "bad_clips")}
    commands |= {"tested": tested(place / "tested"), "proving": proving(place, "proof2")}
    commands |= changing_worlds.part(place, 2)
    return launching.in_turn(commands, place / "two", env=env)


@pytest.fixture(scope="session")
def four(place, env):
    """The same of four processes."""
    commands = {name: script(place, name) for name in ("freezing", *SIZED)}
    commands |= {"train": train(place, "four_train", "model.name=tiny", "name=tiny")}
    return launching.in_turn(commands, place / "four", processes=4, env=env)


@pytest.fixture(scope="session")
def alone(place, env, two):  # noqa: ARG001 - some runs of it are gone on with
    """The same of one process, with which they are compared."""
    commands = {name: script(place, name) for name in ("training", "freezing", *SIZED)}
    commands |= {"alone": face(place, "alone", 4, 3), "unaveraged": face(place, "unaveraged", 2, 3)}
    commands |= {"train": train(place, "one_train", "model.name=tiny", "name=tiny")}
    commands |= {"proving": proving(place, "proof1")}
    commands |= changing_worlds.part(place, 1) | changing_worlds.whole(place)
    return launching.in_turn(commands, place / "one", processes=0, env=env)
