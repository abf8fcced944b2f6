"""A run that is resumed on other data: it is refused with what changed, or goes on deliberately."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import calling
import launching
import numpy as np
import pytest
import soundfile
from fake_model import RATE_HZ

from pannsdist.training.checkpoint import CheckpointStore

SETTINGS = """\
name: heard
model: {name: tiny}
data: {name: manifest, workers: 0, params: {path: list.csv}}
train: {epochs: 4, batch_size: 4, crop_s: 0.1}
valid: {batch_size: 2}
optimizer: {learning_rate: 0.001}
save: {keep: 9}
trackers: {visualdl: null}
"""
TRAIN = {f"{label}{number}": label for label in ("high", "low") for number in range(6)}
VALID = {f"{label}{number}": label for label in ("high", "low") for number in (8, 9)}
STEPS = 3
"""Of an epoch: 12 clips in batches of four."""
IN_EPOCH_2 = "train.max_steps=5"
NO_STEP = "train.max_minutes=1e-9"


def write_sound(path, label, seconds=0.2):
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * {"high": 2500, "low": 400}[label] * time_s)
    soundfile.write(path, tone, RATE_HZ)


@dataclass
class Folder:
    """A working folder with sounds, their list, and settings; `train` and `valid` are labels by clip."""

    work: Path
    env: dict
    train: dict
    valid: dict

    def listed(self):
        """Write the list, and the sounds that are new."""
        lines = ["path,label,split"]
        for split, clips in (("train", self.train), ("valid", self.valid)):
            for name, label in clips.items():
                if not (self.work / f"{name}.wav").exists():
                    write_sound(self.work / f"{name}.wav", label)
                lines.append(f"{name}.wav,{label},{split}")
        (self.work / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, *overrides):
        return calling.train(self.work / "settings.yaml", *overrides, cwd=self.work, env=self.env)

    @property
    def store(self):
        return CheckpointStore(self.work / "runs" / "heard" / "checkpoints", keep=9)

    @property
    def progress(self):
        return self.store.load_latest().snapshot.progress

    @property
    def scores(self):
        text = (self.work / "runs" / "heard" / "scores.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def begun(work, env, *overrides):
    """A run that ended in its second epoch, after five steps."""
    folder = Folder(work, env, dict(TRAIN), dict(VALID))
    (work / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    folder.listed()
    launched = folder.run(IN_EPOCH_2, *overrides)
    assert launched.exit_code == 0, str(launched)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory, env):
    return begun(tmp_path_factory.mktemp("first"), env)


@pytest.fixture
def folder(first, tmp_path):
    """A copy of that run."""
    shutil.copytree(first.work, tmp_path / "copy", symlinks=True)
    return Folder(tmp_path / "copy", first.env, dict(TRAIN), dict(VALID))


def added(folder):
    folder.train |= {f"new{number}": "high" for number in range(5)}


def removed(folder):
    del folder.train["low3"], folder.valid["high9"]


def relabelled(folder):
    folder.train["high2"] = "low"


def moved(folder):
    folder.valid["low1"] = folder.train.pop("low1")


def resized(folder):
    write_sound(folder.work / "high4.wav", "high", seconds=0.25)
    write_sound(folder.work / "low9.wav", "low", seconds=0.25)


def reordered(folder):
    folder.train = dict(reversed(folder.train.items()))


CHANGES = {
    added: ["5 clips added to train: 'new0.wav', 'new1.wav', 'new2.wav', ..."],
    removed: ["1 clip removed from train: 'low3.wav'", "1 clip removed from valid: 'high9.wav'"],
    relabelled: ["1 clip relabelled in train: 'high2.wav'"],
    moved: ["1 clip moved from train to valid: 'low1.wav'"],
    resized: ["1 clip of another size in train: 'high4.wav'", "1 clip of another size in valid: 'low9.wav'"],
    reordered: ["the order of the clips of train"],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_refused_with_what_it_is_and_nothing_is_touched(folder, change):
    before = [path.name for path in folder.store.folders]
    change(folder)
    folder.listed()
    for _ in range(2):
        launched = folder.run()
        assert launched.exit_code == 2, str(launched)
        assert "error: the data has changed since the checkpoint in epoch 2, after step " in launched.output
        assert " of the run in runs/heard\n" in launched.output
        for line in CHANGES[change]:
            assert f"  {line}\n" in launched.output
        assert "name=NAME\n" in launched.output
        assert "data.on_change=continue" in launched.output
        assert "Traceback" not in launched.output
    assert folder.run("--dry-run").exit_code == 2
    is_of_valid = change in (removed, moved, resized)
    assert ("the best score so far is forgotten" in launched.output) is is_of_valid
    assert [path.name for path in folder.store.folders] == before
    change_back = Folder(folder.work, folder.env, dict(TRAIN), dict(VALID))
    change_back.listed()
    if change is not resized:
        assert "resumes in epoch 2, after step " in change_back.run("train.max_steps=6").output


def test_the_same_data_resumes_in_the_middle_of_the_epoch(folder):
    launched = folder.run()
    assert launched.exit_code == 0, str(launched)
    assert "resumes in epoch 2, after step " in launched.output
    assert folder.progress.step == 4 * STEPS
    assert [line["epoch"] for line in folder.scores] == [1, 2, 3, 4]


@pytest.mark.parametrize(("change", "steps"), [(added, 4), (removed, 2)])
def test_a_run_that_is_to_go_on_starts_the_epoch_again_with_steps_of_the_new_data(folder, change, steps):
    """More steps an epoch, and fewer: the newest checkpoint is that of now, whatever the numbers of the older ones."""
    weights = folder.store.load_latest().snapshot.model
    change(folder)
    folder.listed()
    launched = folder.run("data.on_change=continue", NO_STEP)
    assert launched.exit_code == 0, str(launched)
    assert "the data has changed:\n" in launched.output
    said = "the run goes on at the start of epoch 2, with the weights of the checkpoint in epoch 2, after step "
    assert said in launched.output
    assert (folder.progress.step, folder.progress.epoch, folder.progress.epoch_steps) == (steps, 1, steps)
    for name, array in folder.store.load_latest().snapshot.model.items():
        np.testing.assert_array_equal(array, weights[name])
    assert [path.name for path in folder.store.folders] == [f"step_{steps:08d}"]
    launched = folder.run()
    assert launched.exit_code == 0, str(launched)
    assert "changed" not in launched.output
    assert folder.progress.step == 4 * steps
    assert [(line["epoch"], line["step"]) for line in folder.scores][1:] == [(n, n * steps) for n in (2, 3, 4)]
    assert folder.scores[0]["epoch"] == 1


def test_the_best_score_is_forgotten_with_the_clips_it_is_of_and_patience_begins_again(folder):
    removed(folder)
    folder.listed()
    launched = folder.run("data.on_change=continue", "train.patience_epochs=1", "train.epochs=3", NO_STEP)
    assert "the best score so far is forgotten, since it is of other clips" in launched.output
    best = folder.progress.best
    assert (best["value"], best["epoch"], best["best_epochs"]) == (None, 0, [])
    assert folder.run("train.patience_epochs=1", "train.epochs=3").exit_code == 0
    assert folder.progress.epoch >= 2
    assert folder.progress.best["epoch"] >= 2
    assert json.loads((folder.work / "runs/heard/best_model/bundle.json").read_text())["epoch"] >= 2


def test_the_best_score_stays_where_the_evaluated_clips_did(folder):
    before = folder.progress.best
    added(folder)
    folder.listed()
    folder.run("data.on_change=continue", NO_STEP)
    after = folder.progress.best
    assert (after["value"], after["epoch"]) == (before["value"], before["epoch"])


def test_a_finished_run_has_nothing_to_go_on_with(folder):
    assert folder.run("train.epochs=2").exit_code == 0
    added(folder)
    folder.listed()
    launched = folder.run("train.epochs=2", "data.on_change=continue")
    assert launched.exit_code == 2
    assert "error: the run in runs/heard is finished, and its data has changed since\n" in launched.output
    assert "train.epochs=N" in launched.output


def test_without_the_record_it_is_not_known_what_changed(folder):
    (folder.work / "runs" / "heard" / "data.json").write_text("{}", encoding="utf-8")
    assert folder.run("train.max_steps=5").exit_code == 0  # the same data: the record is written again
    (folder.work / "runs" / "heard" / "data.json").unlink()
    added(folder)
    folder.listed()
    launched = folder.run()
    assert launched.exit_code == 2
    assert "what changed is not known: runs/heard/data.json is missing" in launched.output


def test_an_evaluation_on_clips_that_changed_says_so(folder):
    command = ("evaluate", "--model", "runs/heard/best_model", "-c", "settings.yaml", "--split", "valid")
    launched = calling.pannsdist(*command, cwd=folder.work, env=folder.env)
    assert launched.exit_code == 0, str(launched)
    assert "note:" not in launched.output
    removed(folder)
    folder.listed()
    launched = calling.pannsdist(*command, cwd=folder.work, env=folder.env)
    assert launched.exit_code == 0, str(launched)
    assert "note: the clips are not those that the run evaluated: 1 clip removed from valid" in launched.output
    assert "removed from train" not in launched.output


def test_a_run_of_a_series_whose_data_changed_is_refused_before_any_starts(folder):
    """Also one that is finished: its scores would stand beside those of other clips."""
    command = ("sweep", "-c", "settings.yaml", "seed=0,1", "name=many", "train.epochs=1", "--dry-run")
    assert folder.run("runs=runs/many", "name=seed=1", "seed=1", "train.epochs=1").exit_code == 0
    launched = calling.pannsdist(*command, cwd=folder.work, env=folder.env)
    assert launched.exit_code == 0, str(launched)
    assert "seed=1  begun" in launched.output
    added(folder)
    folder.listed()
    launched = calling.pannsdist(*command, cwd=folder.work, env=folder.env)
    assert launched.exit_code == 2, str(launched)
    assert "the data has changed since its last checkpoint of the run in runs/many/seed=1" in launched.output
    assert "5 clips added to train" in launched.output
    launched = calling.pannsdist(*command, "data.on_change=continue", cwd=folder.work, env=folder.env)
    assert launched.exit_code == 0, str(launched)


def changed_for_two_processes(work, fixture):
    folder = begun(work, fixture("env"))
    added(folder)
    folder.listed()
    return launching.Command((launching.TRAIN, "-c", work / "settings.yaml"), work)


IN_TURN = {"changed data": changed_for_two_processes}


def test_two_processes_refuse_changed_data_with_one_message(together):
    launched = together["changed data"].launched
    assert launched.exit_codes == (2, 2), str(launched)
    assert str(launched).count("Traceback") == 0
    assert "5 clips added to train" in launched.logs[0]
