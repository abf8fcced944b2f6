"""A metric, an optimizer and a schedule of somebody else: trained with, killed, continued, and taken away again."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import launching
import numpy as np
import pytest
import tiny
import tiny_deciders
from test_killed_runs import assert_same, kill_all, scores, wait_for_steps

SETTINGS = """\
name: killed
model: {name: tiny}
data: {name: tones, workers: 1, params: {classes: 3, clips_per_class: 8, valid_clips_per_class: 4, duration_s: 0.4,
  sample_rate_hz: 8000}}
train: {epochs: 8, batch_size: 4, crop_s: 0.3, freeze: [body], unfreeze_epoch: 2, clip_norm: 1.0}
valid: {batch_size: 2}
metrics: {margin: {}}
select: {metric: valid/margin}
optimizer: {name: nudge, learning_rate: 0.05, params: {keep: 0.7}, layer_decay: 0.5}
schedule: {name: saw, params: {low: 0.1}, warmup_steps: 3}
save: {every_steps: 1}
log: {every_steps: 2}
"""


@dataclass(frozen=True)
class Judged:
    """A run on two processes that the plugins decided, and where they are installed."""

    work: Path
    env: dict[str, str]
    without: dict[str, str]
    launched: launching.Launched


def start(work, env, *overrides):
    work.mkdir()
    (work / "settings.yaml").write_text(SETTINGS)
    return again(work, env, *overrides)


def again(work, env, *overrides):
    return launching.start(launching.TRAIN, "-c", work / "settings.yaml", *overrides, cwd=work, env=env)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    without = tiny.install(folder / "site")
    env = {"PYTHONPATH": f"{tiny_deciders.install(folder / 'judge')}:{without['PYTHONPATH']}"}
    return Judged(folder / "work", env, without, start(folder / "work", env).finish())


def record_of(judged):
    return json.loads((judged.work / "runs" / "killed" / "best_model" / "bundle.json").read_text())


def test_two_processes_train_with_an_optimizer_and_a_schedule_of_others(judged):
    assert judged.launched.exit_codes == (0, 0), str(judged.launched)
    said = judged.launched.logs[0]
    assert "optimizer  nudge (pannsdist-judge 0.7), learning rate 0.05, saw (pannsdist-judge 0.7) after 3 steps" in said
    assert "metrics    margin (pannsdist-judge 0.7)\n" in said
    assert "best by    valid/margin, higher is better\n" in said


def test_the_metric_of_others_is_a_score_like_any_and_selects_the_best_model(judged):
    lines = scores(judged.work)
    margins = [line["valid/margin"] for line in lines]
    assert all(np.isfinite(margins))
    record = record_of(judged)
    assert record["metric"] == "valid/margin"
    assert record["epoch"] == 1 + int(np.argmax(margins))
    assert record["scores"]["valid/margin"] == max(margins)
    assert record["further"]["optimizer"] == {
        "name": "nudge",
        "params": {"keep": 0.7},
        "origin": {"distribution": "pannsdist-judge", "version": "0.7"},
    }
    launched = launching.pannsdist("report", "runs/killed", cwd=judged.work, env=judged.env)
    assert launched.exit_code == 0, str(launched)
    page = (judged.work / "runs" / "killed" / "report.html").read_text(encoding="utf-8")
    assert "<span>valid/margin</span>" in page


def test_a_run_that_is_killed_goes_on_with_the_plugins_as_if_nothing_had_been(judged, tmp_path):
    work = tmp_path / "work"
    started = start(work, judged.env)
    wait_for_steps(started, work, 8)
    assert started.process.poll() is None, "it ended before it was killed"
    kill_all(started, random.Random())
    launched = again(work, judged.env).finish()
    assert launched.exit_codes == (0, 0), str(launched)
    assert "goes on after" in launched.logs[0]
    assert_same(work, judged.work)


def test_evaluating_the_model_computes_the_metric_and_without_it_names_the_distribution(judged):
    command = ("evaluate", "--model", "runs/killed/best_model", "-c", "settings.yaml")
    launched = launching.pannsdist(*command, cwd=judged.work, env=judged.env)
    assert launched.exit_code == 0, str(launched)
    found = dict(line.split() for line in launched.output.splitlines() if line.startswith("valid/"))
    assert float(found["valid/margin"]) == pytest.approx(record_of(judged)["scores"]["valid/margin"], rel=1e-5)
    launched = launching.pannsdist(*command, cwd=judged.work, env=judged.without)
    assert launched.exit_code == 2, str(launched)
    assert "error: the model was made with metric 'margin', which is not installed\n" in launched.output
    assert "it came with pannsdist-judge 0.7; to leave it out: metrics.margin=null\n" in launched.output
    assert "next: pip install 'pannsdist-judge==0.7'" in launched.output
    launched = launching.pannsdist(*command, "metrics.margin=null", cwd=judged.work, env=judged.without)
    assert launched.exit_code == 0, str(launched)
    assert "valid/margin" not in launched.output


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), "unknown optimizer 'nudge' (optimizer.name in "),
        (("optimizer.name=SGD",), "unknown schedule 'saw' (schedule.name in "),
        (("optimizer.name=SGD", "schedule.name=constant"), "unknown metric 'margin' (metrics in "),
    ],
)
def test_training_on_without_the_distribution_is_refused_with_the_name_that_is_missing(judged, overrides, said):
    launched = launching.train(
        judged.work / "settings.yaml", "train.epochs=9", *overrides, cwd=judged.work, env=judged.without
    )
    assert launched.exit_code == 2, str(launched)
    assert f"error: {said}" in launched.output
    assert "Traceback" not in launched.output


def test_a_metric_that_fails_ends_every_process_with_its_distributions_name(judged, tmp_path):
    launched = start(tmp_path / "work", judged.env, "metrics.margin.fails=true", "train.epochs=2").finish()
    assert launched.exit_codes == (2, 2), str(launched)
    said = (
        "error: metric plugin 'margin' of pannsdist-judge 0.7 fails: ZeroDivisionError: division by zero (tiny_deciders"
    )
    assert said in launched.logs[0]
    assert "Traceback" not in "".join(launched.logs)
