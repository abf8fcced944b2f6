"""Conformance checks of datasets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.encoded import SoundFile
from pannsdist.contracts import Clip
from pannsdist.contracts.event_checks import event_fault
from pannsdist.devkit import subprocess_probe
from pannsdist.devkit.checking import Check, Cost, NotApplicable, Subject, require
from pannsdist.devkit.checks.plugin import pickle_round_trip, words
from pannsdist.runtime import storage
from pannsdist.runtime.errors import SettingsError, UserError

FIRST_CLIPS = 3
RATE_HZ = 16000
LONGEST_S = 60.0
NOWHERE = "nowhere.csv"


def it_has_train_and_valid_and_at_least_two_labels(subject: Subject) -> str:
    """Labels are unique strings."""
    dataset = subject.plugin()
    labels, splits = list(dataset.labels), list(dataset.splits)
    require(
        all(isinstance(label, str) and label for label in labels), f"labels must be non-empty strings: {labels[:5]}"
    )
    require(len(set(labels)) == len(labels) >= 2, f"at least two unique labels are needed: {labels[:20]}")
    require({"train", "valid"} <= set(splits), f"its splits are {', '.join(splits)}: train and valid are required")
    require(isinstance(dataset.multi_label, bool), f"multi_label is {dataset.multi_label!r}: True or False")
    empty = [split for split in splits if not dataset.clips(split)]
    require(not empty, f"no clips in {', '.join(empty)}")
    return f"{len(labels)} labels; {', '.join(f'{split} {len(dataset.clips(split))}' for split in splits)}"


def the_order_of_its_clips_is_deterministic(subject: Subject) -> str:
    """In this process, and in others with another hash seed."""
    dataset, second = subject.plugin(), subject.plugin()
    for split in dataset.splits:
        first = list(dataset.clips(split))
        require(first == list(dataset.clips(split)), f"the order of {split} changes from call to call")
        require(first == list(second.clips(split)), f"the order of {split} changes from instance to instance")
    own = {split: [clip.id for clip in dataset.clips(split)] for split in dataset.splits}
    for seed in (1, 2):
        require(subprocess_probe.listing(subject, seed).ids == own, "the order changes in another process")
    return "two calls here, and two other processes"


def the_ids_of_its_clips_are_unique(subject: Subject) -> str:
    """Over all splits; ids are non-empty strings."""
    ids = [clip.id for clip in _all_clips(subject)]
    require(all(isinstance(item, str) and item for item in ids), "an id must be a non-empty string")
    seen: set[str] = set()
    repeated = [item for item in ids if item in seen or seen.add(item)]  # type: ignore[func-returns-value]
    require(not repeated, f"{len(repeated)} ids are repeated, such as {repeated[:1]}")
    return f"{len(ids)} clips"


def its_splits_are_disjoint(subject: Subject) -> str:
    """No clip is in two splits, also not the same segment of a file under another id."""
    dataset = subject.plugin()
    owner: dict[Any, str] = {}
    for split in dataset.splits:
        for clip in dataset.clips(split):
            for key in _identities(clip):
                require(owner.setdefault(key, split) == split, f"clip {clip.id!r} is in both {owner[key]} and {split}")
    return ", ".join(dataset.splits)


def the_labels_of_every_clip_are_known(subject: Subject) -> str:
    """Exactly one label per clip, unless `multi_label` is True."""
    dataset = subject.plugin()
    known = set(dataset.labels)
    for clip in _all_clips(subject):
        unknown = [label for label in clip.labels if label not in known]
        require(isinstance(clip.labels, tuple), f"the labels of {clip.id!r} are not a tuple: {clip.labels!r}")
        require(not unknown, f"clip {clip.id!r} has the unknown label {unknown[:1]}")
        require(
            dataset.multi_label or len(clip.labels) == 1,
            f"clip {clip.id!r} has {len(clip.labels)} labels, but multi_label is False",
        )
    return f"{len(known)} labels"


def the_events_of_every_clip_are_possible(subject: Subject) -> str:
    """Within the clip, with known labels, which are those of the clip; with events, `multi_label` is True."""
    dataset, clips = subject.plugin(), _all_clips(subject)
    for clip in clips:
        fault, right = event_fault(clip, set(dataset.labels), dataset.multi_label)
        require(not fault, f"clip {clip.id!r} {fault}: {right}")
    events = [clip.events for clip in clips if clip.events is not None]
    unlabelled = sum(not clip.is_labelled for clip in clips)
    if not events and not unlabelled:
        raise NotApplicable("no clip has events, and every clip is labelled")
    return f"{sum(map(len, events))} events of {len(events)} clips; {unlabelled} clips are not labelled"


def listing_its_clips_opens_no_audio(subject: Subject) -> str:
    """Neither with Python's `open` nor with soundfile."""
    opened = subprocess_probe.listing(subject, hash_seed=0).opened
    require(not opened, f"{len(opened)} audio files are opened, such as {opened[:1]}")
    return "in a fresh interpreter"


