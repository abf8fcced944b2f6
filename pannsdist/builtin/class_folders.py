"""Class folders below a root on this machine or in a store: their clips, and what must not be in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pannsdist.contracts import Clip, UserError, shown
from pannsdist.contracts.file_lookup import leads_out, real_folder
from pannsdist.contracts.locations import Location, Url, below, leads_out_of, source
from pannsdist.contracts.sound_files import SoundFiles, is_hidden, sound_endings

LAYOUTS = """root/train/CLASS/*.wav with root/valid/CLASS/*.wav (and root/test/CLASS/*.wav), or
root/CLASS/*.wav, from which a fraction of every class becomes the valid split"""


class Tree:
    """The folders below a root and their sound files. Raises UserError for links that lead out of the root or to
    nothing, and for links to folders, which could duplicate clips.
    """

    def __init__(self, root: Location, found: SoundFiles) -> None:
        self.root = root
        self._skipped, self._states = found.skipped, found.states
        self._below: dict[Location, list[Location]] = {}
        self._length = len(str(root / "x")) - 1
        self._folders = _folders_of_names(root, found) if isinstance(root, Url) else {}
        for path in (*found.linked_files, *found.linked_folders):
            _check_link(path, root)
        for folder, paths in groupby(found.files, key=lambda path: path.parent):
            inside, parts = list(paths), below(folder, root).parts
            for depth in range(min(len(parts), 2) + 1):
                self._below.setdefault(root.joinpath(*parts[:depth]), []).extend(inside)

    def folders(self, folder: Location) -> list[Any]:
        """The visible folders in a folder, sorted."""
        if isinstance(folder, Url):
            return sorted(self._folders.get(folder, ()))
        return sorted(path for path in folder.iterdir() if not is_hidden(path.name) and path.is_dir())

    def sounds(self, folder: Location) -> Sequence[Location]:
        """The sound files below a folder at most two levels below the root, recursively."""
        return self._below.get(folder, ())

    def files(self) -> tuple[list[str], Sequence[Any]]:
        """The ids and the sources of all sounds below the root, sorted by id."""
        own = sorted((self._id(path), number) for number, path in enumerate(self.sounds(self.root)))
        paths = self.sounds(self.root)
        sources = [source(paths[number], self._states.get(paths[number])) for _, number in own]
        return [name for name, _ in own], sources

    def clips(self, folder: Location) -> dict[str, list[Clip]]:
        """The clips of each class folder of `folder`. Raises UserError for an empty one, and for loose files."""
        self.check_no_loose_files(folder)
        classes = {}
        for inside in self.folders(folder):
            label = shown(inside.name)
            classes[label] = [
                Clip(self._id(path), source(path, self._states.get(path)), (label,)) for path in self.sounds(inside)
            ]
            if not classes[label]:
                right = f"remove it, or put audio into it: {' '.join(sound_endings())}"
                raise UserError(
                    f"class folder {self._id(inside)}/ in {self.root} (data.params.root) has no audio",
                    "\n".join([*self._left_out(inside), right]),
                )
        if not classes:
            raise UserError(f"{folder} has no class folders (data.params.root is {self.root})", LAYOUTS)
        return classes

    def check_no_loose_files(self, folder: Location) -> None:
        """Raise UserError for sound files in `folder` itself."""
        loose = [path.name for path in self.sounds(folder) if path.parent == folder]
        if loose:
            raise UserError(
                f"audio files in {folder} belong to no class: {loose[0]!r} and {len(loose) - 1} more "
                "(data.params.root)",
                LAYOUTS,
            )

    def _left_out(self, folder: Location) -> list[str]:
        prefix = f"{below(folder, self.root).as_posix()}/"
        parts = (
            replace(one, names=tuple(name for name in one.names if name.startswith(prefix))) for one in self._skipped
        )
        return [f"left out: {one}" for one in parts if one.names]

    def _id(self, path: Location) -> str:
        if isinstance(path, Url):
            return shown(below(path, self.root).as_posix())
        return shown(str(path)[self._length :])


def _folders_of_names(root: Url, found: SoundFiles) -> dict[Location, set[Location]]:
    """The visible folders in each folder of a store, as the names of files say, also of those that were left out."""
    folders: dict[Location, set[Location]] = {}
    names = [below(path, root).as_posix() for path in found.files]
    names += [name for one in found.skipped for name in one.names if not leads_out_of(root, name)[1]]
    for name in names:
        above: Url = root
        for part in name.split("/")[:-1]:
            if is_hidden(part):
                break
            folders.setdefault(above, set()).add(above / part)
            above = above / part
    return folders


def _check_link(path: Path, root: Location) -> None:
    """Raise UserError for a broken link or one to a folder (which could duplicate clips or loop) or out of the root."""
    assert isinstance(root, Path)  # a store has no links
    target = Path(os.path.realpath(path))
    if leads_out(path, root):
        reason, right = "out of it", real_folder(path, root)
    elif target.is_dir():
        reason, right = "to a folder in it", "remove the link: its clips would be duplicates"
    elif not target.exists():
        reason, right = "to nothing", "remove or fix the link"
    else:
        return
    link = path.relative_to(root).as_posix()
    raise UserError(f"link {link} in {root} (data.params.root) leads {reason}: {target}", right)
