"""Folders of sounds whose labels stand in label files: the clips, and their splits. Axes: N clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from pannsdist.builtin.class_folders import Tree
from pannsdist.contracts import Clip, UserError
from pannsdist.contracts.clip_lists import ClipList, Ragged
from pannsdist.contracts.drawn_splits import DrawnParams, draw_splits, refuse_leaked_groups
from pannsdist.contracts.event_files import LabelFiles, read_listed_sounds
from pannsdist.contracts.labelled_clips import Joining, labelled
from pannsdist.contracts.locations import location_of
from pannsdist.contracts.name_patterns import NamePattern, groups_by_pattern
from pannsdist.contracts.sound_labels import sound_labels
from pannsdist.contracts.split_names import SPLITS, how_to_name, is_unclear, split_named

KEY = "data.params.events"
LAYOUT = """root/train/*.wav with root/valid/*.wav (and root/test/*.wav), or
root/*.wav, from which a fraction becomes the valid split; labels are those of the files in data.params.events"""


class EventParams(DrawnParams, Protocol):
    """The settings of label files, beside those of drawn splits."""

    @property
    def events(self) -> list[str]:
        """Files of labels, and folders with label tracks."""
        ...

    @property
    def event_format(self) -> str:
        """The format of all of them, or `auto`."""
        ...

    @property
    def event_column(self) -> str:
        """The column of labels in a selection table."""
        ...

    @property
    def overlaps(self) -> str:
        """What happens to events of one label that overlap."""
        ...

    @property
    def unlisted(self) -> str:
        """What a sound is that no label file lists."""
        ...


def event_splits(tree: Tree, params: EventParams, pattern: NamePattern | None) -> dict[str, Sequence[Clip]]:
    """The splits of the sounds below a root: of the folders that are named so, or drawn. Raises UserError."""
    clips = _clips(tree, params)
    groups = groups_by_pattern(pattern, clips.ids) if pattern else clips.ids
    clips = replace(clips, groups=groups) if pattern else clips
    of_clip = dict(zip(clips.ids, groups, strict=True))
    names = _split_names(tree, clips)
    if any(names) and params.test_fraction:
        wrong = f"data.params.test_fraction is {params.test_fraction}, but {tree.root} has a folder for each split"
        raise UserError(wrong, "leave it out: the clips of test/ are the test split")
    given = {split: clips.take(np.flatnonzero(names == split)) for split in SPLITS if split in names}
    if given and not params.valid_fold:
        if pattern:
            refuse_leaked_groups(given, of_clip)
        return dict(given)
    return dict(draw_splits(clips.take(np.flatnonzero(names != "test")), of_clip, params, given.get("test", ())))


def _clips(tree: Tree, params: EventParams) -> ClipList:
    """All sounds below the root, sorted by id, with their labels."""
    ids, sources = tree.files()
    if not ids:
        raise UserError(f"{tree.root} (data.params.root) has no audio", LAYOUT)
    nothing = Ragged.of_lengths(np.zeros(0, np.int32), np.zeros(len(ids), np.int64))
    clips = ClipList(ids, sources, (), nothing)
    files = [location_of(file, KEY) for file in params.events]
    rows = read_listed_sounds(LabelFiles(files, params.event_format, params.event_column))
    joining = Joining(
        ids, np.full(len(ids), np.nan), np.zeros(len(ids), bool), [str(tree.root)] * len(ids), params.unlisted
    )
    return labelled(clips, sound_labels(rows, params.overlaps), joining)


def _split_names(tree: Tree, clips: ClipList) -> np.ndarray:
    """The split of each clip (N,) by its first folder; all empty where no folder is named after a split.

    Raises UserError.
    """
    folders = [name.partition("/")[0] if "/" in name else "" for name in clips.ids]
    named = {folder: split_named(folder) for folder in dict.fromkeys(folders)}
    if any(named.values()):
        _refuse_folders(tree, named)
    return np.array([named[folder] for folder in folders])


def _refuse_folders(tree: Tree, named: Mapping[str, str]) -> None:
    splits = [folder for folder, split in named.items() if split]
    beside = f"{tree.root} (data.params.root) has audio beside {', '.join(f'{folder}/' for folder in splits)}"
    for folder, split in named.items():
        if not split:
            where = f"{folder}/" if folder else "the root itself"
            right = how_to_name(folder) if is_unclear(folder) else "move it into one of the folders, or elsewhere"
            raise UserError(f"{beside}, in {where}", right)
        twins = [other for other in splits if named[other] == split]
        if len(twins) > 1:
            both = ", ".join(f"{other}/" for other in twins)
            wrong = f"{both} in {tree.root} (data.params.root) are all the split {split!r}"
            raise UserError(wrong, f"move them into one folder, {split}/")
    for needed in ("train", "valid"):
        if needed not in named.values():
            raise UserError(f"{tree.root} (data.params.root) has {splits[0]}/, but no {needed}/", LAYOUT)
