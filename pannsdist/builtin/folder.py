"""Dataset plugin `folder`: audio files in class folders."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pannsdist.contracts import Clip, UserError, param, path_of, shell_command, shown
from pannsdist.contracts.file_lookup import is_file, is_folder
from pannsdist.contracts.sound_files import SOUND_FILE_ENDINGS, SoundFiles, find_sound_files, is_hidden

ENDINGS = " ".join(SOUND_FILE_ENDINGS)
SPLITS = ("train", "valid", "test")

LAYOUTS = """root/train/CLASS/*.wav with root/valid/CLASS/*.wav (and root/test/CLASS/*.wav), or
root/CLASS/*.wav, from which a fraction of every class becomes the valid split"""


@dataclass(frozen=True)
class FolderParams:
    """`root` is relative to the working directory; `valid_fraction` is between 0 and 1."""

    root: str = param(doc="root folder, relative to the working directory")
    valid_fraction: float = param(0.2, "fraction of each class for validation, without folders for the splits")
    seed: int = param(0, "seed of the validation split")


class Folder:
    """Audio files in class folders, optionally below a folder per split.

    `root/train/CLASS/*.wav` with `root/valid/CLASS/*.wav` (and `root/test/...`) defines the splits; `valid_fraction`
    and `seed` are then ignored. A folder named after a split counts as a split if it contains folders.

    `root/CLASS/*.wav` is split per class: clips are sorted by a hash of seed and id, and the first `valid_fraction`,
    rounded up, are `valid`. At least one clip stays in `train`; a class with one clip has none in `valid`. The split
    depends on file names only, not on the machine or listing order. Adding a file moves at most one other clip of its
    class to the other split.

    Subfolders of a class folder belong to the class. Which files count is the rule of `contracts.sound_files`; what it
    leaves out is in `skipped`. The id of a clip is its path relative to the root, with slashes, and bytes that are not
    UTF-8 as escapes.
    """

    Params: ClassVar[type] = FolderParams

    def __init__(self, params: FolderParams) -> None:
        if not 0.0 < params.valid_fraction < 1.0:
            raise UserError(
                f"data.params.valid_fraction is {params.valid_fraction}",
                "allowed: between 0 and 1, both excluded; 0.2 uses a fifth of every class for validation",
            )
        self.multi_label = False
        root = _existing_root(params.root)
        try:
            found = find_sound_files(root)
            tree = Tree(root, found)
            self._clips = _folder_splits(tree) or _hashed_splits(tree, params.valid_fraction, params.seed)
        except OSError as error:
            raise UserError(
                f"cannot list {error.filename}: {error.strerror}", "all folders below data.params.root must be readable"
            ) from error
        self.skipped = found.skipped
        self.splits = tuple(self._clips)
        self.labels = tuple(sorted({clip.labels[0] for clips in self._clips.values() for clip in clips}))
        if len(self.labels) < 2:
            raise UserError(
                f"only one class folder, {self.labels[0]!r}, in {root} (data.params.root)",
                f"at least two are needed; is the root one level too high?\n{LAYOUTS}",
            )

    def clips(self, split: str) -> tuple[Clip, ...]:
        """Clips of one split, sorted by id; opens no audio."""
        if split not in self._clips:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return self._clips[split]


class Tree:
    """The folders below a root and their sound files. Raises UserError for links that lead out of the root or to
    nothing, and for links to folders, which could duplicate clips.
    """

    def __init__(self, root: Path, found: SoundFiles) -> None:
        self.root = root
        self._skipped = found.skipped
        self._below: dict[Path, list[Path]] = {}
        for path in found.files:
            if path.is_symlink():
                _check_link(path, root)
            parts = path.relative_to(root).parts[:-1]
            for depth in range(min(len(parts), 2) + 1):
                self._below.setdefault(root.joinpath(*parts[:depth]), []).append(path)
        for path in found.linked_folders:
            _check_link(path, root)

    def folders(self, folder: Path) -> list[Path]:
        """The visible folders in a folder, sorted."""
        return sorted(path for path in folder.iterdir() if not is_hidden(path.name) and path.is_dir())

    def sounds(self, folder: Path) -> Sequence[Path]:
        """The sound files below a folder at most two levels below the root, recursively."""
        return self._below.get(folder, ())

    def clips(self, folder: Path) -> dict[str, list[Clip]]:
        """The clips of each class folder of `folder`. Raises UserError for an empty one, and for loose files."""
        self.check_no_loose_files(folder)
        classes = {}
        for inside in self.folders(folder):
            label = shown(inside.name)
            classes[label] = [Clip(self._id(path), path, (label,)) for path in self.sounds(inside)]
            if not classes[label]:
                raise UserError(
                    f"class folder {self._id(inside)}/ in {self.root} (data.params.root) has no audio",
                    "\n".join([*self._left_out(inside), f"remove it, or put audio into it: {ENDINGS}"]),
                )
        if not classes:
            raise UserError(f"{folder} has no class folders (data.params.root is {self.root})", LAYOUTS)
        return classes

    def check_no_loose_files(self, folder: Path) -> None:
        """Raise UserError for sound files in `folder` itself."""
        loose = [path.name for path in self.sounds(folder) if path.parent == folder]
        if loose:
            raise UserError(
                f"audio files in {folder} belong to no class: {loose[0]!r} and {len(loose) - 1} more "
                "(data.params.root)",
                LAYOUTS,
            )

    def _left_out(self, folder: Path) -> list[str]:
        below = f"{folder.relative_to(self.root).as_posix()}/"
        parts = (
            replace(one, names=tuple(name for name in one.names if name.startswith(below))) for one in self._skipped
        )
        return [f"left out: {one}" for one in parts if one.names]

    def _id(self, path: Path) -> str:
        return shown(path.relative_to(self.root).as_posix())


def _existing_root(root: str) -> Path:
    path = path_of(root)
    if not root:
        raise UserError("data.params.root is empty", "give the folder that contains the class folders")
    if not is_folder(path):
        reason = "is not a folder" if is_file(path) else "does not exist"
        raise UserError(f"{path} {reason} (data.params.root)", LAYOUTS, shell_command("ls", path.parent))
    return path


def _folder_splits(tree: Tree) -> dict[str, tuple[Clip, ...]]:
    """Splits from folders in the root; empty if there are none."""
    root = tree.root
    found = [name for name in SPLITS if (root / name).is_dir() and tree.folders(root / name)]
    if not found:
        return {}
    for needed in ("train", "valid"):
        if needed not in found:
            raise UserError(
                f"{root} (data.params.root) has {found[0]}/ with folders in it, but no {needed}/ with class folders",
                LAYOUTS,
            )
    stray = [folder.name for folder in tree.folders(root) if folder.name not in found and tree.sounds(folder)]
    if stray:
        raise UserError(
            f"{root} (data.params.root) has audio in {stray[0]}/, beside {', '.join(f'{name}/' for name in found)}",
            f"beside train/ and valid/ only test/ may hold audio; move {stray[0]}/ away or rename it",
        )
    tree.check_no_loose_files(root)
    classes = {name: tree.clips(root / name) for name in found}
    return {name: _sorted(clip for clips in classes[name].values() for clip in clips) for name in found}


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


def _check_link(path: Path, root: Path) -> None:
    """Raise UserError for a broken link or one to a folder (which could duplicate clips or loop) or out of the root."""
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(Path(os.path.realpath(root))):
        reason, right = "out of it", "point data.params.root at the real folder, or copy the files into it"
    elif target.is_dir():
        reason, right = "to a folder in it", "remove the link: its clips would be duplicates"
    elif not target.exists():
        reason, right = "to nothing", "remove or fix the link"
    else:
        return
    link = path.relative_to(root).as_posix()
    raise UserError(f"link {link} in {root} (data.params.root) leads {reason}: {target}", right)
