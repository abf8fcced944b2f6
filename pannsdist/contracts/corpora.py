"""What the plugins for published corpora share: a root that is checked, clips that are listed, official splits.

A plugin says what is its own: where the lists are, what a row of them means, and which split it belongs to. No split is
ever drawn at random: recordings of one source would stand on both sides of it.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from pannsdist.contracts import Clip, Download
from pannsdist.contracts.tables import Row
from pannsdist.runtime.errors import UserError, candidates_line

__all__ = ["Corpus", "FoldedCorpus", "FoldedParams", "Listed", "RootParams", "allowed"]

SHOWN = 5
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class RootParams:
    """`root` is the download's folder, as it was unpacked."""

    root: str


@dataclass(frozen=True)
class FoldedParams(RootParams):
    """`valid_fold` is held out of training, and `test_fold` too where it is not 0."""

    valid_fold: int = 1
    test_fold: int = 0


@dataclass(frozen=True)
class Listed:
    """A clip as a corpus lists it: a path below the root, with slashes, and what decides its split.

    `part` is a fold, a speaker, or the name of an official split. `id` is the file's path without its ending unless
    given. `number` is the class number of its one label, where the corpus numbers its classes.
    """

    row: Row
    path: str
    labels: tuple[str, ...]
    part: str | int
    id: str = ""
    start_s: float = 0.0
    duration_s: float | None = None
    number: int | None = None

    @property
    def key(self) -> str:
        """What tells the clip from all others."""
        return self.id or str(PurePosixPath(self.path).with_suffix(""))


