"""Augmentation, mixup and sampling as the settings choose them, and each error."""

import numpy as np
import paddle
import pytest
import soundfile

from pannsdist.run import building
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.runtime.errors import SettingsError, UnknownPlugin, UserError

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 8, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 3, batch_size: 4, crop_s: 0.5}
augment:
  time_roll: {}
  gain: {high_db: 2, probability: 0.5}
"""


def refusal(kind, decide, *overrides):
    with pytest.raises(UserError) as caught:
        decide(*overrides)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def test_augmentations_come_in_the_order_of_the_settings_and_the_last_value_wins(decide):
    plan = decide("augment.gain.high_db=3", "augment.noise.kind=pink")
    assert list(plan.plugins.augmentations) == ["time_roll", "gain", "noise"]
    gain = plan.plugins.augmentations["gain"].params
    assert (gain.low_db, gain.high_db, gain.probability) == (-6, 3, 0.5)


def test_an_augmentation_is_switched_off_with_null_and_on_with_its_defaults(decide):
    assert list(decide("augment.gain=null").plugins.augmentations) == ["time_roll"]
    assert list(decide("augment.speed={}").plugins.augmentations) == ["time_roll", "gain", "speed"]


def test_the_table_lists_what_changes_a_clip(decide):
    said = plan_table(decide("mixup.alpha=0.5", "train.spec_augment=true", "train.sampling=balanced"))
    assert "time_roll (pannsdist" in said
    assert "SpecAugment; mixup of the features, alpha 0.5, two clips become one\n" in said
    assert "balanced: every class equally often" in said
    assert "augment    nothing\n" in plan_table(decide("augment.gain=null", "augment.time_roll=null"))


def test_a_runs_hyper_parameters_hold_its_augmentation(decide):
    row = building.hyper_parameters(decide("mixup.alpha=0.5"))
    assert "gain" in row["augmentation"]
    assert "mixup" in row["augmentation"]


def test_pairs_of_panns_take_two_clips_for_each_of_a_batch(decide):
    assert decide().lengths.epoch_steps == 4
    assert decide("mixup.alpha=1").lengths.epoch_steps == 2
    assert decide("mixup.alpha=1", "mixup.pairs=free").lengths.epoch_steps == 4


def test_spec_augment_masks_in_the_network_if_it_can_else_at_the_features(decide):
    def masks(*overrides):
        plan = decide(*overrides)
        return plan.masks_features, getattr(plan.plugins.model.params, "spec_augment", None)

    cnn6 = ("model.name=panns_cnn6",)
    assert masks() == (False, None)
    assert masks("train.spec_augment=true") == (True, None)
    assert masks(*cnn6, "train.spec_augment=true") == (False, True)
    assert masks(*cnn6, "model.params.spec_augment=true") == (False, True)
    assert masks(*cnn6, "train.spec_augment=false") == (False, False)
    assert masks(*cnn6) == (False, False)


def test_the_network_is_built_with_the_masks_of_the_plan(decide):
    waveform = paddle.randn([2, 4000]) * 0.1
    augment_noise = paddle.full([2, 8], 0.5)
    masked, plain = (building.build_network(decide(f"train.spec_augment={wanted}")) for wanted in ("true", "false"))
    masked.eval()
    plain.eval()
    assert not paddle.allclose(masked(waveform, augment_noise=augment_noise), masked(waveform))
    assert paddle.allclose(plain(waveform, augment_noise=augment_noise), plain(waveform))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["augment.gain.high_db=99"], "augment.gain.high_db on the command line is 99"),
        (["augment.gain.probability=1.5"], "allowed: 0.0 to 1.0"),
        (["augment.gain.hihg_db=1"], "closest: high_db"),
        (["augment.gain.low_db=5"], "augment.gain.low_db is 5.0, above augment.gain.high_db, which is 2"),
        (["augment.gain=3"], "is 3, but it is a section"),
        (["augment.noise.kind=brown"], "allowed: one of white, pink, folder"),
        (["augment.noise.kind=folder", "augment.noise.folder=nowhere"], "augment.noise.folder is 'nowhere'"),
        (["mixup.alpha=8"], "allowed: 0 to 4"),
        (["mixup.pairs=all"], "allowed: one of panns, free"),
        (["train.sampling=even"], "allowed: one of shuffled, balanced, weighted"),
        (["mixup.alpha=1", "mixup.pairs=free", "train.batch_size=1"], "mixup.pairs"),
        (["mixup.alpha=1", "train.batch_size=16"], "mixup.pairs=panns takes two, but there are only 16 clips"),
        (
            ["model.name=panns_cnn6", "model.params.spec_augment=true", "train.spec_augment=false"],
            "train.spec_augment on the command line and model.params.spec_augment on the command line contradict",
        ),
        (
            ["model.name=panns_leenet11", "train.spec_augment=true", "feature.params.sample_rate_hz=8000"],
            "feature waveform (pannsdist",
        ),
    ],
)
def test_invalid_augmentation_is_refused_with_its_key(decide, overrides, words):
    with pytest.raises(UserError) as caught:
        decide(*overrides)
    assert words in str(caught.value)


def test_an_unknown_augmentation_is_refused_with_the_nearest(decide):
    said = refusal(UnknownPlugin, decide, "augment.noises={}")
    assert "unknown augmentation 'noises'" in said
    assert "closest: noise" in said


def test_the_largest_batch_that_pairs_leave_is_named(decide):
    assert "at most 8" in refusal(SettingsError, decide, "mixup.alpha=1", "train.batch_size=16")


def test_noise_that_is_cut_or_no_sound_is_refused_before_the_run_and_named(decide, tmp_path):
    folder = tmp_path / "noise files"
    folder.mkdir()
    for name in ("whole.wav", "cut.wav"):
        soundfile.write(folder / name, np.zeros(8000), 8000)
    chosen = ("augment.noise.kind=folder", f"augment.noise.folder={folder}")
    assert len(decide(*chosen).plugins.augmentations["noise"].plugin.sounds) == 2
    (folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:8044])
    (folder / "text.flac").write_text("no sound")
    said = refusal(SettingsError, decide, *chosen)
    assert "augment.noise: 2 of 3 sounds cannot be used whole, such as" in said
    assert f"{folder}/cut.wav: 0.50 of 1.00 s could be read" in said
    assert f"{folder}/text.flac: " in said
    assert "whole.wav" not in said
