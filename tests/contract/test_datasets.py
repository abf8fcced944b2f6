"""What every installed dataset keeps to."""

import dataclasses
import pickle

import pytest
from installed import entries, opened

from pannsdist.errors import SettingsError, UserError

DATASETS = pytest.mark.parametrize("entry", entries("dataset"))


def required(entry):
    params = entry.load().Params
    return [
        item.name
        for item in dataclasses.fields(params)
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]


def from_defaults(entry):
    if required(entry):
        pytest.skip(f"it needs {', '.join(required(entry))}; its own tests give it that")
    return opened(entry)


@DATASETS
def test_its_params_cannot_be_changed(entry):
    assert dataclasses.is_dataclass(entry.load().Params)
    assert entry.load().Params.__dataclass_params__.frozen


@DATASETS
def test_what_it_needs_and_is_not_given_is_asked_for_by_name(entry):
    if not required(entry):
        pytest.skip("it needs nothing")
    with pytest.raises(SettingsError, match=f"params.{required(entry)[0]} is not set"):
        opened(entry)


@DATASETS
def test_a_place_that_does_not_exist_is_refused_by_name(entry, tmp_path):
    if not required(entry):
        pytest.skip("it needs no place")
    with pytest.raises(UserError) as caught:
        opened(entry, **dict.fromkeys(required(entry), str(tmp_path / "nowhere.csv")))
    assert "nowhere.csv" in str(caught.value)
    assert "data.params." in str(caught.value)


@DATASETS
def test_it_has_train_and_valid_and_at_least_two_labels(entry):
    dataset = from_defaults(entry)
    assert {"train", "valid"} <= set(dataset.splits)
    assert len(set(dataset.labels)) == len(dataset.labels) >= 2
    assert dataset.multi_label in (True, False)


@DATASETS
def test_its_clips_are_the_same_each_time_unique_and_labelled(entry):
    dataset, again = from_defaults(entry), from_defaults(entry)
    everything = [clip for split in dataset.splits for clip in dataset.clips(split)]
    assert everything == [clip for split in again.splits for clip in again.clips(split)]
    assert len({clip.id for clip in everything}) == len(everything) > 0
    assert {label for clip in everything for label in clip.labels} <= set(dataset.labels)


@DATASETS
def test_its_clips_reach_a_worker(entry):
    clips = from_defaults(entry).clips("train")
    assert pickle.loads(pickle.dumps(clips)) == clips


@DATASETS
def test_a_split_that_it_does_not_have_is_refused(entry):
    with pytest.raises(UserError):
        from_defaults(entry).clips("no such split")


@DATASETS
def test_where_it_has_folds_each_is_valid_once_and_no_clip_in_two(entry):
    if not hasattr(entry.load(), "fold_param"):
        pytest.skip("it has no folds")
    dataset = from_defaults(entry)
    key, folds = dataset.fold_param, dataset.folds(entry.load().Params())
    assert key in {item.name for item in dataclasses.fields(entry.load().Params)}
    assert len(set(folds)) == len(folds) >= 2
    held_out = [{clip.id for clip in opened(entry, **{key: fold}).clips("valid")} for fold in folds]
    everything = set.union(*held_out)
    assert sum(map(len, held_out)) == len(everything)
    for fold, valid in zip(folds, held_out, strict=True):
        assert {clip.id for clip in opened(entry, **{key: fold}).clips("train")} == everything - valid
