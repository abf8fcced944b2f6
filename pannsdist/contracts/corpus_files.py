"""The files of a published corpus: below a folder of this machine, or below the URL of a store."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NoReturn

from pannsdist.contracts.file_lookup import FileLookup, is_folder, leads_out, real_folder
from pannsdist.contracts.locations import Location, RemoteFile, Url, can_list, listing, present, states
from pannsdist.contracts.records import Event, SourceState
from pannsdist.contracts.sound_files import is_sound
from pannsdist.contracts.tables import TABLE_ENDINGS, Row
from pannsdist.runtime.errors import UserError

__all__ = ["CorpusFiles", "Listed", "files_of"]


@dataclass(frozen=True)
class Listed:
    """A clip as listed by the corpus: `path` relative to the root, with slashes, and what determines its split.

    `part` is a fold, a speaker, or the name of an official split. `id` defaults to the path without its suffix.
    `number` is the class index of its single label, if the corpus numbers its classes; `group`, `events` and
    `is_labelled` are those of `Clip`.
    """

    row: Row
    path: str
    labels: tuple[str, ...]
    part: str | int
    id: str = ""
    start_s: float = 0.0
    duration_s: float | None = None
    number: int | None = None
    group: str = ""
    events: tuple[Event, ...] | None = None
    is_labelled: bool = True

    @property
    def key(self) -> str:
        """Unique id of the clip."""
        return self.id or str(PurePosixPath(self.path).with_suffix(""))


class CorpusFiles(ABC):
    """What a corpus asks about the files below its root."""

    @abstractmethod
    def found(self, name: str) -> Location | None:
        """The file or folder of a name; None if there is none. Raises UserError for one outside of the root."""

    @abstractmethod
    def missing(self, listed: Sequence[Listed]) -> list[Listed]:
        """The clips without a file; opens none. Raises UserError for a path outside of the root."""

    @abstractmethod
    def source(self, path: str) -> Path | RemoteFile:
        """The file of a listed path, after `missing`."""

    @abstractmethod
    def hint(self, path: str) -> str:
        """What a missing path probably means; empty if nothing is known."""


def files_of(root: Location) -> CorpusFiles:
    """The files below a root."""
    return _RemoteFiles(root) if isinstance(root, Url) else _LocalFiles(root)


def _place(item: Listed, root: Location) -> tuple[str, str]:
    """(folder, name) below the root, as text: creating a Path for each of two million clips takes minutes."""
    parts = item.path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\\" in item.path or "\0" in item.path:
        item.row.refuse(f"path {item.path!r} is outside of the root", f"paths are relative to {root}")
    return "/".join(parts[:-1]), parts[-1]


@dataclass(frozen=True)
class _Folder:
    """A folder of the corpus: whether it is outside of the root itself, its names, and which are links out of it."""

    leads_out: bool
    names: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()


class _LocalFiles(CorpusFiles):
    """See `CorpusFiles`. Each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self._root, self._lookup = root, FileLookup(root)
        self._renamed: dict[str, Path] = {}

    def found(self, name: str) -> Location | None:
        """See `CorpusFiles`."""
        path = self._root / name
        if not path.exists():
            return None
        if leads_out(path, self._root):
            wrong = f"{path} is a link that leads out of {self._root} (data.params.root)"
            raise UserError(wrong, real_folder(path, self._root))
        return path

    def missing(self, listed: Sequence[Listed]) -> list[Listed]:
        """See `CorpusFiles`."""
        folders: dict[str, _Folder] = {}
        missing = []
        for item in listed:
            folder, name = _place(item, self._root)
            if folder not in folders:
                folders[folder] = self._listing(folder)
            inside = folders[folder]
            if inside.leads_out or name in inside.outside:
                self._refuse_link(item)
            if name in inside.names:
                continue
            other = self._lookup.find(item.path)
            if other is None:
                missing.append(item)
            else:
                if leads_out(other, self._root):
                    self._refuse_link(item)
                self._renamed[item.path] = other
        return missing

    def source(self, path: str) -> Path:
        """See `CorpusFiles`."""
        return self._renamed.get(path, self._root / path)

    def hint(self, path: str) -> str:
        """See `CorpusFiles`."""
        return self._lookup.hint(path)

    def _refuse_link(self, item: Listed) -> NoReturn:
        wrong = f"path {item.path!r} is a link that leads out of {self._root}"
        item.row.refuse(wrong, real_folder(self._root / item.path, self._root))

    def _listing(self, folder: str) -> _Folder:
        """What a folder below the root holds; nothing where there is no such folder."""
        place = self._root / folder
        is_outside = bool(folder) and leads_out(place, self._root)
        if is_outside or not is_folder(place):
            return _Folder(is_outside)
        with os.scandir(place) as entries_of:
            entries = list(entries_of)
        outside = {entry.name for entry in entries if entry.is_symlink() and leads_out(Path(entry.path), self._root)}
        return _Folder(False, frozenset(entry.name for entry in entries), frozenset(outside))


class _RemoteFiles(CorpusFiles):
    """See `CorpusFiles`. A store that lists is asked for one list; a web server for each file."""

    def __init__(self, root: Url) -> None:
        self._root = root
        self._sources: dict[str, RemoteFile] = {}

    def found(self, name: str) -> Location | None:
        """See `CorpusFiles`. That a web server has a folder cannot be asked: it is believed."""
        url = self._root / name
        if can_list(self._root):
            return url if name in self._known or any(key.startswith(f"{name}/") for key in self._known) else None
        is_folder_name = url.suffix.lower() not in TABLE_ENDINGS and not is_sound(url.name)
        return url if is_folder_name or states([url])[url] is not None else None

    def missing(self, listed: Sequence[Listed]) -> list[Listed]:
        """See `CorpusFiles`."""
        for item in listed:
            _place(item, self._root)
        known = self._known if can_list(self._root) else None
        found = present(self._root, [item.path for item in listed], known)
        self._sources = {path: file for path, file in found.items() if file is not None}
        return [item for item in listed if item.path not in self._sources]

    def source(self, path: str) -> RemoteFile:
        """See `CorpusFiles`."""
        return self._sources[path]

    def hint(self, path: str) -> str:
        """See `CorpusFiles`."""
        return f"looked for {self._root / path}"

    @cached_property
    def _known(self) -> dict[str, SourceState]:
        return dict(listing(self._root))