class Corpus(ABC):
    """A dataset plugin that reads a published corpus as it was downloaded; listing it opens no audio.

    A missing root, a list that is not as published, paths that climb out of the root and files that are not there are
    refused with file and line. With `skips_missing` files that are not there are left out and counted in `missing`.
    A file that no list names is not heard; `pannsdist data check` counts those.
    """

    Params: ClassVar[type] = RootParams
    home: ClassVar[str]
    """Where the corpus is to be had."""
    layout: ClassVar[str]
    """What the root holds, in words."""
    downloads: ClassVar[Sequence[Download]] = ()
    """The files of the corpus; none where its licence or its host does not let anybody fetch them."""
    unpacks_to: ClassVar[str] = ""
    """Where the root is in the folder of the downloads."""
    multi_label: bool = False
    skips_missing: bool = False

    def __init__(self, params: Any) -> None:
        self.params = params
        self.root = self._checked_root(params.root)
        listed = list(self.listed())
        if not listed:
            raise UserError(f"the lists in {self.root} name no clip", f"it is the folder that holds {self.layout}")
        _refuse_doubles(listed)
        self.labels: Sequence[str] = self.label_order(listed)
        _refuse_unknown_labels(listed, self.labels)
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
                asked = [f"data.params.{key} is {value!r}" for key, value in vars(params).items() if key != "root"]
                wrong = f"{', '.join(asked)}: no clip is left for {needed!r} in {self.root}"
                raise UserError(wrong.removeprefix(": "), f"the lists have: {parts}")

    @abstractmethod
    def listed(self) -> Iterable[Listed]:
        """Every clip of the corpus, in the order of its lists."""

    @abstractmethod
    def split_of(self, item: Listed) -> str | None:
        """`train`, `valid`, `test`, or None for a clip that is not used."""

    def label_order(self, listed: Sequence[Listed]) -> Sequence[str]:
        """The labels in the order of the network's outputs: by their numbers, where the corpus gives them, or names."""
        numbers = _numbers(item for item in listed if item.number is not None)
        names = {label for item in listed for label in item.labels}
        return tuple(sorted(names, key=lambda name: (numbers.get(name, 0), name)))

    @property
    def splits(self) -> Sequence[str]:
        """The splits that have clips."""
        return tuple(split for split in SPLITS if split in self._clips)

    def clips(self, split: str) -> Sequence[Clip]:
        """The clips of one split in the order of the lists."""
        if split not in self._clips:
            raise UserError(f"the corpus has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return tuple(self._clips[split])

    def _clip(self, item: Listed) -> Clip:
        return Clip(item.key, self.root / item.path, item.labels, item.start_s, item.duration_s)

    def _checked_root(self, root: str) -> Path:
        path = Path(root).expanduser()
        if not root or not path.is_dir():
            wrong = f"data.params.root is {root!r}, which is not a folder"
            right = f"it is the folder that holds {self.layout}; download: {self.home}"
            raise UserError(wrong, right, "the same command with data.params.root=FOLDER")
        return path

    def found(self, name: str, *others: str) -> Path:
        """The first of these paths below the root that exists. Raises UserError that says what the root should hold."""
        for candidate in (name, *others):
            if (self.root / candidate).exists():
                return self.root / candidate
        wrong = f"data.params.root is {str(self.root)!r}, which has no {' or '.join((name, *others))}"
        right = f"it is the folder that holds {self.layout}; download: {self.home}"
        raise UserError(wrong, right, "the same command with data.params.root=FOLDER")

    def _missing(self, listed: Sequence[Listed]) -> Sequence[Listed]:
        """The clips without a file: one listing of each folder, no file is opened."""
        present: dict[str, set[str]] = {}
        missing = []
        for item in listed:
            folder, name = self._place(item)
            if folder not in present:
                place = self.root / folder
                present[folder] = {entry.name for entry in os.scandir(place)} if place.is_dir() else set()
            if name not in present[folder]:
                missing.append(item)
        if missing and not self.skips_missing:
            some = "\n".join(f"{item.row.place}: {item.path}" for item in missing[:SHOWN])
            wrong = f"{len(missing)} of {len(listed)} clips of the lists have no file in {self.root}, such as"
            raise UserError(wrong, f"{some}\nall files of the download are needed: {self.home}")
        return missing

    def _place(self, item: Listed) -> tuple[str, str]:
        """(folder, name) below the root; in text, since a Path for each of two million clips takes minutes."""
        parts = item.path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or "\\" in item.path or "\0" in item.path:
            item.row.refuse(f"path {item.path!r} does not stay below the root", f"paths start at {self.root}")
        return "/".join(parts[:-1]), parts[-1]


def allowed(key: str, value: str, choices: Sequence[str]) -> str:
    """A param that is one of several words; refused by name where it is none of them."""
    if value not in choices:
        again = f"the same command with data.params.{key}={choices[-1]}"
        raise UserError(f"data.params.{key} is {value!r}", f"allowed: {', '.join(choices)}", again)
    return value


class FoldedCorpus(Corpus):
    """A corpus in folds, of which no recording is in two: one is `valid`, perhaps one `test`, all others `train`."""

    Params: ClassVar[type] = FoldedParams
    fold_param: ClassVar[str] = "valid_fold"
    fold_count: ClassVar[int]
    """How many folds there are."""

    @classmethod
    def folds(cls, params: Any) -> Sequence[int]:
        """The folds, counted from 1, but for one that is set aside as `test`."""
        return tuple(fold for fold in range(1, cls.fold_count + 1) if fold != cls._test_fold(params))

    @staticmethod
    def _test_fold(params: Any) -> int:
        """A corpus that has an official test split has no such param."""
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
        """By the clip's fold."""
        parts = {self.params.valid_fold: "valid", self._test_fold(self.params): "test"}
        return parts.get(int(item.part), "train")


def _numbers(listed: Iterable[Listed]) -> dict[str, int]:
    """The number of each label; refused where a number has two names, or a name two numbers."""
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


def _refuse_unknown_labels(listed: Sequence[Listed], labels: Sequence[str]) -> None:
    known = set(labels)
    for item in listed:
        for label in item.labels:
            if label not in known:
                item.row.refuse(f"unknown label {label!r}", candidates_line(label, known, "labels"))


def _refuse_doubles(listed: Sequence[Listed]) -> None:
    seen: dict[str, Listed] = {}
    for item in listed:
        first = seen.setdefault(item.key, item)
        if first is not item:
            item.row.refuse(f"{item.path!r} has the id of a clip at {first.row.place}: {item.key!r}", "remove one row")
