"""Base classes of dataset plugins for published corpora: root checks, clip lists and official splits.

A subclass defines where the lists are, how to parse a row, and the split of each clip. Splits are never drawn at
random: that would put recordings of one source into both training and validation.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NoReturn

from pannsdist.contracts import Clip, Download, path_of
from pannsdist.contracts.file_lookup import FileLookup, is_folder, leads_out, real_folder
from pannsdist.contracts.sound_files import Skipped
from pannsdist.contracts.tables import Row
from pannsdist.runtime.errors import UserError, candidates_line

__all__ = ["Corpus", "FoldedCorpus", "FoldedParams", "Listed", "RootParams", "allowed"]

SHOWN = 5
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class RootParams:
    """`root` is the folder of the unpacked corpus."""

    root: str


@dataclass(frozen=True)
class FoldedParams(RootParams):
    """`valid_fold` is held out for validation, and `test_fold` for testing unless it is 0."""

    valid_fold: int = 1
    test_fold: int = 0


@dataclass(frozen=True)
class Listed:
    """A clip as listed by the corpus: `path` relative to the root, with slashes, and what determines its split.

    `part` is a fold, a speaker, or the name of an official split. `id` defaults to the path without its suffix.
    `number` is the class index of its single label, if the corpus numbers its classes; `group` is `Clip.group`.
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

    @property
    def key(self) -> str:
        """Unique id of the clip."""
        return self.id or str(PurePosixPath(self.path).with_suffix(""))


@dataclass(frozen=True)
class _Folder:
    """A folder of the corpus: whether it is outside of the root itself, its names, and which are links out of it."""

    leads_out: bool
    names: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()


