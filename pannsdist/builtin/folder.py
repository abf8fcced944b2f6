"""Dataset plugin `folder`: audio files in class folders."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from pannsdist.builtin.class_folders import LAYOUTS, Tree
from pannsdist.builtin.event_folders import event_splits
from pannsdist.contracts import Clip, UserError, param, shell_command
from pannsdist.contracts.clip_lists import labels_of
from pannsdist.contracts.drawn_splits import check_drawn_params, draw_splits, drawn_folds, refuse_leaked_groups
from pannsdist.contracts.event_files import EVENT_FORMATS
from pannsdist.contracts.file_lookup import folder_above, is_file, is_folder
from pannsdist.contracts.labelled_clips import OVERLAPS, UNLISTED
from pannsdist.contracts.locations import Location, Url, location_of
from pannsdist.contracts.name_patterns import NamePattern, groups_by_pattern
from pannsdist.contracts.sound_files import find_sound_files
from pannsdist.contracts.split_names import SPLITS, how_to_name, is_unclear, split_named

EVENTS_DOC = "files of event labels, or folders with label tracks, such as the root; none: labels are class folders"


@dataclass(frozen=True)
class FolderParams:
    """`root` is relative to the working directory, or a URL of a store that lists its objects.

    `valid_fraction` is between 0 and 1, `test_fraction` may be 0.
    """

    root: str = param(doc="root folder, relative to the working directory")
    valid_fraction: float = param(0.2, "fraction of each class for validation, without folders for the splits")
    seed: int = param(0, "seed of the drawn splits and folds")
    folds: int = param(0, "number of folds to draw from train and valid; 0: none")
    valid_fold: int = param(
        0, "fold of the valid split, counted from 1; 0: valid_fraction, or the folders of the splits"
    )
    test_fraction: float = param(0.0, "fraction of each class for testing, without folders for the splits")
    group: str = param("", "pattern of file names whose part in parentheses is never split, such as (*)_* or (*)/*")
    events: list[str] = field(default_factory=list, metadata={"doc": EVENTS_DOC})
    event_format: str = param(
        "auto", "format of these files; auto: by ending and first line", choices=("auto", *EVENT_FORMATS)
    )
    event_column: str = param("", "column of the labels in a selection table of Raven; empty: Annotation")
    overlaps: str = param("refuse", "events of one label that overlap: refuse, or merge into one", choices=OVERLAPS)
    unlisted: str = param("refuse", "a sound that no such file lists", choices=UNLISTED)


class Folder:
    """Audio files in class folders, optionally below a folder per split.

    `root/train/CLASS/*.wav` with `root/valid/CLASS/*.wav` (and `root/test/...`) defines the splits; `valid_fraction`
    and `seed` are then ignored. A folder named after a split counts as a split if it contains folders; names such as
    `val/` do too (`contracts.split_names`).

    `root/CLASS/*.wav` is split per class: clips are sorted by a hash of seed and id, and the first `valid_fraction`,
    rounded up, are `valid`. At least one clip stays in `train`; a class with one clip has none in `valid`. The split
    depends on file names only, not on the machine or listing order. Adding a file moves at most one other clip of its
    class to the other split.

    With `folds`, `test_fraction` or `group` the splits are drawn by `contracts.drawn_splits` instead: stratified, and
    without a group in two splits. `folds` divides `train` and `valid` of any layout; `test/` remains the test split.

    With `events` the labels are those of label files: a table of all sounds, or the label tracks in a folder, such as
    a.txt or a.Table.1.selections.txt beside a.wav (`contracts.event_files`). Folders are then no classes: sounds lie in
    the root, or in folders of the splits, at any depth, and where no folder is a split, it is drawn.

    Subfolders of a class folder belong to the class. Which files count is the rule of `contracts.sound_files`; what it
    leaves out is in `skipped`. The id of a clip is its path relative to the root, with slashes, and bytes that are not
    UTF-8 as escapes.
    """

    Params: ClassVar[type] = FolderParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: FolderParams) -> tuple[int, ...]:
        """The folds to draw; empty if `folds` is 0."""
        return drawn_folds(params)

    def __init__(self, params: FolderParams) -> None:
        pattern = _checked_pattern(params)
        self.multi_label = bool(params.events)
        root = _existing_root(params.root)
        try:
            found = find_sound_files(root)
            tree = Tree(root, found)
            self._clips: dict[str, Sequence[Clip]]
            self._clips = dict((event_splits if params.events else _splits)(tree, params, pattern))
        except OSError as error:
            raise UserError(
                f"cannot list {error.filename}: {error.strerror}", "all folders below data.params.root must be readable"
            ) from error
        self.skipped = found.skipped
        self.splits = tuple(self._clips)
        self.labels = tuple(
            sorted({label for clips in self._clips.values() for own in labels_of(clips) for label in own})
        )
        if len(self.labels) < 2 and not params.events:
            raise UserError(
                f"only one class folder, {self.labels[0]!r}, in {root} (data.params.root)",
                f"at least two are needed; is the root one level too high?\n{LAYOUTS}",
            )

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips of one split, sorted by id; opens no audio."""
        if split not in self._clips:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return self._clips[split]


