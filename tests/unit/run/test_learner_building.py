"""A learner as the settings have it."""

import numpy as np
import pytest

from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.run import building, learner_building
from pannsdist.runtime.errors import SettingsError

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 8, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 4, batch_size: 4, crop_s: 0.5}
optimizer: {learning_rate: 0.5}
"""


def built(plan):
    network = building.build_network(plan)
    return learner_building.build_learner(plan, SingleProcessWorld(), network)


def test_stages_of_the_model_are_frozen_and_learn_at_their_rates(decide):
    learner = built(decide("train.freeze=[norm]", "optimizer.head_lr_factor=4", "schedule.name=constant"))
    frozen = {name for name, tensor in learner.network.model.named_parameters() if tensor.stop_gradient}
    assert frozen >= {"norm.weight", "norm.bias"}
    assert not any(name.startswith("classifier") for name in frozen)
    assert learner.learning_rates(1) == {"body": 0.5, "head": 2.0}
    assert not any(name.startswith("optimizer/norm") for name in learner.state())


def test_a_stage_that_the_model_does_not_have_is_refused(decide):
    with pytest.raises(SettingsError) as caught:
        built(decide("train.freeze=[norms]"))
    assert "closest: norm.  stages of the model: body, classifier, norm" in str(caught.value)


def test_epochs_of_a_schedule_become_steps(decide):
    stepped = learner_building.build_schedule(
        decide("schedule.name=step", "schedule.milestones=[1,3]", "schedule.gamma=0.5")
    )
    assert [stepped.rate(step) for step in (4, 5, 12, 13)] == [0.5, 0.25, 0.25, 0.125]
    every = learner_building.build_schedule(decide("schedule.name=step", "schedule.every_epochs=1"))
    assert every.drops == (4, 8, 12)
    assert learner_building.build_schedule(decide("schedule.warmup_steps=3")).rate(3) == 0.5
    assert learner_building.build_schedule(decide("schedule.warmup_epochs=0.5")).rate(1) == 0.25


def test_the_loss_is_that_of_the_settings(decide):
    assert learner_building.build_loss(decide()) == learner_building.TrainingLoss(False)
    focal = learner_building.build_loss(
        decide("loss.name=focal", "loss.focal_gamma=1.5", "loss.class_weights=balanced")
    )
    assert focal == learner_building.TrainingLoss(False, 0.0, (1.0, 1.0), 1.5)
    labels = decide().data.labels
    weighted = learner_building.build_loss(decide(f"loss.label_weights.{labels[1]}=3", "loss.label_smoothing=0.1"))
    assert weighted == learner_building.TrainingLoss(False, 0.1, (1.0, 3.0), 0.0)


def test_half_precision_on_a_cpu_is_remarked_on(decide):
    assert learner_building.remarks(decide(), SingleProcessWorld()) == []
    plan = decide("train.amp=bf16", "train.cpu_kernels=paddle")
    (remark,) = learner_building.remarks(plan, SingleProcessWorld())
    assert remark.startswith("train.amp=bf16 has no effect: Paddle's own kernels have no bfloat16 on a CPU")
    assert learner_building.remarks(plan, SingleProcessWorld("gpu:0")) == []


def test_synchronized_batch_norm_works_in_one_process(decide):
    learner = built(decide("train.sync_batch_norm=true"))
    assert np.isfinite(learner.network.arrays()["norm._mean"]).all()


def test_a_rehearsal_refuses_what_only_the_built_network_shows(decide):
    learner_building.rehearse(decide("train.freeze=[norm]", "train.recompute=false"))
    with pytest.raises(SettingsError, match="unknown stage 'nrom'"):
        learner_building.rehearse(decide("train.freeze=[nrom]"))
