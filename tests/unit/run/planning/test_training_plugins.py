"""Metrics, optimizers and schedules that are plugins: how they are chosen, what they give, and each refusal."""

import json
import math
import re

import numpy as np
import paddle
import pytest
from faulty_training_plugins import Mean, deciding_catalog, entries
from small_parts import catalog, write_small_bundle

from pannsdist import settings
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.inference.bundle import read_record
from pannsdist.registry import Origin
from pannsdist.run import building, learner_building
from pannsdist.run.evaluation import evaluate_bundle
from pannsdist.run.planning.decide import decide as decide_run
from pannsdist.run.planning.metrics import BestMetric, plugin_metrics
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.run.same_run import check_same_run
from pannsdist.runtime.errors import (
    AmbiguousPlugin,
    BadBundle,
    BadRunFolder,
    BrokenPlugin,
    SettingsError,
    UnknownPlugin,
    UserError,
)
from pannsdist.training.metrics import METRICS, Predictions, scores

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 8, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 3, batch_size: 4, crop_s: 0.5}
"""
OTHER = Origin("pannsdist-others", "2.0")


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def decide(run_file):
    def decided(*overrides, more=()):
        chosen, origin = settings.load(run_file, overrides)
        return decide_run(chosen, origin, deciding_catalog(*more), 1)

    return decided


def refusal(kind, action, *arguments, **named):
    with pytest.raises(UserError) as caught:
        action(*arguments, **named)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def predictions(logits=((2.0, 1.0), (0.0, 3.0), (4.0, 5.0))):
    return Predictions(("c", "a", "b"), np.array(logits, np.float32), np.array([0, 1, 0]), ("high", "low"), False)


def further(plan, given=None):
    return scores(given or predictions(), "valid", plugin_metrics(plan.plugins.metrics))


def test_a_named_metric_is_computed_beside_the_built_in_ones_and_may_select(decide):
    plan = decide("metrics.hits={}", "select.metric=valid/hits")
    assert plan.best_metric == BestMetric("valid/hits", True)
    assert plan.score_names[-1] == "valid/hits"
    found = further(plan)
    assert found["valid/hits"] == pytest.approx(2 / 3)
    assert found["valid/accuracy"] == pytest.approx(2 / 3)
    assert "metrics    hits (pannsdist-deciding 0.3)\n" in plan_table(plan)


def test_the_direction_of_a_metric_is_its_own(decide):
    more = entries("metric", mean="Mean")
    plan = decide("metrics.mean={}", "select.metric=valid/mean", more=more)
    assert not plan.best_metric.higher_is_better
    assert "valid/mean, lower is better" in plan_table(plan)


def test_the_params_of_a_metric_stand_under_its_name(decide):
    assert further(decide("metrics.hits.share=3"))["valid/hits"] == pytest.approx(2.0)
    said = refusal(SettingsError, decide, "metrics.hits.shore=3")
    assert "unknown key metrics.hits.shore on the command line\n  closest: share." in said
    assert "metrics.hits.share on the command line is 11.0\n  allowed: above 0, up to 10" in refusal(
        SettingsError, decide, "metrics.hits.share=11"
    )
    assert "write metrics.hits.KEY=VALUE, or metrics.hits={} for its defaults" in refusal(
        SettingsError, decide, "metrics.hits=3"
    )


def test_null_switches_a_metric_off(decide):
    plan = decide("metrics.hits=null", "metrics.accuracy=null")
    assert plan.plugins.metrics == {}
    assert "\nmetrics " not in plan_table(plan)


def test_a_metric_sees_the_clips_in_the_order_of_their_ids_and_cannot_write_to_them(decide):
    plan = decide("metrics.mean={}", more=entries("metric", mean="Mean"))
    given = predictions()
    assert further(plan, given)["valid/mean"] == 2.5
    assert Mean.seen[-1].ids == ("a", "b", "c")
    said = refusal(BrokenPlugin, further, decide("metrics.hits.fault=writes"), given)
    assert "read-only" in said
    assert given.logits[0, 0] == 2.0


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_network_with_non_finite_logits_has_no_score_and_a_metric_is_not_called(decide, odd):
    plan = decide("metrics.hits.fault=raises")
    found = further(plan, predictions(((odd, 0.0), (0.0, 3.0), (4.0, 5.0))))
    assert math.isnan(found["valid/hits"])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", "fails: ZeroDivisionError: division by zero (faulty_training_plugins.py, line "),
        ("text", "gives a str as a score, where a number is due"),
    ],
)
def test_a_metric_that_gives_no_number_is_blamed_by_its_distribution(decide, fault, said):
    message = refusal(BrokenPlugin, further, decide(f"metrics.hits.fault={fault}"))
    assert f"metric plugin 'hits' of pannsdist-deciding 0.3 {said}" in message
    assert "next: pannsdist plugins check metric pannsdist-deciding:hits" in message


def test_a_metric_that_is_installed_but_not_named_is_no_score_and_how_to_name_it_is_said(decide):
    said = refusal(SettingsError, decide, "select.metric=valid/hits")
    assert said.startswith("no score 'valid/hits' is computed (select.metric on the command line)\n")
    assert "pannsdist-deciding 0.3 offers it, but the settings do not name it: metrics.hits={}" in said


def test_an_unknown_metric_is_refused_with_the_nearest(decide):
    assert "unknown metric 'hit' (metrics on the command line)\n  closest: hits." in refusal(
        UnknownPlugin, decide, "metrics.hit={}"
    )


def test_the_name_of_a_built_in_metric_is_refused_with_both_named_and_the_other_can_be_chosen(decide):
    said = refusal(SettingsError, decide, "metrics.accuracy={}")
    assert "metrics.accuracy on the command line: 'accuracy' is a metric of pannsdist itself\n" in said
    more = entries("metric", OTHER, accuracy="Hits")
    said = refusal(SettingsError, decide, "metrics.accuracy={}", more=more)
    assert "is a metric of pannsdist itself, and pannsdist-others 2.0 offers another\n" in said
    assert "metrics.pannsdist-others:accuracy={}" in said
    plan = decide("metrics.pannsdist-others:accuracy.share=2", more=more)
    found = further(plan)
    assert found["valid/accuracy"] == pytest.approx(2 / 3)
    assert found["valid/pannsdist-others:accuracy"] == pytest.approx(4 / 3)


def test_two_distributions_with_one_metric_are_refused_and_both_can_be_computed(decide):
    more = entries("metric", OTHER, hits="Hits")
    said = refusal(AmbiguousPlugin, decide, "metrics.hits={}", more=more)
    assert "pannsdist-deciding 0.3 and pannsdist-others 2.0" in said
    names = ["pannsdist-others:hits", "pannsdist-deciding:hits"]
    plan = decide(*(f"metrics.{name}={{}}" for name in names), f"select.metric=valid/{names[0]}", more=more)
    assert list(plan.plugins.metrics) == names
    assert plan.best_metric.name == "valid/pannsdist-others:hits"


def test_a_metric_that_does_not_apply_to_the_dataset_is_refused(decide):
    said = refusal(SettingsError, decide, "metrics.hits.fault=never")
    assert "metrics.hits on the command line: hits (pannsdist-deciding 0.3) does not apply to 2 classes" in said
    assert "leave it out: metrics.hits=null" in said


@pytest.mark.parametrize(
    ("fault", "said"),
    [("direction", "has higher_is_better 'up', not True or False"), ("applies fails", "fails: KeyError: 2 (")],
)
def test_a_metric_that_does_not_keep_the_contract_is_found_before_the_run(decide, fault, said):
    assert said in refusal(BrokenPlugin, decide, f"metrics.hits.fault='{fault}'")


def test_every_name_of_a_built_in_metric_is_kept():
    assert not set(METRICS) & set(catalog().metrics.entries)


def test_a_model_folder_names_the_plugins_of_its_training(decide):
    plan = decide("metrics.hits={}", "optimizer.name=push", "schedule.name=halves", "augment.gain={}")
    found = building.bundle_record(plan).further
    assert list(found) == ["augment.gain", "metrics.hits", "optimizer", "schedule"]
    assert (found["optimizer"].name, str(found["optimizer"].origin)) == ("push", "pannsdist-deciding 0.3")
    assert found["schedule"].params == {"fault": "", "every": 1}


@pytest.fixture
def evaluate(run_file, tmp_path):
    """Evaluate a small model that was chosen with the metric `hits`."""
    folder = tmp_path / "model"
    write_small_bundle(folder, ("tone", "sweep"))
    content = json.loads((folder / "bundle.json").read_text())
    origin = {"distribution": "pannsdist-deciding", "version": "0.3"}
    content["further"] = {"metrics.hits": {"name": "hits", "params": {"share": 2.0}, "origin": origin}}
    (folder / "bundle.json").write_text(json.dumps(content))

    def evaluated(*overrides, known=None):
        chosen, origin = settings.load(run_file, ("data.workers=0", *overrides))
        return evaluate_bundle(folder, chosen, origin, known or deciding_catalog(), "valid").evaluation.scores

    return evaluated


def test_evaluating_a_model_computes_the_metrics_of_its_run_and_those_that_are_asked_for(evaluate):
    found = evaluate()
    assert found["valid/hits"] == pytest.approx(2 * found["valid/accuracy"])
    assert evaluate("metrics.hits.share=3")["valid/hits"] == pytest.approx(3 * found["valid/accuracy"])
    assert "valid/hits" not in evaluate("metrics.hits=null")
    more = deciding_catalog(*entries("metric", mean="Mean"))
    assert "valid/mean" in evaluate("metrics.mean={}", known=more)


def test_evaluating_a_model_without_a_metric_of_its_run_names_the_distribution(evaluate):
    said = refusal(BadBundle, evaluate, known=catalog())
    assert said.startswith("the model was made with metric 'hits', which is not installed\n")
    assert "it came with pannsdist-deciding 0.3; to leave it out: metrics.hits=null" in said
    assert "next: pip install pannsdist-deciding==0.3" in said
    assert "valid/accuracy" in evaluate("metrics.hits=null", known=catalog())


def test_a_model_of_several_labels_is_not_evaluated_on_clips_of_one(evaluate, tmp_path):
    path = tmp_path / "model" / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "multi_label": True}))
    said = refusal(BadBundle, evaluate)
    assert re.match(r"the model in \S+ has several labels for a clip, or none, and tones .* one label for each", said)


def test_a_model_folder_from_before_such_plugins_can_be_read(tmp_path):
    write_small_bundle(tmp_path / "model")
    path = tmp_path / "model" / "bundle.json"
    content = json.loads(path.read_text())
    del content["further"]
    path.write_text(json.dumps(content))
    assert read_record(tmp_path / "model").further == {}


def test_a_run_with_another_metric_is_another_run(decide, tmp_path):
    plans = [decide(*overrides, f"runs={tmp_path}") for overrides in ((), ("metrics.hits={}",))]
    plain = plans[0].settings
    (tmp_path / "run" / "checkpoints" / "step_0000001").mkdir(parents=True)
    (tmp_path / "run" / "settings.yaml").write_text(settings.to_yaml(plain))
    check_same_run(tmp_path / "run", plans[0])
    assert "another run: metrics.hits is None there, {} now" in refusal(
        BadRunFolder, check_same_run, tmp_path / "run", plans[1]
    )


def learner_of(plan):
    return learner_building.build_learner(plan, SingleProcessWorld(), building.build_network(plan))


def test_an_optimizer_plugin_moves_the_weights_at_the_rates_of_its_stages(decide):
    plan = decide("optimizer.name=push", "schedule.name=constant", "optimizer.head_lr_factor=4")
    assert "optimizer  push (pannsdist-deciding 0.3), learning rate 0.0001, constant after" in plan_table(plan)
    learner = learner_of(plan)
    assert type(learner.optimizer).__name__ == "Pushing"
    weights = ("norm.weight", "norm.bias", "classifier.weight", "classifier.bias")
    slots = [name for name in learner.state() if name.startswith("optimizer/")]
    assert slots == [f"optimizer/{name}/pushed" for name in weights]
    assert learner.learning_rates(1) == {"body": 1e-4, "head": 4e-4}


@pytest.mark.parametrize("name", ["pash", "AdaW"])
def test_an_unknown_optimizer_is_refused_with_the_nearest_of_paddles_and_of_plugins(decide, name):
    said = refusal(SettingsError, decide, f"optimizer.name={name}")
    nearest = {"pash": "push", "AdaW": "AdamW"}[name]
    assert said.startswith(f"unknown optimizer '{name}' (optimizer.name on the command line)\n  closest: {nearest}.  ")


def test_a_misspelt_param_of_an_optimizer_or_schedule_gets_the_nearest(decide):
    assert "unknown key optimizer.params.kep on the command line\n  closest: keep." in refusal(
        SettingsError, decide, "optimizer.name=push", "optimizer.params.kep=1"
    )
    assert "unknown key schedule.params.evry on the command line\n  closest: every." in refusal(
        SettingsError, decide, "schedule.name=halves", "schedule.params.evry=1"
    )


@pytest.mark.parametrize(
    ("kind", "name", "plugin", "place"),
    [("optimizer", "AdamW", "Push", "paddle.optimizer"), ("schedule", "cosine", "Halves", "built in")],
)
def test_a_plugin_with_a_name_of_ours_is_refused_with_both_named_and_can_be_chosen(decide, kind, name, plugin, place):
    more = entries(kind, OTHER, **{name: plugin})
    said = refusal(AmbiguousPlugin, decide, f"{kind}.name={name}", more=more)
    assert f"{kind} '{name}' ({kind}.name on the command line) is {place}, and pannsdist-others 2.0 offers" in said
    assert f"pannsdist-others:{name}" in said
    plan = decide(f"{kind}.name=pannsdist-others:{name}", more=more)
    assert f"{name} (pannsdist-others 2.0)" in plan_table(plan)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", "fails: ZeroDivisionError: division by zero (faulty_training_plugins.py"),
        ("none", "builds a NoneType, not a paddle.optimizer.Optimizer"),
        ("some", "updates other parameters than those that it was given"),
        ("clips", "clips gradients itself"),
        ("own schedule", "fails: RuntimeError: "),
        ("state of nothing", "fails: KeyError: "),
    ],
)
def test_an_optimizer_that_would_go_wrong_is_blamed_before_the_first_step(decide, fault, said):
    plan = decide("optimizer.name=push", f"optimizer.params.fault='{fault}'")
    message = refusal(BrokenPlugin, learner_of, plan)
    assert f"optimizer plugin 'push' of pannsdist-deciding 0.3 {said}" in message


def test_a_schedule_plugin_gives_factors_of_the_rate_after_the_warm_up(decide):
    plan = decide("schedule.name=halves", "schedule.warmup_steps=2", "optimizer.learning_rate=0.8")
    assert "halves (pannsdist-deciding 0.3) after 2 steps of warm-up" in plan_table(plan)
    schedule = learner_building.build_schedule(plan)
    rates = [schedule.rate(step) for step in range(1, 15)]
    assert rates == pytest.approx([0.4, 0.8, *[0.8] * 4, *[0.4] * 4, 0.2, 0.2, 0.2, 0.2])
    whole = learner_building.build_schedule(decide("schedule.name=halves", "schedule.warmup_epochs=3"))
    assert whole.rate(12) == pytest.approx(1e-4)


def test_an_unknown_schedule_is_refused_with_the_nearest_of_ours_and_of_plugins(decide):
    for name, nearest in (("cosin", "cosine"), ("halve", "halves")):
        said = refusal(SettingsError, decide, f"schedule.name={name}")
        assert said.startswith(
            f"unknown schedule '{name}' (schedule.name on the command line)\n  closest: {nearest}.  "
        )
    assert "built in and installed: constant, cosine, halves, linear, one_cycle, step, warmup_linear_down" in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("schedule.params.every=2",), "schedule.params are those of a schedule plugin"),
        (
            ("schedule.name=halves", "schedule.final_lr_factor=0.1"),
            "schedule.name on the command line is the plugin halves\n",
        ),
        (("schedule.name=halves", "schedule.gamma=0.5"), "schedule.gamma=0.1 leaves it at its default"),
        (("schedule.name=halves", "schedule.milestones=[1]"), "it belongs to schedule.name=step"),
        (("schedule.name=halves", "schedule.hold_epochs=1"), "it belongs to schedule.name=warmup_linear_down"),
    ],
)
def test_settings_of_built_in_shapes_and_of_plugins_do_not_mix(decide, overrides, said):
    assert said in refusal(SettingsError, decide, *overrides)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", "fails: ZeroDivisionError: division by zero (faulty_training_plugins.py"),
        ("nan", "gives nan as the lr_factor at step 12 of 12"),
        ("negative", "gives -0.1 as the lr_factor at step 12 of 12"),
        ("text", "gives a str as the lr_factor at step 12 of 12"),
    ],
)
def test_a_schedule_without_a_valid_factor_is_found_before_the_run(decide, fault, said):
    message = refusal(BrokenPlugin, decide, "schedule.name=halves", f"schedule.params.fault={fault}")
    assert f"schedule plugin 'halves' of pannsdist-deciding 0.3 {said}" in message


def test_a_restored_run_goes_on_with_the_state_of_an_optimizer_plugin(decide):
    plan = decide("optimizer.name=push", "optimizer.learning_rate=0.1", "schedule.name=halves")
    first, second = learner_of(plan), learner_of(plan)
    for tensor in first.optimizer._accumulators["pushed"].values():
        tensor.set_value(paddle.full_like(tensor, 0.25))
    second.restore(first.state())
    for name, array in first.state().items():
        np.testing.assert_array_equal(second.state()[name], array)
