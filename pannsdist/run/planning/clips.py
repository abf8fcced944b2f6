"""What holds for the clips of every dataset, whichever plugin lists them: refused, or noted in the plan."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set

import numpy as np

from pannsdist.audio.batches import ClipTable
from pannsdist.audio.encoded import SoundFile
from pannsdist.contracts import Clip
from pannsdist.contracts.clip_lists import ClipList, Files, ids_of, segments_of, sources_of
from pannsdist.contracts.event_checks import are_events_plain, event_fault
from pannsdist.runtime.errors import BadDataset
from pannsdist.runtime.names import is_unicode, shown

NAMED = 5
"""Names given as examples in a message."""


def refuse_labels(labels: Sequence[str], multi_label: bool, dataset: str, show: str) -> None:
    """Raise BadDataset for a list of labels that no classifier can have."""
    unnamed = [label for label in labels if not (isinstance(label, str) and label)]
    if unnamed:
        raise BadDataset(f"dataset {dataset} has the label {unnamed[0]!r}", "labels are non-empty strings", show)
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise BadDataset(f"dataset {dataset} lists the label '{twice[0]}' twice", "every label is listed once", show)
    for label in labels:
        _refuse_bytes(label, f"dataset {dataset}", show)
    needed = 1 if multi_label else 2
    if len(labels) < needed:
        wrong = f"dataset {dataset} has {len(labels)} label(s): {', '.join(labels)}"
        raise BadDataset(wrong, "a classifier needs two; one is enough if a clip may have several labels", show)


def refuse_clips(clips: Sequence[Clip], labels: Sequence[str], multi_label: bool, what: str, show: str) -> None:
    """Raise BadDataset for a split, described by `what`, that is empty or has a clip which cannot be used."""
    if not clips:
        raise BadDataset(f"{what} is empty", "check its folders and folds", show)
    known = set(labels)
    for clip in () if _are_plain(clips, known, multi_label) else clips:
        if not (isinstance(clip.id, str) and clip.id):
            raise BadDataset(f"{what} has a clip with the id {clip.id!r}", "an id is a non-empty string", show)
        _refuse_bytes(clip.id, what, show)
        given = clip.labels
        if not set(given) <= known or len(set(given)) != len(given) or (not multi_label and len(given) != 1):
            right = f"every clip must have {'labels' if multi_label else 'exactly one label'} of the dataset's list"
            raise BadDataset(f"{what}: clip '{clip.id}' is labelled {given}", right, show)
        if not (0 <= clip.start_s < math.inf and (clip.duration_s is None or 0 < clip.duration_s < math.inf)):
            wrong = f"{what}: clip '{clip.id}' starts at {clip.start_s} s and lasts {clip.duration_s} s"
            raise BadDataset(wrong, "the start is 0 or more, the duration above 0 or None", show)
        fault, right = event_fault(clip, known, multi_label)
        if fault:
            raise BadDataset(f"{what}: clip '{clip.id}' {fault}", right, show)
    ids = ids_of(clips)
    if len(set(ids)) < len(ids):
        double = [name for name, count in Counter(ids).items() if count > 1]
        raise BadDataset(f"{what}: {len(double)} duplicate ids, such as '{double[0]}'", "ids must be unique", show)


def _are_plain(clips: Sequence[Clip], known: Set[str], multi_label: bool) -> bool:
    """Whether clips in columns can all be used, by their columns alone; False where clip by clip must be looked at."""
    if not isinstance(clips, ClipList):
        return False
    labels, starts_s, durations_s = clips.labels, clips.starts_s, clips.durations_s
    is_known = np.array([name in known for name in clips.label_names], bool)
    label_of_clip = np.sort(labels.rows * len(clips.label_names) + labels.flat)
    return all(isinstance(name, str) and name and is_unicode(name) for name in clips.ids) and bool(
        is_known[labels.flat].all()
        and (np.diff(label_of_clip) > 0).all()
        and (multi_label or (labels.lengths == 1).all())
        and (starts_s is None or (np.isfinite(starts_s) & (starts_s >= 0)).all())
        and (durations_s is None or ~((durations_s <= 0) | np.isinf(durations_s)).any())
        and are_events_plain(clips, known, multi_label)
    )


def refuse_untrained_classes(splits: Mapping[str, ClipTable], labels: Sequence[str], train: str, show: str) -> None:
    """Raise BadDataset for a class with clips in another split and none in `train`; the split may be missing."""
    if train not in splits:
        return
    trained = splits[train].clips_of_class(len(labels))
    for name, table in splits.items():
        found = np.flatnonzero((table.clips_of_class(len(labels)) > 0) & (trained == 0))
        if len(found):
            wrong = f"{_classes(labels, found)} in {name}, but not in {train}"
            right = f"a network cannot learn a class without clips: add some to {train}, or leave the class out"
            if name == "test":
                right += "\na run without that split: select.test=false"
            raise BadDataset(wrong, right, show)


def refuse_leaks(splits: Mapping[str, ClipTable], train: str, valid: str) -> None:
    """Raise BadDataset for ids in both splits, and for parts of a file in both that overlap."""
    right = "the scores of clips that were trained on do not measure generalization"
    ids = (ids_of(splits[name].clips) for name in (train, valid))
    if shared := sorted(set(next(ids)).intersection(next(ids))):
        raise BadDataset(f"{len(shared)} clips are in both {train} and {valid}, such as '{shared[0]}'", right)
    for one, other in _overlapping(splits[train].clips, splits[valid].clips):
        wrong = f"clip '{one.id}' of {train} and clip '{other.id}' of {valid} are the same sound of {one.source}"
        raise BadDataset(wrong, right)


def notes(splits: Mapping[str, ClipTable], labels: Sequence[str], train: str, valid: str) -> list[str]:
    """What is allowed, and yet may be a mistake: classes that are not trained, not evaluated, or have a single clip."""
    trained, evaluated = (splits[name].clips_of_class(len(labels)) for name in (train, valid))
    masks = {
        "listed without any clip": (trained == 0) & (evaluated == 0),
        f"in {train}, but not in {valid}": (trained > 0) & (evaluated == 0),
        f"in {train} with a single clip": trained == 1,
    }
    return [f"{_classes(labels, np.flatnonzero(mask))} {what}" for what, mask in masks.items() if mask.any()]


def _refuse_bytes(text: str, what: str, show: str) -> None:
    if not is_unicode(text):
        right = "ids and labels are text; pannsdist.contracts.shown(name) writes the bytes of a file name as text"
        raise BadDataset(f"{what}: '{shown(text)}' holds bytes that are not UTF-8", right, show)


def _classes(labels: Sequence[str], found: np.ndarray) -> str:
    """`class 'a' is`, or `3 classes are`, with examples."""
    named = [f"'{labels[int(index)]}'" for index in found[:NAMED]]
    if len(found) == 1:
        return f"class {named[0]} is"
    return f"{len(found)} classes ({', '.join(named)}{', ...' if len(found) > NAMED else ''}) are"


def _overlapping(train: Sequence[Clip], valid: Sequence[Clip]) -> Iterator[tuple[Clip, Clip]]:
    """Clips of train and of valid that share sound of one file; only files that are in both are looked at."""
    split = (train, valid)
    files = _files(*split)
    both = set(files[0]).intersection(files[1]) - {None}
    pieces: dict[Hashable, list[tuple[float, float, int, int]]] = {}
    for place, clips in enumerate(split if both else ()):
        for row, (file, segment) in enumerate(zip(files[place], segments_of(clips), strict=True)):
            if file in both:
                start_s, duration_s = segment
                end_s = math.inf if duration_s is None else start_s + duration_s
                pieces.setdefault(file, []).append((start_s, end_s, place, row))
    for found in pieces.values():
        last: list[tuple[float, int] | None] = [None, None]
        for start_s, end_s, place, row in sorted(found):
            earlier = last[1 - place]
            if earlier and earlier[0] > start_s:
                pair = (earlier[1], row) if place else (row, earlier[1])
                yield train[pair[0]], valid[pair[1]]
            own = last[place]
            if own is None or end_s > own[0]:
                last[place] = end_s, row


def _files(*splits: Sequence[Clip]) -> list[Sequence[Hashable]]:
    """What stands for the file of each clip of each split; None for clips that are of no file."""
    columns = [sources_of(clips) for clips in splits]
    listed = [sources for sources in columns if isinstance(sources, Files)]
    if len(listed) == len(columns) and len({files.root for files in listed}) == 1:
        return [files.names for files in listed]
    return [[source if isinstance(source, SoundFile) else None for source in sources] for sources in columns]
