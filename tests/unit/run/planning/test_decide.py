"""The decision before anything is built, and each refusal of it."""

import re

import numpy as np
import paddle
import pytest
from small_parts import SmallModel, catalog

from pannsdist import settings
from pannsdist.contracts import NoParams
from pannsdist.registry import Catalog
from pannsdist.run.planning.data import load_data
from pannsdist.run.planning.decide import decide as decide_run
from pannsdist.run.planning.metrics import BestMetric
from pannsdist.run.planning.plan_table import plan_table, subset_note
from pannsdist.run.planning.selection import choose_dataset
from pannsdist.runtime.errors import (
    BadDataset,
    BadWeightsFile,
    BrokenPlugin,
    FrontEndMismatch,
    SettingsError,
    UnknownPlugin,
    UserError,
)

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 8, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 3, batch_size: 4, crop_s: 0.5}
"""


@pytest.fixture
def listed(decide):
    def decided(fault, *overrides):
        text = (
            f"model: {{name: small}}\ndata: {{name: listed, params: {{fault: {fault!r}}}}}\ntrain: {{batch_size: 2}}\n"
        )
        return decide(*overrides, text=text)

    return decided


def refusal(kind, action, *arguments, **named):
    with pytest.raises(UserError) as caught:
        action(*arguments, **named)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def test_curves_are_refused_for_a_label_that_the_dataset_lacks(decide):
    assert decide("log.curves=[sweep]").settings.log.curves == ["sweep"]
    said = refusal(SettingsError, decide, "log.curves=[tone,sweap]")
    assert said.startswith("no label 'sweap' (log.curves on the command line)\n  closest: sweep.  labels: sweep, tone")


def test_a_plan_holds_the_choices_of_a_run(decide):
    plan = decide(world_size=2)
    assert plan.lengths.epoch_steps == 4
    assert plan.front_end == SmallModel.front_end
    assert plan.best_metric == BestMetric("valid/accuracy", True)
    assert plan.score_names[0] == "train/loss"
    assert plan.weights is None
    assert plan.data.labels == ("tone", "sweep")
    assert plan.lengths.min_clip_s == 512 / 8000


def test_a_plan_is_printed_as_a_table(decide):
    said = plan_table(decide("train.batch_size=6", world_size=2))
    assert "run        runs/run\n" in said
    assert "model      small (small-parts 1.0), random weights\n" in said
    assert "train      16 clips, 0.5 s of each; 4 left out of each epoch, others each time\n" in said
    assert "batch      6 = 2 x 3\n" in said
    assert "length     3 epochs of 2 steps\n" in said
    assert said.endswith("best by    valid/accuracy, higher is better")


def test_the_feature_is_the_models_own_unless_another_is_named(decide):
    assert decide().plugins.feature.params.mel_bins == 16
    assert decide("feature.params.mel_bins=20").front_end.bins == 20
    assert decide("feature.name=logmel").front_end.bins == 64


def test_the_crop_of_an_evaluation_is_that_of_training_by_default(decide):
    assert decide().lengths.valid_crop_s == 0.5
    assert decide("valid.crop_s=0.75").lengths.valid_crop_s == 0.75


def test_several_labels_are_selected_by_average_precision(decide, tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.wav").touch()
    rows = "".join(f"{number}.wav,a;b,{'train' if number < 2 else 'valid'}\n" for number in range(4))
    (tmp_path / "clips.csv").write_text("path,labels,split\n" + rows, encoding="utf-8")
    params = f"{{path: {tmp_path}/clips.csv, multi_label: true}}"
    plan = decide(
        text=f"model: {{name: small}}\ndata: {{name: manifest, params: {params}}}\ntrain: {{batch_size: 2}}\n"
    )
    assert plan.best_metric.name == "valid/mean_average_precision"
    assert plan.data.splits["train"].targets[:].tolist() == [[1, 1], [1, 1]]


def test_an_unknown_model_is_refused_with_its_key_and_file(decide, tmp_path):
    said = refusal(UnknownPlugin, decide, text=TEXT.replace("name: small", "name: smal"))
    assert said.startswith(f"unknown model 'smal' (model.name in {tmp_path}/run.yaml)\n  closest: small.")


def test_unknown_params_of_a_plugin_are_refused(decide):
    said = refusal(SettingsError, decide, "data.params.clases=3")
    assert said.startswith("unknown key data.params.clases on the command line\n  closest: classes.")


def test_a_batch_that_the_processes_do_not_divide_is_refused_with_the_nearest_that_they_do(decide):
    said = refusal(SettingsError, decide, "train.batch_size=10", world_size=4)
    assert said.startswith("train.batch_size on the command line is 10, which is not divisible by 4 processes\n")
    assert "it is the batch of all processes together; nearest: 8 or 12" in said


def test_a_batch_below_the_number_of_processes_is_refused_with_that_number(decide):
    assert "nearest: 4\n" in refusal(SettingsError, decide, "train.batch_size=3", world_size=4)


def test_a_batch_that_is_more_than_the_clips_is_refused_with_the_most_that_would_do(decide):
    said = refusal(SettingsError, decide, "train.batch_size=18", world_size=3)
    assert said.startswith("train.batch_size on the command line is 18, but there are only 16 clips to train on")
    assert "\n  at most 15\n" in said


def test_fewer_clips_than_processes_are_refused(decide):
    said = refusal(SettingsError, decide, "train.batch_size=20", world_size=20)
    assert "fewer processes, or more clips" in said


def test_a_batch_of_all_clips_is_allowed(decide):
    assert decide("train.batch_size=16").lengths.epoch_steps == 1


@pytest.mark.parametrize("name", ["valid/acuracy", "accuracy", "train/accuracy", "valid/mean_average_precisio"])
def test_a_score_that_is_not_computed_is_refused_with_those_that_are(decide, name):
    said = refusal(SettingsError, decide, f"select.metric={name}")
    assert said.startswith(f"no score '{name}' is computed (select.metric on the command line)\n")
    assert "computed: " in said
    assert "valid/accuracy" in said


def test_a_score_is_selected_in_its_own_direction(decide):
    assert decide("select.metric=valid/loss").best_metric.higher_is_better is False


@pytest.mark.parametrize("key", ["train.crop_s", "valid.crop_s"])
def test_a_crop_below_the_minimum_of_the_network_is_refused_with_that_minimum(decide, key):
    said = refusal(SettingsError, decide, f"{key}=0.06")
    assert said.startswith(f"{key} on the command line is 0.06 s, 480 samples at 8000 Hz\n")
    assert "small needs 512 samples, at least 0.064 s" in said


@pytest.mark.parametrize(
    "name", ["panns_cnn10", "panns_cnn14_8k", "panns_dainet19", "panns_res1dnet31", "efficientat_mn04", "ast_tiny"]
)
def test_the_smallest_crop_that_a_refusal_names_is_allowed_and_no_shorter_one(tmp_path, name):
    path, installed = tmp_path / "run.yaml", Catalog.installed()
    front_end = installed.models.find(name).load().front_end

    def decided(key, crop_s):
        text = TEXT.replace("small", name).replace("8000", str(front_end.sample_rate_hz)).replace("0.5", "1.0")
        path.write_text(text, encoding="utf-8")
        return decide_run(*settings.load(path, [f"{key}={crop_s}"]), installed, 1)

    for key in ("train.crop_s", "valid.crop_s"):
        said = refusal(SettingsError, decided, key, 0.005)
        least_s = float(re.search(r"at least ([0-9.]+) s", said)[1])
        assert decided(key, least_s).lengths.valid_crop_s
        refusal(SettingsError, decided, key, least_s - 0.001)


def test_a_crop_of_just_the_minimum_is_allowed(decide):
    assert decide("train.crop_s=0.064").settings.train.crop_s == 0.064


def test_groups_by_length_are_refused_where_shorter_batches_save_nothing(decide, tmp_path):
    assert decide("train.group_by_length=true").groups_by_length
    assert not decide("train.group_by_length=true", "train.overfit_batches=1").groups_by_length
    said = refusal(SettingsError, decide, "train.group_by_length=true", "train.crop_s=0.064")
    assert said.startswith("train.group_by_length on the command line is true, but small needs at least 512 samples")
    text = TEXT.replace("small", "ast_base").replace("8000", "16000")
    path = tmp_path / "ast.yaml"

    def decided(*overrides):
        path.write_text(text, encoding="utf-8")
        return decide_run(*settings.load(path, ["train.group_by_length=true", *overrides]), Catalog.installed(), 1)

    said = refusal(SettingsError, decided, "train.crop_s=10")
    assert "ast_base itself pads its input to 164080 samples (10.255 s), and train.crop_s is 10 s" in said
    assert "train.group_by_length=false, or a longer train.crop_s" in said
    assert decided("train.crop_s=10", "model.params.padded_frames=0").groups_by_length
    assert decided("train.crop_s=11").plugins.padded_samples == 164080


def test_a_warm_up_that_is_longer_than_the_run_is_refused_with_both_keys(decide, tmp_path):
    said = refusal(SettingsError, decide, "schedule.warmup_epochs=3.5")
    assert said.startswith(
        f"schedule.warmup_epochs on the command line is 3.5, but train.epochs in {tmp_path}/run.yaml is 3\n"
    )
    assert "at most schedule.warmup_epochs=3" in said
    assert decide("schedule.warmup_epochs=3").settings.schedule.warmup_epochs == 3


def test_a_learning_rate_that_is_given_twice_is_refused_with_both_keys(decide):
    said = refusal(SettingsError, decide, "optimizer.params.learning_rate=1e-3", "optimizer.learning_rate=1e-4")
    keys = ("optimizer.params.learning_rate", "optimizer.learning_rate")
    assert said.startswith(" and ".join(f"{key} on the command line" for key in keys) + " are the same thing")


@pytest.mark.parametrize("name", ["''", "/elsewhere", "../elsewhere", "a/../../b", "."])
def test_a_name_that_leads_out_of_the_runs_is_refused_with_both_keys(decide, name):
    said = refusal(SettingsError, decide, f"name={name}", "runs=kept")
    assert "which is no folder inside runs on the command line" in said
    assert "it is created in 'kept'" in said


def test_a_name_may_be_a_path_below_the_runs(decide):
    assert "run        kept/a/b\n" in plan_table(decide("name=a/b", "runs=kept"))


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("seed=4294967296", "0 to 4294967295"),
        ("data.min_clip_s=3601", "0 to 3600"),
        ("optimizer.learning_rate=101", "above 0, up to 100"),
        ("optimizer.learning_rate=nan", "above 0, up to 100"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_is_allowed(decide, override, allowed):
    key = override.partition("=")[0]
    said = refusal(SettingsError, decide, override)
    assert said.startswith(f"{key} on the command line is ")
    assert f"allowed: {allowed}\n" in said


def test_an_unknown_optimizer_and_an_unknown_argument_of_one_are_refused(decide):
    assert "closest: AdamW" in refusal(SettingsError, decide, "optimizer.name=AdamWW")
    said = refusal(SettingsError, decide, "optimizer.params.momentun=0.9", "optimizer.name=Momentum")
    assert said.startswith("unknown key optimizer.params.momentun\n  closest: momentum.")


def test_weights_that_are_no_tag_and_no_file_are_refused_with_the_tags(decide):
    said = refusal(BadWeightsFile, decide, "model.weights=publishd")
    assert said.startswith(
        "no weights 'publishd' (model.weights on the command line)\n  give a file; or closest: publish"
    )
    assert "tags of small: published" in said


def test_published_weights_with_another_checksum_are_refused(decide, tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "small.pdparams").write_bytes(b"damaged")
    said = refusal(BadWeightsFile, decide, "model.weights=published")
    assert f"expected {'0' * 64}, as published: remove it" in said


def test_a_feature_that_the_weights_were_not_trained_on_is_refused_with_both_sides(decide, tmp_path):
    layer = SmallModel(NoParams()).build(("a", "b"), SmallModel.front_end)
    paddle.save({name: tensor.numpy() for name, tensor in layer.state_dict().items()}, str(tmp_path / "w.pdparams"))
    overrides = (f"model.weights={tmp_path}/w.pdparams", "feature.params.hop_samples=64", "feature.params.low_hz=20")
    said = refusal(FrontEndMismatch, decide, *overrides)
    assert said.startswith(
        "the weights w.pdparams of small (small-parts 1.0) expect another front end than the feature"
    )
    assert "\n  hop_samples: weights 128, feature 64\n" in said
    assert "low_hz: weights 50.0, feature 20.0" in said
    assert "bins" not in said
    assert said.endswith("\n  next: the same command with feature.params.hop_samples=128 feature.params.low_hz=50.0")
    assert decide(overrides[0]).weights == tmp_path / "w.pdparams"


def test_weights_under_another_feature_are_refused_with_the_way_back_to_their_own(decide, tmp_path):
    (tmp_path / "w.pdparams").write_bytes(b"")
    overrides = (f"model.weights={tmp_path}/w.pdparams", "feature.name=waveform", "feature.params.sample_rate_hz=8000")
    said = refusal(FrontEndMismatch, decide, *overrides)
    assert "\n  kind: weights logmel, feature waveform\n" in said
    assert said.endswith("\n  next: the same command without feature.name and feature.params, for its own 'logmel'")


def test_a_feature_that_the_model_does_not_accept_is_refused(decide):
    said = refusal(FrontEndMismatch, decide, "model.name=panns_cnn6", "feature.name=waveform")
    assert said.startswith("model panns_cnn6 (pannsdist ")
    assert "does not accept the front end 'waveform'\n  it was made for feature 'logmel'" in said


@pytest.mark.parametrize("split", ["train", "valid"])
def test_an_empty_split_is_refused(listed, split):
    assert refusal(BadDataset, listed, f"empty {split}").startswith(f"split '{split}' of dataset listed (")


def test_a_clip_that_is_in_train_and_in_valid_is_refused(listed):
    said = refusal(BadDataset, listed, "leak")
    assert said == (
        "1 clips are in both train and valid, such as 'train/1'\n"
        "  the scores of clips that were trained on do not measure generalization"
    )


def test_a_duplicate_id_is_refused(listed):
    assert "1 duplicate ids, such as 'train/0'" in refusal(BadDataset, listed, "double")


def test_labels_that_the_dataset_does_not_have_are_refused(listed):
    assert "clip 'train/1' is labelled ('shrill',)" in refusal(BadDataset, listed, "unknown label")


def test_two_labels_are_refused_for_a_dataset_of_one_label_a_clip(listed):
    said = refusal(BadDataset, listed, "two labels")
    assert "every clip must have exactly one label of the dataset's list" in said


def test_a_duplicate_label_is_refused(listed):
    assert "lists the label 'high' twice" in refusal(BadDataset, listed, "labels")


def test_a_plugin_that_fails_is_named(listed):
    said = refusal(BrokenPlugin, listed, "breaks")
    assert said.startswith("dataset plugin 'listed' of small-parts 1.0 fails: ZeroDivisionError: division by zero")
    assert "its params were {'fault': 'breaks'}" in said


def test_a_sound_dataset_is_accepted(listed):
    plan = listed("")
    assert [clip.id for clip in plan.data.splits["valid"].clips] == ["valid/0", "valid/1"]
    np.testing.assert_array_equal(plan.data.splits["train"].targets, [0, 1])


def test_a_split_that_the_dataset_does_not_have_is_refused(tmp_path):
    (tmp_path / "run.yaml").write_text(TEXT, encoding="utf-8")
    chosen, origin = settings.load(tmp_path / "run.yaml")
    said = refusal(BadDataset, load_data, choose_dataset(chosen.data, origin, catalog()), ("vald",))
    assert "has no split 'vald'\n  closest: valid.  it has: train, valid" in said


def test_deciding_writes_nothing(decide, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    decide()
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


def test_a_subset_run_takes_part_of_the_data_and_its_table_notes_it(decide):
    plan = decide("train.limit_steps=2", "valid.limit_batches=1", "valid.batch_size=2")
    assert plan.lengths.epoch_steps == 2
    assert [clip.id for clip in plan.data.splits["valid"].clips] == ["valid/tone/0000", "valid/sweep/0000"]
    assert "length     3 epochs of 2 steps; 2 steps per epoch, scores of 2 clips only" in plan_table(plan)
    assert decide("train.limit_steps=99").lengths.epoch_steps == 4
    assert subset_note(decide()) == ""


def test_overfitting_trains_on_what_it_evaluates(decide):
    plan = decide("train.overfit_batches=2", "mixup.alpha=1")
    train, valid = (plan.data.splits[name].clips for name in ("train", "valid"))
    assert len(train) == 8 and train is valid
    assert {clip.labels[0] for clip in train[:4]} == {clip.labels[0] for clip in train[4:]} == {"tone", "sweep"}
    assert (plan.lengths.epoch_steps, plan.mixup) == (2, None)
    assert "overfits 2 batches: the scores are of the clips that are trained on" in plan_table(plan)
    said = refusal(SettingsError, decide, "train.overfit_batches=5")
    assert said.startswith("train.overfit_batches on the command line is 5, 20 clips, but there are only 16")
    assert "at most 4" in said


@pytest.mark.parametrize("key", ["train.limit_steps", "valid.limit_batches"])
def test_overfitting_and_limits_contradict_each_other(decide, key):
    said = refusal(SettingsError, decide, "train.overfit_batches=1", f"{key}=1")
    assert said.startswith(f"train.overfit_batches on the command line and {key} on the command line are both set")
    assert "set one of the two to null" in said


def test_max_steps_and_max_minutes_are_in_the_table(decide):
    assert "length     3 epochs of 4 steps, at most 10 steps, at most 5 minutes" in plan_table(
        decide("train.max_steps=10", "train.max_minutes=5")
    )


def test_an_id_that_no_encoding_can_write_is_refused(listed):
    said = refusal(BadDataset, listed, "bytes in an id")
    assert "'train/\\xb9' holds bytes that are not UTF-8\n" in said
    assert "pannsdist.contracts.shown(name)" in said
