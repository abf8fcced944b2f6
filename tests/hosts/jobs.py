"""A small run on several machines, and what it leaves."""

from __future__ import annotations

import json
import time
from pathlib import Path

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
)
STEPS = 60
PLAIN = (
    *(one for one in SETTINGS if not one.startswith("train.epochs")),
    "train.epochs=40",
    "model.params.plain=true",
    "optimizer.name=SGD",
    "optimizer.learning_rate=0.01",
)
"""Without batch norm, so that the result does not depend on the number of nodes but for rounding."""


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


def store(work: Path) -> CheckpointStore:
    return CheckpointStore(work / "runs" / "hosts" / "checkpoints", keep=1)


def newest_step(work: Path) -> int:
    return max((int(path.name.removeprefix("step_")) for path in store(work).folders), default=0)


def wait_for_steps(commands: list[Command], work: Path, steps: int) -> None:
    """Return when there is a checkpoint of so many steps more."""
    aim, limit = newest_step(work) + steps, time.monotonic() + LIMIT_S
    while newest_step(work) < aim:
        for one in commands:
            assert one.process.poll() is None, f"{one.host.namespace} has ended\n{one.output}"
        assert time.monotonic() < limit, "\n".join(one.output for one in commands)
        time.sleep(0.02)


def weights(work: Path, steps: int = STEPS) -> dict[str, np.ndarray]:
    """What the last checkpoint has: the network and the optimizer, at the last step."""
    snapshot = store(work).load_latest().snapshot
    assert snapshot.progress.step == steps, snapshot.progress
    optimizer = {f"optimizer {name}": value for name, value in snapshot.optimizer.items()}
    best = read_paddle(work / "runs" / "hosts" / "best_model" / "model.pdparams")
    return {**snapshot.model, **optimizer, **{f"best {name}": value for name, value in best.items()}}


def scores(work: Path) -> list[dict]:
    lines = (work / "runs" / "hosts" / "scores.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def assert_same(work: Path, other: Path) -> None:
    """Whether two runs ended with the same, to the last bit."""
    one, two = weights(work), weights(other)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)
    assert scores(work) == scores(other)


def assert_close(work: Path, other: Path, steps: int, tolerance: float) -> None:
    """Whether two runs ended with nearly the same weights, and evaluated the same epochs."""
    one, two = weights(work, steps), weights(other, steps)
    assert one.keys() == two.keys()
    for name, value in one.items():
        if not name.startswith("best "):  # of two epochs that score the same but for rounding, either may be the best
            np.testing.assert_allclose(value, two[name], rtol=0, atol=tolerance, err_msg=name)
    assert [score["epoch"] for score in scores(work)] == [score["epoch"] for score in scores(other)]
