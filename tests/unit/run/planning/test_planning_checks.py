"""Settings that contradict each other, each pair refused with both keys."""

import pytest

from pannsdist.runtime.errors import SettingsError

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 8, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 4, batch_size: 8, crop_s: 0.5}
"""


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (("train.ema_decay=0.9", "train.swa_epochs=2"), ("train.ema_decay", "train.swa_epochs")),
        (("train.swa_epochs=5",), ("train.swa_epochs", "train.epochs")),
        (("train.unfreeze_epoch=2",), ("train.unfreeze_epoch", "train.freeze")),
        (("train.to_static=true", "train.recompute=true"), ("train.to_static", "train.recompute")),
        (("train.to_static=true", "train.amp=bf16"), ("train.to_static", "train.amp")),
        (("train.unfreeze_epoch=5", "train.freeze=[norm]"), ("train.unfreeze_epoch", "train.epochs")),
        (
            (
                "train.unfreeze_epoch=2",
                "train.freeze=[norm]",
                "optimizer.name=Adam",
                "optimizer.params.use_multi_tensor=true",
            ),
            ("optimizer.params.use_multi_tensor", "train.unfreeze_epoch"),
        ),
        (("train.recompute=true", "train.sync_batch_norm=true"), ("train.recompute", "train.sync_batch_norm")),
        (("schedule.warmup_steps=2", "schedule.warmup_epochs=1"), ("schedule.warmup_steps", "schedule.warmup_epochs")),
        (("schedule.warmup_epochs=4.6",), ("schedule.warmup_epochs", "train.epochs")),
        (("schedule.warmup_steps=9",), ("schedule.warmup_steps", "train.epochs")),
        (
            ("schedule.name=warmup_linear_down", "schedule.hold_epochs=5"),
            ("schedule.hold_epochs", "train.epochs"),
        ),
        (("schedule.hold_epochs=1",), ("schedule.hold_epochs", "schedule.name")),
        (("schedule.milestones=[1]",), ("schedule.milestones", "schedule.name")),
        (("schedule.every_epochs=1",), ("schedule.every_epochs", "schedule.name")),
        (("schedule.name=step",), ("schedule.milestones", "schedule.every_epochs", "schedule.name")),
        (
            ("schedule.name=step", "schedule.milestones=[1]", "schedule.every_epochs=1"),
            ("schedule.milestones", "schedule.every_epochs"),
        ),
        (("schedule.name=step", "schedule.milestones=[4]"), ("schedule.milestones", "train.epochs")),
        (("schedule.name=step", "schedule.every_epochs=4"), ("schedule.every_epochs", "train.epochs")),
        (
            ("loss.class_weights=balanced", "loss.label_weights.tone1=2"),
            ("loss.class_weights", "loss.label_weights"),
        ),
        (("loss.name=binary_cross_entropy",), ("loss.name", "data.name")),
        (("train.accumulate_steps=3",), ("train.accumulate_steps", "train.batch_size")),
        (("loss.label_weights.nothing=2",), ("loss.label_weights.nothing",)),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_their_names(decide, overrides, keys):
    with pytest.raises(SettingsError) as caught:
        decide(*overrides)
    for key in keys:
        assert key in caught.value.wrong, caught.value
    assert caught.value.right


def test_accumulate_steps_that_do_not_divide_a_slice_are_refused_with_the_nearest(decide):
    with pytest.raises(SettingsError) as caught:
        decide("train.accumulate_steps=3", world_size=2)
    assert "gives each of 2 processes 4 clips" in str(caught.value)
    assert "nearest: 2 or 4" in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ("schedule.warmup_epochs=4",),
        ("schedule.name=step", "schedule.milestones=[1,3]"),
        ("schedule.name=warmup_linear_down", "schedule.hold_epochs=1", "schedule.warmup_steps=3"),
        ("train.freeze=[norm]", "train.unfreeze_epoch=4", "train.recompute=true"),
        ("train.swa_epochs=4", "train.accumulate_steps=8"),
        ("loss.name=focal", "loss.label_smoothing=0.1", "loss.class_weights=balanced"),
    ],
)
def test_compatible_settings_are_accepted(decide, overrides):
    assert decide(*overrides).lengths.epoch_steps == 2
