"""hub.Trainer under the real launcher: PaddleHub's own averages no gradients there."""

import json

import numpy as np
import paddle
import pytest


@pytest.fixture(scope="module")
def runs(two, alone, place):
    """The folder with what every run left, and what was printed in each."""
    return place / "face", two | {name: alone[name] for name in ("alone", "unaveraged")}


def weights(folder, name):
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def seen(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def losses(folder, name):
    checkpoints = sorted((folder / name / "checkpoints").glob("step_*"))
    return [json.loads((path / "progress.json").read_text())["scores"]["train/loss"] for path in checkpoints]


def test_two_processes_hold_the_same_weights_to_the_last_bit(runs):
    left, right = (weights(runs[0], f"both.{rank}of2") for rank in range(2))
    assert left.keys() == right.keys() and len(left) == 4
    assert all(np.array_equal(left[key], right[key]) for key in left)


def test_they_are_those_of_one_process_with_the_same_batches(runs):
    folder, _ = runs
    both, alone = weights(folder, "both.0of2"), weights(folder, "alone.0of1")
    for key in both:
        np.testing.assert_allclose(both[key], alone[key], rtol=0, atol=1e-5)
    assert losses(folder, "both") == pytest.approx(losses(folder, "alone"), rel=1e-5)


def test_they_are_not_those_of_a_process_that_trains_on_its_shard_alone(runs):
    folder, _ = runs
    both, unaveraged = weights(folder, "both.0of2"), weights(folder, "unaveraged.0of1")
    assert max(np.abs(both[key] - unaveraged[key]).max() for key in both) > 1e-2


def test_an_evaluation_is_the_same_in_every_process_and_counts_each_item_once(runs):
    folder, _ = runs
    left, right, alone = (seen(folder, name) for name in ("both.0of2", "both.1of2", "alone.0of1"))
    assert left["metrics"] == right["metrics"]
    assert left["metrics"] == pytest.approx(alone["metrics"], rel=1e-4)


def test_a_folder_that_nobody_named_is_the_same_for_all_processes(runs):
    folder, _ = runs
    left, right = (seen(folder, f"default.{rank}of2") for rank in range(2))
    assert left["folder"] == right["folder"]
    assert (folder / left["folder"] / "best_model" / "model.pdparams").is_file()


def test_different_weights_at_first_become_those_of_the_first_process(runs):
    left, right = (weights(runs[0], f"default.{rank}of2") for rank in range(2))
    assert all(np.array_equal(left[key], right[key]) for key in left)


def test_only_the_first_process_prints(runs):
    _, said = runs
    remark = "use_gpu=True, but Paddle finds no GPU: using the CPU"
    counts = [said[name].logs[0].count(remark) for name in ("both", "default", "alone")]
    if not paddle.device.is_compiled_with_cuda():
        assert counts == [1, 0, 1], "once in a process, and `both` and `default` ran in the same ones"
    for name in ("both", "default"):
        first, second = said[name].logs
        assert "epochs done; best model from epoch" in first
        for line in ("use_gpu", "plain starts from", "epochs done", "evaluation  acc"):
            assert line not in second