class Corpus(ABC):
    """Base class of a dataset plugin for a published corpus as downloaded; listing clips opens no audio.

    Raises UserError, with file and line, for a missing root, a malformed list, a path outside of the root (also through
    a link of a file or folder) or a missing file. With `skips_missing`, clips with missing files are skipped and
    collected in `missing`. Files that no list names are not used; `pannsdist data check` counts them.
    """

    Params: ClassVar[type] = RootParams
    home: ClassVar[str]
    """URL of the corpus."""
    layout: ClassVar[str]
    """Description of the contents of the root, for error messages."""
    downloads: ClassVar[Sequence[Download]] = ()
    """Files of the corpus; empty if its licence or host does not allow automatic downloads."""
    unpacks_to: ClassVar[str] = ""
    """Path of the root below the download folder."""
    multi_label: bool = False
    skipped: Sequence[Skipped] = ()
    """What a search for sound files left out (`contracts.sound_files`)."""
    skips_missing: bool = False

    def __init__(self, params: Any) -> None:
        self.params = params
        self.root = self._checked_root(params.root)
        listed = list(self.listed())
        if not listed:
            raise UserError(f"the lists in {self.root} contain no clip", f"it is the folder that holds {self.layout}")
        _check_unique(listed)
        self.labels: Sequence[str] = self.label_order(listed)
        _check_labels(listed, self.labels)
        self._files = FileLookup(self.root)
        self._renamed: dict[str, Path] = {}
        self.missing: Sequence[Listed] = self._missing(listed)
        gone = {item.key for item in self.missing}
        self._clips: dict[str, list[Clip]] = {}
        for item in listed:
            split = self.split_of(item)
            if split is not None and item.key not in gone:
                self._clips.setdefault(split, []).append(self._clip(item))
        for needed in ("train", "valid"):
            if needed not in self._clips:
                parts = ", ".join(sorted({str(item.part) for item in listed})[:20])
                selected = [f"data.params.{key} is {value!r}" for key, value in vars(params).items() if key != "root"]
                wrong = f"{', '.join(selected)}: no clip is left for {needed!r} in {self.root}"
                raise UserError(wrong.removeprefix(": "), f"the lists have: {parts}")

    @abstractmethod
    def listed(self) -> Iterable[Listed]:
        """Every clip of the corpus, in the order of its lists. The subclass implements this."""

    @abstractmethod
    def split_of(self, item: Listed) -> str | None:
        """`train`, `valid`, `test`, or None for an unused clip. The subclass implements this."""

    def label_order(self, listed: Sequence[Listed]) -> Sequence[str]:
        """Labels in the order of the network's outputs: by class index if the corpus has one, else by name."""
        numbers = _numbers(item for item in listed if item.number is not None)
        names = {label for item in listed for label in item.labels}
        return tuple(sorted(names, key=lambda name: (numbers.get(name, 0), name)))

    @property
    def splits(self) -> Sequence[str]:
        """Names of the non-empty splits."""
        return tuple(split for split in SPLITS if split in self._clips)

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips of one split in the order of the lists."""
        if split not in self._clips:
            raise UserError(f"the corpus has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return tuple(self._clips[split])

    def _clip(self, item: Listed) -> Clip:
        source = self._renamed.get(item.path, self.root / item.path)
        return Clip(item.key, source, item.labels, item.start_s, item.duration_s, item.group)

    def _checked_root(self, root: str) -> Path:
        path = path_of(root)
        if not root or not is_folder(path):
            wrong = f"data.params.root is {root!r}, which is not a folder"
            right = f"it is the folder that holds {self.layout}; download: {self.home}"
            raise UserError(wrong, right, "the same command with data.params.root=FOLDER")
        return path

    def found(self, name: str, *others: str) -> Path:
        """The first of these paths below the root that exists. Raises UserError with the expected layout."""
        for candidate in (name, *others):
            path = self.root / candidate
            if path.exists():
                if leads_out(path, self.root):
                    wrong = f"{path} is a link that leads out of {self.root} (data.params.root)"
                    raise UserError(wrong, real_folder(path, self.root))
                return path
        wrong = f"data.params.root is {str(self.root)!r}, which has no {' or '.join((name, *others))}"
        right = f"it is the folder that holds {self.layout}; download: {self.home}"
        raise UserError(wrong, right, "the same command with data.params.root=FOLDER")

    def _missing(self, listed: Sequence[Listed]) -> Sequence[Listed]:
        """Clips whose files are missing; lists each folder once and opens no file."""
        folders: dict[str, _Folder] = {}
        missing = []
        for item in listed:
            folder, name = self._place(item)
            if folder not in folders:
                folders[folder] = self._listing(folder)
            inside = folders[folder]
            if inside.leads_out or name in inside.outside:
                self._refuse_link(item)
            if name in inside.names:
                continue
            other = self._files.find(item.path)
            if other is None:
                missing.append(item)
            else:
                if leads_out(other, self.root):
                    self._refuse_link(item)
                self._renamed[item.path] = other
        if missing and not self.skips_missing:
            lines = (f"{item.row.place}: {item.path}; {self._files.hint(item.path)}" for item in missing[:SHOWN])
            some = "\n".join(line.removesuffix("; ") for line in lines)
            wrong = f"{len(missing)} of {len(listed)} clips of the lists have no file in {self.root}, such as"
            raise UserError(wrong, f"{some}\nall files of the download are needed: {self.home}")
        return missing

    def _refuse_link(self, item: Listed) -> NoReturn:
        wrong = f"path {item.path!r} is a link that leads out of {self.root}"
        item.row.refuse(wrong, real_folder(self.root / item.path, self.root))

    def _listing(self, folder: str) -> _Folder:
        """What a folder below the root holds; nothing where there is no such folder."""
        place = self.root / folder
        is_outside = bool(folder) and leads_out(place, self.root)
        if is_outside or not is_folder(place):
            return _Folder(is_outside)
        with os.scandir(place) as listing:
            entries = list(listing)
        outside = {entry.name for entry in entries if entry.is_symlink() and leads_out(Path(entry.path), self.root)}
        return _Folder(False, frozenset(entry.name for entry in entries), frozenset(outside))

    def _place(self, item: Listed) -> tuple[str, str]:
        """(folder, name) below the root, as text: creating a Path for each of two million clips takes minutes."""
        parts = item.path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or "\\" in item.path or "\0" in item.path:
            item.row.refuse(f"path {item.path!r} is outside of the root", f"paths are relative to {self.root}")
        return "/".join(parts[:-1]), parts[-1]


def allowed(key: str, value: str, choices: Sequence[str]) -> str:
    """Return a param value if it is one of `choices`, else raise UserError."""
    if value not in choices:
        again = f"the same command with data.params.{key}={choices[-1]}"
        raise UserError(f"data.params.{key} is {value!r}", f"allowed: {', '.join(choices)}", again)
    return value


class FoldedCorpus(Corpus):
    """A corpus with disjoint folds: one is `valid`, optionally one is `test`, all others are `train`."""

    Params: ClassVar[type] = FoldedParams
    fold_param: ClassVar[str] = "valid_fold"
    fold_count: ClassVar[int]
    """Number of folds."""

    @classmethod
    def folds(cls, params: Any) -> Sequence[int]:
        """The folds, counted from 1, without the test fold."""
        return tuple(fold for fold in range(1, cls.fold_count + 1) if fold != cls._test_fold(params))

    @staticmethod
    def _test_fold(params: Any) -> int:
        """The test fold, or 0; a corpus with an official test split has no such param."""
        return int(getattr(params, "test_fold", 0))

    def __init__(self, params: Any) -> None:
        last, folds, test_fold = self.fold_count, range(1, self.fold_count + 1), self._test_fold(params)
        again = "the same command with data.params."
        if params.valid_fold not in folds:
            wrong = f"data.params.valid_fold is {params.valid_fold!r}"
            raise UserError(wrong, f"allowed: 1 to {last}", f"{again}valid_fold=1")
        if test_fold not in (0, *folds):
            right = f"allowed: 1 to {last}, or 0 for no test split"
            raise UserError(f"data.params.test_fold is {test_fold!r}", right, f"{again}test_fold=0")
        if test_fold == params.valid_fold:
            wrong = f"data.params.test_fold is {test_fold!r}, and so is data.params.valid_fold"
            other = params.valid_fold % last + 1
            raise UserError(wrong, f"allowed: another fold of 1 to {last}, or 0", f"{again}test_fold={other}")
        super().__init__(params)

    def split_of(self, item: Listed) -> str | None:
        """The split of the clip's fold."""
        parts = {self.params.valid_fold: "valid", self._test_fold(self.params): "test"}
        return parts.get(int(item.part), "train")


def _numbers(listed: Iterable[Listed]) -> dict[str, int]:
    """Class index of each label. Raises UserError if they are not one-to-one."""
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for item in listed:
        label, number = item.labels[0], int(item.number or 0)
        if names.setdefault(number, label) != label:
            item.row.refuse(f"class {number} is {label!r}, but another row says {names[number]!r}", "one name each")
        if numbers.setdefault(label, number) != number:
            item.row.refuse(
                f"{label!r} is class {number}, but another row says {numbers[label]}", "one number for each"
            )
    return numbers


def _check_labels(listed: Sequence[Listed], labels: Sequence[str]) -> None:
    known = set(labels)
    for item in listed:
        for label in item.labels:
            if label not in known:
                item.row.refuse(f"unknown label {label!r}", candidates_line(label, known, "labels"))


def _check_unique(listed: Sequence[Listed]) -> None:
    seen: dict[str, Listed] = {}
    for item in listed:
        first = seen.setdefault(item.key, item)
        if first is not item:
            item.row.refuse(f"{item.path!r} has the id of a clip at {first.row.place}: {item.key!r}", "remove one row")
