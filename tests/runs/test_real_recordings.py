"""Recipes on real recordings reach what their files promise: in short forms, and as they are in `make test-long`."""

import csv
import json
import math

import calling
import launching
import pytest

pytestmark = pytest.mark.real
LIMIT_S = 3600.0
A_FEW_STEPS = ("train.limit_steps=10", "optimizer.learning_rate=3e-4", "optimizer.head_lr_factor=20")
ONE_BATCH = ("--overfit", "1", "train.batch_size=8", "train.crop_s=1", "valid.crop_s=1", "data.workers=0")


def scores(folder):
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def best_accuracy(folder):
    return max(line["valid/accuracy"] for line in scores(folder))


@pytest.mark.parametrize(
    ("epochs", "accuracy", "how"),
    [
        pytest.param(1, 0.6, ("schedule.warmup_epochs=0", *A_FEW_STEPS), id="ten steps"),
        pytest.param(3, 0.95, (), id="three epochs", marks=pytest.mark.long),
    ],
)
def test_esc10_from_published_weights_is_learnt_and_its_sounds_are_named(shared, work, epochs, accuracy, how):
    root = shared / "data" / "ESC-10"
    weights = shared / "weights" / "mn04_as_mAP_432.pt"
    launched = launching.train(
        "esc10_mn04.yaml",
        f"data.params.root={root}",
        "data.params.valid_fold=1",
        f"train.epochs={epochs}",
        f"model.weights={weights}",
        *how,
        processes=2,
        cwd=work,
        timeout=LIMIT_S,
    )
    assert launched.exit_codes == (0, 0), str(launched)
    folder = work / "runs" / "esc10_mn04"
    assert best_accuracy(folder) >= accuracy  # chance is 0.1

    with (root / "meta" / "esc50.csv").open() as table:
        held_out = [row for row in csv.DictReader(table) if row["fold"] == "1" and row["esc10"] == "True"]
    expected = {}
    for category in ("dog", "rain", "helicopter"):
        row = next(row for row in held_out if row["category"] == category)
        expected[str(root / "audio" / row["filename"])] = category
    predicted = calling.pannsdist(
        "predict", "--model", folder / "best_model", *expected, "--topk", "1", "--format", "csv", cwd=work
    )
    assert predicted.exit_code == 0, str(predicted)
    rows = list(csv.reader(predicted.output.splitlines()))
    assert {path: label for path, rank, label, _ in (row for row in rows if len(row) == 4) if rank == "1"} == expected


def test_a_batch_of_esc10_is_learnt_from_scratch(shared, work):
    how = (f"data.params.root={shared / 'data' / 'ESC-10'}", "train.epochs=8", *ONE_BATCH)
    rates = ("schedule.warmup_epochs=0", "optimizer.learning_rate=2e-3")
    launched = calling.train("esc10_cnn6.yaml", *how, *rates, cwd=work)
    assert launched.exit_code == 0, str(launched)
    losses = [line["train/loss"] for line in scores(work / "runs" / "esc10_cnn6")]
    assert losses[-1] < 0.5 * min(losses[0], math.log(10))  # the logarithm is the loss of a guess


@pytest.mark.long
def test_esc10_from_scratch_is_learnt_in_part_by_two_epochs(shared, work):
    root = shared / "data" / "ESC-10"
    overrides = [f"data.params.root={root}", "train.epochs=2"]
    launched = launching.train("esc10_cnn6.yaml", *overrides, processes=2, cwd=work, timeout=LIMIT_S)
    assert launched.exit_codes == (0, 0), str(launched)
    assert best_accuracy(work / "runs" / "esc10_cnn6") >= 0.2  # chance is 0.1
