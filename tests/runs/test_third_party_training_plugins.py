"""A metric, an optimizer and a schedule of another distribution: trained with, and taken away again.

`test_killed_runs` proves that a run with them is continued exactly.
"""

import json

import calling
import killing
import launching
import numpy as np
import pytest


def failing_metric(work, _):
    path = killing.settings_file(work, killing.SHORT)
    overrides = ("metrics.margin.fails=true", "train.epochs=2")
    return launching.Command((launching.TRAIN, "-c", path, *overrides), work)


IN_TURN = {"a run in one go": killing.in_one_go, "a metric that fails": failing_metric}


@pytest.fixture
def judged(together):
    """A run on two processes with these plugins."""
    return together["a run in one go"]


def record_of(judged):
    return json.loads((judged.work / "runs" / "killed" / "best_model" / "bundle.json").read_text())


def test_two_processes_train_with_an_optimizer_and_a_schedule_of_others(judged):
    assert judged.launched.exit_codes == (0, 0), str(judged.launched)
    said = judged.launched.logs[0]
    assert "optimizer  nudge (pannsdist-judge 0.7), learning rate 0.05, saw (pannsdist-judge 0.7) after 3 steps" in said
    assert "metrics    margin (pannsdist-judge 0.7)\n" in said
    assert "best by    valid/margin, higher is better\n" in said


def test_the_metric_of_others_is_a_score_like_any_and_selects_the_best_model(judged, all_plugins):
    lines = killing.scores(judged.work)
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
    launched = calling.pannsdist("report", "runs/killed", cwd=judged.work, env=all_plugins)
    assert launched.exit_code == 0, str(launched)
    page = (judged.work / "runs" / "killed" / "report.html").read_text(encoding="utf-8")
    assert "<span>valid/margin</span>" in page


def test_evaluating_the_model_computes_the_metric_and_without_it_names_the_distribution(judged, env, all_plugins):
    command = ("evaluate", "--model", "runs/killed/best_model", "-c", "settings.yaml")
    launched = calling.pannsdist(*command, cwd=judged.work, env=all_plugins)
    assert launched.exit_code == 0, str(launched)
    found = {line.split()[0]: line.split()[1] for line in launched.output.splitlines() if line.startswith("valid/")}
    assert found["valid/margin"] == f"{record_of(judged)['scores']['valid/margin']:.4f}"
    launched = calling.pannsdist(*command, cwd=judged.work, env=env)
    assert launched.exit_code == 2, str(launched)
    assert "error: the model was made with metric 'margin', which is not installed\n" in launched.output
    assert "it came with pannsdist-judge 0.7; to leave it out: metrics.margin=null\n" in launched.output
    assert "next: pip install pannsdist-judge==0.7" in launched.output
    launched = calling.pannsdist(*command, "metrics.margin=null", cwd=judged.work, env=env)
    assert launched.exit_code == 0, str(launched)
    assert "valid/margin" not in launched.output


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), "unknown metric 'margin' (metrics in "),
        (("metrics.margin=null",), "unknown optimizer 'nudge' (optimizer.name in "),
        (("metrics.margin=null", "optimizer.name=SGD"), "unknown schedule 'saw' (schedule.name in "),
    ],
)
def test_training_on_without_the_distribution_is_refused_with_the_name_that_is_missing(judged, env, overrides, said):
    launched = calling.train(judged.work / "settings.yaml", "train.epochs=9", *overrides, cwd=judged.work, env=env)
    assert launched.exit_code == 2, str(launched)
    assert f"error: {said}" in launched.output
    assert "Traceback" not in launched.output


def test_a_metric_that_fails_ends_every_process_with_its_distributions_name(together):
    launched = together["a metric that fails"].launched
    assert launched.exit_codes == (2, 2), str(launched)
    said = "metric plugin 'margin' of pannsdist-judge 0.7 fails: ZeroDivisionError: division by zero (tiny_training"
    assert f"error: {said}" in launched.logs[0]
    assert "Traceback" not in "".join(launched.logs)
