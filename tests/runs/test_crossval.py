"""Cross-validation by the real command: stopped, continued, refused, and its figures worked out again."""

import json
import os
import signal
import stat
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import calling
import launching
import pytest

pytestmark = pytest.mark.any_paddle

CONFIG = launching.CONFIGS / "tones_cnn6.yaml"
SETTINGS = (
    *launching.TINY,
    *launching.CONSTANT,
    "train.epochs=2",
    "select.metric=valid/loss",
    "name=tiny",
    "model.name=tiny",
)
METRICS = ("loss", "accuracy", "macro_f1", "mean_average_precision", "roc_auc", "d_prime")


def crossval(*args, cwd, env):
    return calling.pannsdist("crossval", "-c", CONFIG, *SETTINGS, *args, cwd=cwd, env=env)


def said_by(started):
    return (started.folder / "output").read_text()


def stop_when(started, text):
    """Send SIGTERM when the command has said this."""
    end_s = time.monotonic() + launching.LIMIT_S
    while text not in said_by(started):
        assert started.process.poll() is None, said_by(started)
        assert time.monotonic() < end_s, said_by(started)
        time.sleep(0.05)
    started.process.send_signal(signal.SIGTERM)
    return started.finish()


@dataclass(frozen=True)
class Continued:
    """A command that was stopped in its second fold and started again."""

    folder: Path
    stopped: launching.Launched
    left: dict
    again: launching.Launched

    @property
    def record(self):
        return json.loads((self.folder / "crossval.json").read_text())

    def epochs(self, fold):
        return [json.loads(line) for line in (self.folder / fold / "scores.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def continued(tmp_path_factory, env):
    work = tmp_path_factory.mktemp("crossval") / "work"
    work.mkdir()
    folder = work / "runs" / "tiny"
    started = launching.start(
        "-m", "pannsdist", "crossval", "-c", CONFIG, *SETTINGS, "--folds", "1,2", processes=0, cwd=work, env=env
    )
    stopped = stop_when(started, "fold_2  starts")
    left = launching.contents(folder / "fold_1")
    assert not (folder / "crossval.json").exists()
    return Continued(folder, stopped, left, crossval("--folds", "1,2", cwd=work, env=env))


def test_a_stopped_command_says_so_by_its_code_and_names_the_command_that_goes_on(continued):
    assert continued.stopped.exit_code == os.EX_TEMPFAIL == 75, str(continued.stopped)
    said = continued.stopped.output
    assert "fold_1  is finished after" in said
    assert "fold_2  was stopped after" in said
    assert "stopped: 1 of 2 runs are finished\n  to resume: pannsdist crossval -c " in said
    assert said.rstrip().endswith("name=tiny --folds 1,2")
    assert "Traceback" not in said


def test_a_finished_fold_is_not_run_again(continued):
    assert continued.again.exit_code == 0, str(continued.again)
    assert "fold_1  is finished: runs/tiny/fold_1" in continued.again.output
    assert "fold_1  epoch" not in continued.again.output
    assert len(continued.left) > 5
    found = launching.contents(continued.folder / "fold_1")
    changed = {name for name in found.keys() | continued.left.keys() if found.get(name) != continued.left.get(name)}
    assert changed <= {"best_model/bundle.json"}  # its decisions are those of the predictions of all other folds


def test_the_fold_that_was_stopped_is_brought_to_its_end(continued):
    assert [line["epoch"] for line in continued.epochs("fold_2")] == [1, 2]
    assert "fold_2  epoch 2 of 2  valid/loss " in continued.again.output


def test_each_fold_is_a_run_of_its_own_with_its_own_fold(continued):
    for number in (1, 2):
        text = (continued.folder / f"fold_{number}" / "settings.yaml").read_text()
        assert f"valid_fold: {number}\n" in text
        assert (continued.folder / f"fold_{number}" / "best_model" / "bundle.json").is_file()
        assert "starts from random weights" in (continued.folder / f"fold_{number}.log").read_text()


def test_the_best_and_the_last_epoch_of_each_fold_are_those_of_its_scores(continued):
    assert continued.record["metric"] == "valid/loss"
    for fold in ("fold_1", "fold_2"):
        epochs, found = continued.epochs(fold), continued.record["folds"][fold]
        best = min(epochs, key=lambda line: line["valid/loss"])
        assert (found["best"]["epoch"], found["last"]["epoch"]) == (best["epoch"], 2)
        for metric in METRICS:
            assert found["best"]["scores"][f"valid/{metric}"] == best[f"valid/{metric}"]
            assert found["last"]["scores"][f"valid/{metric}"] == epochs[-1][f"valid/{metric}"]
        assert found["seconds"] == pytest.approx(sum(line["seconds"] for line in epochs))
        bundle = json.loads((continued.folder / fold / "best_model" / "bundle.json").read_text())
        assert bundle["epoch"] == best["epoch"]


def test_mean_and_deviation_are_those_of_the_folds(continued):
    folds = [continued.epochs(fold) for fold in ("fold_1", "fold_2")]
    chosen = {
        "best": [min(epochs, key=lambda line: line["valid/loss"]) for epochs in folds],
        "last": [epochs[-1] for epochs in folds],
    }
    for kind, lines in chosen.items():
        for metric in ("loss", "accuracy", "macro_f1"):
            values = [line[f"valid/{metric}"] for line in lines]
            found = continued.record[kind][f"valid/{metric}"]
            assert found["mean"] == pytest.approx(statistics.fmean(values))
            assert found["deviation"] == pytest.approx(statistics.stdev(values))
            assert found["missing"] == []


def test_the_table_shows_both_epochs_side_by_side(continued):
    rows = [line.split() for line in continued.again.output.splitlines()]
    for fold in ("fold_1", "fold_2"):
        found = continued.record["folds"][fold]
        best, last = (f"{found[kind]['scores']['valid/loss']:.4f}" for kind in ("best", "last"))
        epoch = f"{found['best']['epoch']})"
        assert [fold, best, "(epoch", epoch, last, "(epoch", "2)"] in [row[:7] for row in rows]
    means = [f"{continued.record[kind]['valid/loss']['mean']:.4f}" for kind in ("best", "last")]
    assert ["mean", *means] in [row[:3] for row in rows]
    assert "deviation, +-: sample standard deviation (n - 1)" in continued.again.output
    for metric in METRICS:
        assert f"valid/{metric}" in [row[0] for row in rows if row]


def test_a_final_model_is_trained_on_all_clips_for_the_median_of_the_best_epochs(continued, env):
    best = [continued.record["folds"][fold]["best"]["epoch"] for fold in ("fold_1", "fold_2")]
    work = continued.folder.parent.parent
    launched = crossval("--folds", "1,2", "--final", cwd=work, env=env)
    assert launched.exit_code == 0, str(launched)
    assert f"final  trains on all 12 clips of the folds for {min(best)} epoch" in launched.output
    assert f", the median of the folds' best epochs ({best[0]}, {best[1]})" in launched.output
    assert f"final  epoch 1 of {min(best)}  train/loss " in launched.output
    assert "final model: runs/tiny/final/best_model" in launched.output
    bundle = json.loads((continued.folder / "final" / "best_model" / "bundle.json").read_text())
    assert bundle["epoch"] == min(best)
    assert set(bundle["scores"]) == {"train/loss"}
    said = (continued.folder / "final.log").read_text()
    assert "valid      no clips: all are trained on (train.all_clips), and the last epoch is the model" in said
    settings = continued.folder / "final" / "settings.yaml"
    settings.write_text(settings.read_text().replace(f"epochs: {min(best)}\n", "epochs: 9\n", 1))
    refused = crossval("--folds", "1,2", "--final", cwd=work, env=env)
    assert refused.exit_code == 2
    assert (
        f"runs/tiny/final is a final run of 9 epochs, but the median of the folds' best epochs is {min(best)} now"
        in (refused.output)
    )


def test_a_fold_with_a_users_mistake_stops_all_with_its_message(work, env):
    (work / "runs" / "tiny" / "fold_1").mkdir(parents=True)
    (work / "runs" / "tiny" / "fold_1" / "thesis.txt").touch()
    launched = crossval("--folds", "1,2", cwd=work, env=env)
    assert launched.exit_code == 2, str(launched)
    assert "error: fold_1 failed with exit code 2: runs/tiny/fold_1 is not empty" in launched.output
    assert "choose another name" in launched.output
    assert "log: runs/tiny/fold_1.log" in launched.output
    assert "fold_2" not in launched.output
    assert "Traceback" not in launched.output
    assert not (work / "runs" / "tiny" / "fold_2").exists()
    assert not (work / "runs" / "tiny" / "crossval.json").exists()


def test_a_fold_may_have_several_processes_and_keeps_the_launchers_log_to_itself(work, env):
    launched = crossval("train.epochs=1", "--nproc", "2", "--folds", "3", cwd=work, env=env)
    assert launched.exit_code == 0, str(launched)
    log = work / "runs" / "tiny" / "fold_3" / "log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o700
    assert (log / "workerlog.1").is_file()
    assert "batch      4 = 2 x 2" in (log / "workerlog.0").read_text()
    assert "deviation" in launched.output


def test_a_dry_run_prints_the_commands_and_writes_nothing(work, env):
    launched = crossval("--dry-run", "--nproc", "2", cwd=work, env=env)
    assert launched.exit_code == 0, str(launched)
    assert "3 runs in runs/tiny; the first:" in launched.output
    for fold in ("fold_1", "fold_2", "fold_3"):
        assert f"{fold}  to do\n" in launched.output
    assert "pannsdist/train.py -c " in launched.output
    assert list(work.iterdir()) == []
