"""Dataset plugin `folder`: audio files in class folders."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pannsdist.contracts import Clip, UserError, param, shell_command

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")
"""Suffixes of audio files, case-insensitive."""
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

    Subfolders of a class folder belong to the class; hidden files are ignored. The id of a clip is its path relative to
    the root, with slashes.
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
            self._clips = _folder_splits(root) or _hashed_splits(root, params.valid_fraction, params.seed)
        except OSError as error:
            raise UserError(
                f"cannot list {error.filename}: {error.strerror}", "all folders below data.params.root must be readable"
            ) from error
        self.splits = tuple(self._clips)
        self.labels = tuple(sorted({clip.labels[0] for clip in self._clips["train"]}))
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


def _existing_root(root: str) -> Path:
    path = Path(root).expanduser()
    if not root:
        raise UserError("data.params.root is empty", "give the folder that contains the class folders")
    if not path.is_dir():
        reason = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"{path} {reason} (data.params.root)", LAYOUTS, shell_command("ls", path.parent))
    return path


def _folder_splits(root: Path) -> dict[str, tuple[Clip, ...]]:
    """Splits from folders in the root; empty if there are none."""
    found = [name for name in SPLITS if (root / name).is_dir() and _folders(root / name, root)]
    if not found:
        return {}
    for needed in ("train", "valid"):
        if needed not in found:
            raise UserError(
                f"{root} (data.params.root) has {found[0]}/ with folders in it, but no {needed}/ with class folders",
                LAYOUTS,
            )
    stray = [folder.name for folder in _folders(root, root) if folder.name not in found]
    stray = [name for name in stray if next(_audio_files(root / name, root), None)]
    if stray:
        raise UserError(
            f"{root} (data.params.root) has audio in {stray[0]}/, beside {', '.join(f'{name}/' for name in found)}",
            f"beside train/ and valid/ only test/ may hold audio; move {stray[0]}/ away or rename it",
        )
    _check_no_loose_files(root)
    classes = {name: _classes(root / name, root) for name in found}
    for name in found:
        untrained = sorted(set(classes[name]) - set(classes["train"]))
        if untrained:
            raise UserError(
                f"class {untrained[0]!r} is in {name}/ but not in train/, in {root} (data.params.root)",
                f"a network cannot learn a class without clips; in train/: {', '.join(sorted(classes['train']))}",
            )
    return {name: _sorted(clip for clips in classes[name].values() for clip in clips) for name in found}


def _hashed_splits(root: Path, fraction: float, seed: int) -> dict[str, tuple[Clip, ...]]:
    """`train` and `valid` splits from class folders in the root."""
    train: list[Clip] = []
    valid: list[Clip] = []
    for clips in _classes(root, root).values():
        clips.sort(key=lambda clip: _hash(clip.id, seed))
        # Rounded first: 0.07 * 100 is 7.000000000000001, of which the ceiling is 8.
        held_out = min(math.ceil(round(fraction * len(clips), 9)), len(clips) - 1)
        valid += clips[:held_out]
        train += clips[held_out:]
    if not valid:
        raise UserError(
            f"no class in {root} (data.params.root) has two clips, so the valid split would be empty",
            "add clips to a class, or create train/ and valid/ folders",
        )
    return {"train": _sorted(train), "valid": _sorted(valid)}


def _hash(clip_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{clip_id}".encode("utf-8", "surrogateescape")).digest()


def _sorted(clips: Iterator[Clip] | list[Clip]) -> tuple[Clip, ...]:
    return tuple(sorted(clips, key=lambda clip: clip.id))


def _classes(folder: Path, root: Path) -> dict[str, list[Clip]]:
    """Clips of each class folder of `folder`. Raises UserError for an empty one."""
    _check_no_loose_files(folder)
    classes = {}
    for inside in _folders(folder, root):
        files = _audio_files(inside, root)
        clips = [Clip(path.relative_to(root).as_posix(), path, (inside.name,)) for path in files]
        if not clips:
            raise UserError(
                f"class folder {inside.relative_to(root).as_posix()}/ in {root} (data.params.root) has no audio",
                f"remove it, or put audio into it: {' '.join(ENDINGS)}",
            )
        classes[inside.name] = clips
    if not classes:
        raise UserError(f"{folder} has no class folders (data.params.root is {root})", LAYOUTS)
    return classes


def _check_no_loose_files(folder: Path) -> None:
    loose = sorted(path.name for path in folder.iterdir() if _is_audio(path.name) and path.is_file())
    if loose:
        raise UserError(
            f"audio files in {folder} belong to no class: {loose[0]!r} and {len(loose) - 1} more (data.params.root)",
            LAYOUTS,
        )


def _folders(folder: Path, root: Path) -> list[Path]:
    """Visible subfolders, sorted. Raises UserError for links."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    for path in inside:
        if path.is_symlink():
            _check_link(path, root)
    return inside


def _audio_files(folder: Path, root: Path) -> Iterator[Path]:
    """Visible audio files below `folder`, recursively."""
    with os.scandir(folder) as listing:
        entries = [entry for entry in listing if not entry.name.startswith(".")]
    for entry in entries:
        path = Path(entry.path)
        if entry.is_symlink() and (entry.is_dir() or _is_audio(entry.name)):
            _check_link(path, root)
        if entry.is_dir():
            yield from _audio_files(path, root)
        elif _is_audio(entry.name):
            yield path


def _is_audio(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(ENDINGS)


def _check_link(path: Path, root: Path) -> None:
    """Raise UserError for a broken link or one to a folder (which could duplicate clips or loop) or out of the root."""
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(root.resolve()):
        reason, right = "out of it", "point data.params.root at the real folder, or copy the files into it"
    elif target.is_dir():
        reason, right = "to a folder in it", "remove the link: its clips would be duplicates"
    elif not target.exists():
        reason, right = "to nothing", "remove or fix the link"
    else:
        return
    link = path.relative_to(root).as_posix()
    raise UserError(f"link {link} in {root} (data.params.root) leads {reason}: {target}", right)
