"""What a dataset keeps to."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.contracts import Clip
from pannsdist.devkit import subprocess_probe
from pannsdist.devkit.checking import Check, Cost, NotApplicable, Subject, require
from pannsdist.devkit.checks.plugin import travelled, words
from pannsdist.runtime.errors import SettingsError, UserError

FIRST_CLIPS = 3
RATE_HZ = 16000
LONGEST_S = 60.0
NOWHERE = "nowhere.csv"


def it_has_train_and_valid_and_at_least_two_labels(subject: Subject) -> str:
    """Labels are texts, each once."""
    dataset = subject.opened()
    labels, splits = list(dataset.labels), list(dataset.splits)
    require(all(isinstance(label, str) and label for label in labels), f"labels are texts, but these are {labels[:5]}")
    require(len(set(labels)) == len(labels) >= 2, f"at least two labels, each once, but these are {labels[:20]}")
    require({"train", "valid"} <= set(splits), f"its splits are {', '.join(splits)}: train and valid are needed")
    require(isinstance(dataset.multi_label, bool), f"multi_label is {dataset.multi_label!r}: True or False")
    empty = [split for split in splits if not dataset.clips(split)]
    require(not empty, f"no clips in {', '.join(empty)}")
    return f"{len(labels)} labels; {', '.join(f'{split} {len(dataset.clips(split))}' for split in splits)}"


def its_clips_come_in_the_same_order_each_time(subject: Subject) -> str:
    """In this process, and in others whose sets of texts have other orders."""
    dataset, again = subject.opened(), subject.opened()
    for split in dataset.splits:
        first = list(dataset.clips(split))
        require(first == list(dataset.clips(split)), f"{split} is another when it is asked for again")
        require(first == list(again.clips(split)), f"{split} is another when the plugin is built again")
    own = {split: [clip.id for clip in dataset.clips(split)] for split in dataset.splits}
    for seed in (1, 2):
        require(subprocess_probe.listing(subject, seed).ids == own, "its order is another in another process")
    return "twice here, and in two other processes"


def the_ids_of_its_clips_are_unique(subject: Subject) -> str:
    """In the whole dataset, and texts."""
    ids = [clip.id for clip in _all_clips(subject)]
    require(all(isinstance(item, str) and item for item in ids), "an id is a text, and not empty")
    seen: set[str] = set()
    twice = [item for item in ids if item in seen or seen.add(item)]  # type: ignore[func-returns-value]
    require(not twice, f"{len(twice)} ids stand twice, such as {twice[:1]}")
    return f"{len(ids)} clips"


def its_splits_share_no_clip(subject: Subject) -> str:
    """Not under another id either: the same piece of the same file."""
    dataset = subject.opened()
    owner: dict[Any, str] = {}
    for split in dataset.splits:
        for clip in dataset.clips(split):
            for key in _identities(clip):
                require(owner.setdefault(key, split) == split, f"clip {clip.id!r} is in {owner[key]} and in {split}")
    return ", ".join(dataset.splits)


def the_labels_of_every_clip_are_known(subject: Subject) -> str:
    """One for each clip, unless it may bear several."""
    dataset = subject.opened()
    known = set(dataset.labels)
    for clip in _all_clips(subject):
        strange = [label for label in clip.labels if label not in known]
        require(isinstance(clip.labels, tuple), f"the labels of {clip.id!r} are no tuple: {clip.labels!r}")
        require(not strange, f"clip {clip.id!r} has the unknown label {strange[:1]}")
        require(
            dataset.multi_label or len(clip.labels) == 1,
            f"clip {clip.id!r} has {len(clip.labels)} labels, but multi_label is False",
        )
    return f"{len(known)} labels"


def listing_its_clips_opens_no_audio(subject: Subject) -> str:
    """Neither by Python nor by soundfile."""
    opened = subprocess_probe.listing(subject, hash_seed=0).opened
    require(not opened, f"{len(opened)} sounds are opened, such as {opened[:1]}")
    return "in a Python of its own"


def its_first_clips_can_be_heard(subject: Subject) -> str:
    """They decode, are finite, and are the same each time."""
    dataset = subject.opened()
    heard = 0
    for split in dataset.splits:
        for clip in list(dataset.clips(split))[:FIRST_CLIPS]:
            reader = ClipReader(RATE_HZ, _samples_of(clip))
            waveform = reader.read(clip, None)
            require(np.array_equal(waveform, reader.read(clip, None)), f"clip {clip.id!r} is another each time")
            require(waveform.any(), f"clip {clip.id!r} is silent")
            heard += 1
    return f"{heard} clips"


def its_clips_reach_a_worker(subject: Subject) -> str:
    """They pickle, and are the same clips there."""
    clips = list(subject.opened().clips("train"))
    require(travelled(clips) == clips, "they are others behind the way to a worker process")
    return f"{len(clips)} clips"


def a_place_that_does_not_exist_is_refused_by_name(subject: Subject) -> str:
    """By a UserError that names the param and the place."""
    places = _places(subject)
    with tempfile.TemporaryDirectory() as folder:
        for name in places:
            try:
                subject.opened(**{name: str(Path(folder) / NOWHERE)})
            except UserError as error:
                require(NOWHERE in str(error), f"the refusal does not name the place: {error}")
                require(name in words(str(error)), f"the refusal does not name {subject.section}.{name}: {error}")
                continue
            require(False, f"{name}=.../{NOWHERE} is accepted")
    return ", ".join(places)


def what_it_needs_and_is_not_given_is_asked_for_by_name(subject: Subject) -> str:
    """By the settings, before it is built."""
    if not subject.required:
        raise NotApplicable("it needs nothing")
    bare = Subject(subject.entry, {}, subject.catalog)
    try:
        bare.opened()
    except SettingsError as error:
        named = f"{subject.section}.{subject.required[0]} is not set"
        require(named in str(error), f"the refusal is {error}")
        return named
    require(False, "it is built without what it needs")
    return ""


def a_split_that_it_does_not_have_is_refused(subject: Subject) -> str:
    """By a UserError."""
    try:
        subject.opened().clips("no such split")
    except UserError as error:
        return error.wrong
    require(False, "clips('no such split') is answered; raise UserError")
    return ""


def each_fold_is_valid_once_and_no_clip_in_two(subject: Subject) -> str:
    """Where it has folds."""
    key = getattr(subject.plugin_class, "fold_param", None)
    if key is None:
        raise NotApplicable("it has no fold_param")
    require(key in {item.name for item in dataclasses.fields(subject.plugin_class.Params)}, f"no param {key!r}")
    folds = list(subject.plugin_class.folds(subject.params()))
    if not folds:
        raise NotApplicable("these clips have no folds")
    require(len(set(folds)) == len(folds) >= 2, f"at least two folds, each once, but these are {folds}")
    splits = [_ids(subject.opened(**{key: fold})) for fold in folds]
    everything = set.union(*(split["valid"] for split in splits))
    require(sum(len(split["valid"]) for split in splits) == len(everything), "a clip is valid in two folds")
    for fold, split in zip(folds, splits, strict=True):
        rest = everything - split["valid"]
        require(not split["train"] & split["valid"], f"with {key}={fold}, train holds clips that are valid")
        held_out = split.get("test", set())
        require(rest - split["train"] <= held_out, f"with {key}={fold}, clips of the other folds are not in train")
    return f"{key}: {', '.join(map(str, folds))}"


def _all_clips(subject: Subject) -> list[Clip]:
    dataset = subject.opened()
    return [clip for split in dataset.splits for clip in dataset.clips(split)]


def _ids(dataset: Any) -> dict[str, set[str]]:
    return {split: {clip.id for clip in dataset.clips(split)} for split in dataset.splits}


def _identities(clip: Clip) -> Sequence[Any]:
    """What no clip of another split may have in common with it; two sounds in memory cannot be told apart."""
    if isinstance(clip.source, Path):
        return clip.id, (str(clip.source), clip.start_s, clip.duration_s)
    return (clip.id,)


def _samples_of(clip: Clip) -> int:
    return round(RATE_HZ * min(clip.duration_s or LONGEST_S, LONGEST_S))


def _places(subject: Subject) -> list[str]:
    """The required params that are texts: where the data is."""
    types = {item.name: item.type for item in dataclasses.fields(subject.plugin_class.Params)}
    places = [name for name in subject.required if types[name] in (str, "str")]
    if not places:
        raise NotApplicable("it needs no place")
    return places


CHECKS = (
    Check(it_has_train_and_valid_and_at_least_two_labels),
    Check(its_clips_come_in_the_same_order_each_time, Cost.COMPUTES),
    Check(the_ids_of_its_clips_are_unique),
    Check(its_splits_share_no_clip),
    Check(the_labels_of_every_clip_are_known),
    Check(listing_its_clips_opens_no_audio, Cost.COMPUTES),
    Check(its_first_clips_can_be_heard, Cost.COMPUTES),
    Check(its_clips_reach_a_worker),
    Check(what_it_needs_and_is_not_given_is_asked_for_by_name),
    Check(a_place_that_does_not_exist_is_refused_by_name),
    Check(a_split_that_it_does_not_have_is_refused),
    Check(each_fold_is_valid_once_and_no_clip_in_two),
)
