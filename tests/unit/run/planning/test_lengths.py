"""The lengths of a run agree with the batches that are read."""

import pytest

from pannsdist.audio.batches import Shard
from pannsdist.audio.loader import Loader
from pannsdist.audio.sampling import epoch_steps
from pannsdist.run import batch_sources

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 9, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 3, batch_size: 4, crop_s: 0.5}
"""


def test_clips_that_do_not_fill_a_step_are_left_out_and_the_limit_is_an_upper_bound():
    assert epoch_steps(18, 4) == 4
    assert epoch_steps(3, 4) == 0
    assert [epoch_steps(18, 4, limit) for limit in (1, 4, 99)] == [1, 4, 4]


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        ((), 4),
        (("train.limit_steps=3",), 3),
        (("train.limit_steps=9",), 4),
        (("mixup.alpha=1",), 2),
        (("mixup.alpha=1", "train.limit_steps=1"), 1),
        (("mixup.alpha=1", "mixup.pairs=free"), 4),
        (("train.sampling=balanced",), 4),
        (("train.overfit_batches=2", "mixup.alpha=1"), 2),
    ],
)
def test_an_epoch_has_as_many_batches_as_the_plan_has_steps(decide, overrides, steps):
    plan = decide(*overrides)
    data = batch_sources.training_data(plan, batch_sources.Sources(Loader(0), Shard(0, 1)))
    assert plan.lengths.epoch_steps == data.steps == steps
    assert len(list(data.batches(1, 0))) == steps
    assert len(list(data.batches(2, 1))) == steps - 1


def test_lengths_in_epochs_become_steps(decide):
    lengths = decide("schedule.name=warmup_linear_down", "schedule.warmup_epochs=0.5", "schedule.hold_epochs=1").lengths
    assert (lengths.warmup_steps, lengths.hold_steps, lengths.total_steps) == (2, 4, 12)
    assert decide("train.max_steps=10").lengths.total_steps == 10