def its_first_clips_can_be_decoded(subject: Subject) -> str:
    """They decode to finite samples, the same ones on each read."""
    dataset = subject.plugin()
    decoded = 0
    for split in dataset.splits:
        for clip in list(dataset.clips(split))[:FIRST_CLIPS]:
            reader = ClipReader(RATE_HZ, _samples_of(clip))
            waveform = reader.read(clip, None)
            require(np.array_equal(waveform, reader.read(clip, None)), f"clip {clip.id!r} changes from read to read")
            require(waveform.any(), f"clip {clip.id!r} is silent")
            decoded += 1
    return f"{decoded} clips"


def its_clips_can_be_pickled(subject: Subject) -> str:
    """They are sent to worker processes; a pickle round trip gives equal clips."""
    clips = list(subject.plugin().clips("train"))
    require(pickle_round_trip(clips) == clips, "the clips differ after a pickle round trip")
    return f"{len(clips)} clips"


def a_path_that_does_not_exist_is_refused_by_name(subject: Subject) -> str:
    """With a UserError that names the param and the path."""
    names = _path_params(subject)
    with storage.temporary_folder() as folder:
        for name in names:
            try:
                subject.plugin(**{name: str(folder / NOWHERE)})
            except UserError as error:
                require(NOWHERE in str(error), f"the error does not name the path: {error}")
                require(name in words(str(error)), f"the error does not name {subject.section}.{name}: {error}")
                continue
            require(False, f"{name}=.../{NOWHERE} is accepted")
    return ", ".join(names)


def a_missing_required_param_is_refused_by_name(subject: Subject) -> str:
    """With a SettingsError, before the plugin is built."""
    if not subject.required:
        raise NotApplicable("it has no required params")
    bare = Subject(subject.entry, {}, subject.catalog)
    try:
        bare.plugin()
    except SettingsError as error:
        named = f"{subject.section}.{subject.required[0]} is not set"
        require(named in str(error), f"the error is {error}")
        return named
    require(False, "it is built without its required params")
    return ""


def an_unknown_split_is_refused(subject: Subject) -> str:
    """With a UserError."""
    try:
        subject.plugin().clips("no such split")
    except UserError as error:
        return error.wrong
    require(False, "clips('no such split') returns; raise UserError")
    return ""


def its_folds_partition_the_clips(subject: Subject) -> str:
    """Each clip is in `valid` for exactly one fold, and in `train` for the others unless held out as `test`."""
    key = getattr(subject.plugin_class, "fold_param", None)
    if key is None:
        raise NotApplicable("it has no fold_param")
    require(
        key in {item.name for item in dataclasses.fields(subject.plugin_class.Params)}, f"there is no param {key!r}"
    )
    folds = list(subject.plugin_class.folds(subject.params()))
    if not folds:
        raise NotApplicable("these clips have no folds")
    require(len(set(folds)) == len(folds) >= 2, f"at least two unique folds are needed: {folds}")
    splits = [_ids(subject.plugin(**{key: fold})) for fold in folds]
    everything = set.union(*(split["valid"] for split in splits))
    require(sum(len(split["valid"]) for split in splits) == len(everything), "a clip is in valid for two folds")
    for fold, split in zip(folds, splits, strict=True):
        rest = everything - split["valid"]
        require(not split["train"] & split["valid"], f"with {key}={fold}, clips of valid are also in train")
        held_out = split.get("test", set())
        require(rest - split["train"] <= held_out, f"with {key}={fold}, clips of the other folds are not in train")
    return f"{key}: {', '.join(map(str, folds))}"


def _all_clips(subject: Subject) -> list[Clip]:
    dataset = subject.plugin()
    return [clip for split in dataset.splits for clip in dataset.clips(split)]


def _ids(dataset: Any) -> dict[str, set[str]]:
    return {split: {clip.id for clip in dataset.clips(split)} for split in dataset.splits}


def _identities(clip: Clip) -> Sequence[Any]:
    """Keys that clips of different splits may not share; clips generated in memory are compared by id only."""
    if isinstance(clip.source, SoundFile):
        return clip.id, (str(clip.source), clip.start_s, clip.duration_s)
    return (clip.id,)


def _samples_of(clip: Clip) -> int:
    return round(RATE_HZ * min(clip.duration_s or LONGEST_S, LONGEST_S))


def _path_params(subject: Subject) -> list[str]:
    """The required string params, which are paths to the data."""
    types = {item.name: item.type for item in dataclasses.fields(subject.plugin_class.Params)}
    names = [name for name in subject.required if types[name] in (str, "str")]
    if not names:
        raise NotApplicable("it has no required path")
    return names


CHECKS = (
    Check(it_has_train_and_valid_and_at_least_two_labels),
    Check(the_order_of_its_clips_is_deterministic, Cost.COMPUTES),
    Check(the_ids_of_its_clips_are_unique),
    Check(its_splits_are_disjoint),
    Check(the_labels_of_every_clip_are_known),
    Check(the_events_of_every_clip_are_possible),
    Check(listing_its_clips_opens_no_audio, Cost.COMPUTES),
    Check(its_first_clips_can_be_decoded, Cost.COMPUTES),
    Check(its_clips_can_be_pickled),
    Check(a_missing_required_param_is_refused_by_name),
    Check(a_path_that_does_not_exist_is_refused_by_name),
    Check(an_unknown_split_is_refused),
    Check(its_folds_partition_the_clips),
)
