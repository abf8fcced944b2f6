"""Calibration by the real commands: in a cross-validation, of one run, and refused on clips of its training."""

import csv
import json
import shutil

import calling
import launching
import numpy as np
import pytest

pytestmark = [pytest.mark.any_paddle, pytest.mark.slow]

CONFIG = launching.CONFIGS / "tones_cnn6.yaml"
SETTINGS = (*launching.TINY, *launching.CONSTANT, "train.epochs=2", "name=tiny", "model.name=tiny")
FOLDS = ("fold_1", "fold_2", "fold_3")


@pytest.fixture(scope="module")
def series(tmp_path_factory, env):
    """A folder with `runs/tiny`: three folds and the model of all clips."""
    work = tmp_path_factory.mktemp("calibrated") / "work"
    work.mkdir()
    done = calling.pannsdist("crossval", "-c", CONFIG, *SETTINGS, "--final", cwd=work, env=env)
    assert done.exit_code == 0, done.output
    return work, done


def decisions(folder):
    return json.loads((folder / "best_model" / "bundle.json").read_text(encoding="utf-8"))["decisions"]


def test_each_fold_has_decisions_of_the_other_folds_and_the_final_model_those_of_all(series):
    work, done = series
    found = {name: decisions(work / "runs" / "tiny" / name) for name in (*FOLDS, "final")}
    assert found["fold_2"]["fitted_on"] == "other folds: fold_1, fold_3"
    assert found["final"]["fitted_on"] == "folds: fold_1, fold_2, fold_3"
    assert found["final"]["clips"] == sum(found[name]["clips"] for name in FOLDS) / 2
    assert "fitted on the other folds" in done.output


def test_calibrate_fits_one_run_on_its_valid_split_and_evaluate_scores_the_decisions(series, env):
    work, _ = series
    run = work / "runs" / "tiny" / "fold_1"
    done = calling.pannsdist("calibrate", "--model", run, "--recall", "0.9", cwd=work, env=env)
    assert done.exit_code == 0, done.output
    found = decisions(run)
    assert (found["fitted_on"], found["goal"], found["goal_value"]) == ("valid of tones", "recall", 0.9)
    assert f"temperature  {found['temperature']:.4f}" in done.output
    args = ("evaluate", "--model", run / "best_model", "-c", run / "settings.yaml")
    scored = calling.pannsdist(*args, "--format", "json", "--predictions", "out.csv", cwd=work, env=env)
    scores = json.loads(scored.output[scored.output.index("{") :])["scores"]
    assert scores["valid/decided_loss"]["value"] >= 0.0
    with (work / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [row["decision"] == row["truth"] for row in rows]
    assert np.mean(kept) == pytest.approx(scores["valid/decided_accuracy"]["value"])
    raw = calling.pannsdist(*args, "--raw", cwd=work, env=env)
    assert "decided" not in raw.output


def test_a_model_folder_without_its_run_says_that_its_training_clips_are_not_known(series, env, tmp_path):
    work, _ = series
    moved = tmp_path / "moved"
    shutil.copytree((work / "runs" / "tiny" / "fold_1" / "best_model").resolve(), moved)
    done = calling.pannsdist("calibrate", "--model", moved, cwd=work, env=env)
    assert done.exit_code == 2
    assert "is not in the folder of its run" in done.output
    settings = work / "runs" / "tiny" / "fold_1" / "settings.yaml"
    done = calling.pannsdist("calibrate", "--model", moved, "-c", settings, cwd=work, env=env)
    assert done.exit_code == 0, done.output
    assert "which clips the model trained on is not known here (data.json is not beside it)" in done.output


@pytest.mark.parametrize(
    ("run", "args", "said"),
    [
        ("fold_1", ("--split", "train"), "--split train has the clips that the model trained on"),
        ("final", (), "trained on valid, too: train.all_clips is true"),
        ("fold_1", ("data.params.valid_fold=2",), "clips of valid, such as"),
        ("fold_1", ("--precision", "2"), "the precision is 2"),
    ],
)
def test_clips_of_the_training_are_refused(series, env, run, args, said):
    work, _ = series
    done = calling.pannsdist("calibrate", "--model", work / "runs" / "tiny" / run, *args, cwd=work, env=env)
    assert done.exit_code == 2
    assert said in done.output