def _checked_pattern(params: FolderParams) -> NamePattern | None:
    """The pattern of groups, if any. Raises UserError for settings that are not possible, whatever is in the root."""
    if not 0.0 < params.valid_fraction < 1.0:
        raise UserError(
            f"data.params.valid_fraction is {params.valid_fraction}",
            "allowed: between 0 and 1, both excluded; 0.2 uses a fifth of every class for validation",
        )
    check_drawn_params(params)
    if params.valid_fold and not params.folds:
        wrong = f"data.params.valid_fold is {params.valid_fold}, but data.params.folds is 0"
        raise UserError(wrong, "set the number of folds too: data.params.folds=5")
    return NamePattern(params.group, "data.params.group") if params.group else None


def _existing_root(root: str) -> Location:
    path = location_of(root, "data.params.root")
    if isinstance(path, Url):
        return path
    if not root:
        raise UserError("data.params.root is empty", "give the folder that contains the class folders")
    if not is_folder(path):
        reason = "is not a folder" if is_file(path) else "does not exist"
        raise UserError(f"{path} {reason} (data.params.root)", LAYOUTS, shell_command("ls", folder_above(path)))
    return path


def _splits(tree: Tree, params: FolderParams, pattern: NamePattern | None) -> dict[str, tuple[Clip, ...]]:
    """The splits of the folders in the root, or drawn ones."""
    given = _folder_splits(tree)
    if given and params.test_fraction:
        wrong = f"data.params.test_fraction is {params.test_fraction}, but {tree.root} has a folder for each split"
        raise UserError(wrong, "leave it out: the clips of test/ are the test split")
    if not (given or params.valid_fold or params.test_fraction or pattern):
        return _hashed_splits(tree, params.valid_fraction, params.seed)
    test = given.pop("test", ())
    classes = given or tree.clips(tree.root)
    clips = _sorted(clip for of_class in classes.values() for clip in of_class)
    names = [clip.id for clip in (*clips, *test)]
    groups = dict(zip(names, groups_by_pattern(pattern, names) if pattern else names, strict=True))
    if params.valid_fold or not given:
        splits = {name: tuple(own) for name, own in draw_splits(clips, groups, params, test).items()}
    else:
        splits = {**given, **({"test": test} if test else {})}
    if pattern is None:
        return splits
    refuse_leaked_groups(splits, groups)
    return {name: tuple(replace(clip, group=groups[clip.id]) for clip in own) for name, own in splits.items()}


def _folder_splits(tree: Tree) -> dict[str, tuple[Clip, ...]]:
    """Splits from folders in the root; empty if there are none."""
    root, found = tree.root, _split_folders(tree)
    if not found:
        return {}
    others = [inside.name for inside in tree.folders(root) if inside not in found.values() and tree.sounds(inside)]
    beside = f"beside {_listed(found.values())}"
    for name in filter(is_unclear, others):
        raise UserError(f"{root} (data.params.root) has audio in {name}/, {beside}", how_to_name(name))
    for needed in ("train", "valid"):
        if needed not in found:
            first = next(iter(found.values())).name
            wrong = f"{root} (data.params.root) has {first}/ with folders in it, but no {needed}/ with class folders"
            raise UserError(wrong, LAYOUTS)
    if others:
        right = f"beside train/ and valid/ only test/ may hold audio; move {others[0]}/ away or rename it"
        raise UserError(f"{root} (data.params.root) has audio in {others[0]}/, {beside}", right)
    tree.check_no_loose_files(root)
    classes = {name: tree.clips(folder) for name, folder in found.items()}
    return {name: _sorted(clip for clips in classes[name].values() for clip in clips) for name in found}


def _split_folders(tree: Tree) -> dict[str, Location]:
    """The folders that stand for splits, in the order of the splits. Raises UserError for two of one split."""
    named: dict[str, list[Location]] = {}
    for inside in tree.folders(tree.root):
        split = split_named(inside.name)
        if split and tree.folders(inside):
            named.setdefault(split, []).append(inside)
    for split, folders in named.items():
        if len(folders) > 1:
            wrong = f"{_listed(folders)} in {tree.root} (data.params.root) are all the split {split!r}"
            raise UserError(wrong, f"move them into one folder, {split}/")
    return {split: named[split][0] for split in SPLITS if split in named}


def _listed(folders: Iterable[Location]) -> str:
    return ", ".join(f"{folder.name}/" for folder in folders)


def _hashed_splits(tree: Tree, fraction: float, seed: int) -> dict[str, tuple[Clip, ...]]:
    """`train` and `valid` splits from class folders in the root."""
    train: list[Clip] = []
    valid: list[Clip] = []
    for clips in tree.clips(tree.root).values():
        clips.sort(key=lambda clip: _hash(clip.id, seed))
        # Rounded first: 0.07 * 100 is 7.000000000000001, of which the ceiling is 8.
        held_out = min(math.ceil(round(fraction * len(clips), 9)), len(clips) - 1)
        valid += clips[:held_out]
        train += clips[held_out:]
    if not valid:
        raise UserError(
            f"no class in {tree.root} (data.params.root) has two clips, so the valid split would be empty",
            "add clips to a class, or create train/ and valid/ folders",
        )
    return {"train": _sorted(train), "valid": _sorted(valid)}


def _hash(clip_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{clip_id}".encode()).digest()


def _sorted(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    return tuple(sorted(clips, key=lambda clip: clip.id))
