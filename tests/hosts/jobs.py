"""A small run on several machines, and what it leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import ledger
import numpy as np
from network import LIMIT_S, Command, Host

from pannsdist.training.checkpoint import CheckpointStore
from pannsdist.weights import read_paddle

PORT = 29400
SETTINGS = (
    "name=hosts",
    "model.name=tiny",
    "data.name=noted",
    "data.workers=0",
    "train.batch_size=6",
    "train.crop_s=0.3",
    "train.epochs=15",
    "valid.batch_size=2",
    "save.every_steps=1",
    "log.every_steps=4",
    "trackers.ledger={}",
)
STEPS, BATCH, EPOCH_STEPS = 60, 6, 4
CLIPS = tuple(f"train/{label}/{number}" for label in ("high", "low") for number in range(12))
PLAIN = (
    *SETTINGS,
    "model.params.plain=true",
    "optimizer.name=SGD",
    "optimizer.learning_rate=0.01",
)
"""Without batch norm, so that the result does not depend on the number of nodes but for rounding."""
SHORT = (*SETTINGS, "train.epochs=3")
LONG = (*PLAIN, "train.epochs=60")


def command(nodes: str, master: str, *options: object, settings=SETTINGS) -> tuple[object, ...]:
    """The command that is typed on every node."""
    where = ("--nodes", nodes, "--master", f"{master}:{PORT}", "--nproc", 1)
    return ("train", *where, *options, "-c", "recipe:tones_cnn6", *settings)


def start(
    hosts: list[Host], nodes: str, *options: object, cwd: Path, env, settings=SETTINGS, master: str = ""
) -> list[Command]:
    """Start the command on hosts, of which the first is the master; `master` is what else it is called."""
    typed = command(nodes, master or hosts[0].address, *options, settings=settings)
    return [host.start(*typed, cwd=cwd, env=env) for host in hosts]


def working_folder(folder: Path) -> Path:
    """A new working folder, in which the processes note what they do."""
    work = folder / "work"
    (work / ledger.FOLDER).mkdir(parents=True)
    return work


def store(work: Path) -> CheckpointStore:
    return CheckpointStore(work / "runs" / "hosts" / "checkpoints", keep=1)


def newest_step(work: Path) -> int:
    return max((int(path.name.removeprefix("step_")) for path in store(work).folders), default=0)


def wait_for_steps(commands: list[Command], work: Path, steps: int) -> None:
    """Return when there is a checkpoint of so many steps more."""
    aim = newest_step(work) + steps
    wait_until(lambda: newest_step(work) >= aim, commands)


def wait_until(is_so: Callable[[], bool], commands: list[Command]) -> None:
    """Return when it is so; none of the commands may end before."""
    limit = time.monotonic() + LIMIT_S
    while not is_so():
        for one in commands:
            assert one.process.poll() is None, f"{one.host.namespace} has ended\n{one.output}"
        assert time.monotonic() < limit, "\n".join(one.output for one in commands)
        time.sleep(0.02)


def lost_clips(work: Path, steps: int) -> tuple[int, list[str]]:
    """How many clips so many steps have to be trained on, and those of which an epoch was not, or more than once."""
    epochs = steps // EPOCH_STEPS
    return epochs * len(CLIPS), ledger.lost(ledger.trained(work, BATCH, steps), CLIPS, epochs)


def weights(work: Path, steps: int) -> dict[str, np.ndarray]:
    """What the last checkpoint has: the network and the optimizer, at the last step."""
    snapshot = store(work).load_latest().snapshot
    assert snapshot.progress.step == steps, snapshot.progress
    optimizer = {f"optimizer {name}": value for name, value in snapshot.optimizer.items()}
    best = read_paddle(work / "runs" / "hosts" / "best_model" / "model.pdparams")
    return {**snapshot.model, **optimizer, **{f"best {name}": value for name, value in best.items()}}


def scores(work: Path) -> list[dict]:
    lines = (work / "runs" / "hosts" / "scores.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def difference(work: Path, other: Path, steps: int, tolerance: float) -> float:
    """The largest difference of a weight between two runs; asserts that it is tolerable.

    Without tolerance the scores have to be the same too; otherwise the same epochs have to be evaluated, and of two
    that score the same but for rounding, either may be the best.
    """
    one, two = weights(work, steps), weights(other, steps)
    assert one.keys() == two.keys()
    compared = [name for name in one if not (tolerance and name.startswith("best "))]
    for name in compared:
        np.testing.assert_allclose(one[name], two[name], rtol=0, atol=tolerance, err_msg=name)
    keys = ("epoch",) if tolerance else scores(other)[0].keys()
    assert [[score[key] for key in keys] for score in scores(work)] == [
        [score[key] for key in keys] for score in scores(other)
    ]
    return max(float(np.abs(np.subtract(one[name], two[name], dtype=np.float64)).max()) for name in compared)


def assert_same(work: Path, other: Path) -> None:
    """Whether two runs ended with the same, to the last bit."""
    difference(work, other, STEPS, 0.0)
