"""Running statistics of batch norm in two processes: their own within an epoch, one for all in an evaluation."""

import json
import math

import calling
import launching
import numpy as np
import pytest

from pannsdist.training.checkpoint import CheckpointStore

SETTINGS = """\
name: normed
model: {name: tiny}
data: {name: noted, workers: 0, params: {clips: 6}}
train: {epochs: 2, batch_size: 4, crop_s: 0.3}
valid: {batch_size: 1}
schedule: {name: constant}
optimizer: {learning_rate: 0.001}
log: {every_steps: 1}
trackers: {visualdl: null}
"""
STEPS = 3
"""Of an epoch: 12 clips in batches of four, two of each process."""


def command(work, *overrides):
    work.mkdir(exist_ok=True)
    (work / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    return launching.Command((launching.TRAIN, "-c", work / "settings.yaml", *overrides), work)


def straight(work, _):
    return command(work)


def cut(work, _):
    return command(work, "train.max_steps=4")


def resumed(work, _):
    """In the folder of the run that was cut, which comes before it by name."""
    return command(work.with_name("statistics_1_cut"))


IN_TURN = {"statistics 0 straight": straight, "statistics 1 cut": cut, "statistics 2 resumed": resumed}


@pytest.fixture(scope="module")
def runs(together):
    """The working folders of a run without a break, and of one that was cut in its second epoch and resumed."""
    found = {}
    for name in IN_TURN:
        assert together[name].launched.exit_codes == (0, 0), str(together[name].launched)
        found[name.split()[-1]] = together[name].work
    return found


def last(work):
    return CheckpointStore(work / "runs" / "normed" / "checkpoints", keep=1).load_latest().snapshot


def test_a_run_that_resumes_in_mid_epoch_has_the_statistics_of_each_process(runs):
    """Those of one process for both would give other means at the end of the epoch, and with them other scores."""
    one, other = last(runs["straight"]), last(runs["resumed"])
    assert one.progress.step == other.progress.step == 2 * STEPS
    assert any(name.endswith("_mean") for name in one.model)
    assert one.model.keys() == other.model.keys()
    for name, array in one.model.items():
        np.testing.assert_array_equal(array, other.model[name], err_msg=name)
    assert one.progress.scores == other.progress.scores


def test_the_scores_of_both_processes_are_those_of_the_saved_weights(runs, env):
    """Each process evaluates some of the clips: with statistics of its own, its scores would be of another network."""
    folder = runs["straight"] / "runs" / "normed"
    record = json.loads((folder / "best_model" / "bundle.json").read_text(encoding="utf-8"))
    command = ("evaluate", "--model", folder / "best_model", "-c", folder / "settings.yaml", "--format", "json")
    launched = calling.pannsdist(*command, cwd=runs["straight"], env=env)
    assert launched.exit_code == 0, str(launched)
    said = json.loads(launched.output[launched.output.index("{") :])["scores"]
    valid = {name: float(value) for name, value in record["scores"].items() if name.startswith("valid/")}
    assert {name: one["value"] for name, one in said.items()} == {
        name: value if math.isfinite(value) else None for name, value in valid.items()
    }
