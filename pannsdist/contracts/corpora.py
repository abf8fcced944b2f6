"""What the plugins for published corpora share: a root that is checked, clips that are listed, official splits.

A plugin says what is its own: where the lists are, what a row of them means, and which split it belongs to. No split is
ever drawn at random: recordings of one source would stand on both sides of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from pannsdist.contracts import Clip
from pannsdist.contracts.tables import Row
from pannsdist.errors import UserError

__all__ = ["Corpus", "FoldedCorpus", "FoldedParams", "Listed", "RootParams"]

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
    """

    Params: ClassVar[type] = RootParams
    home: ClassVar[str]
    """Where the corpus is to be had."""
    layout: ClassVar[str]
    """What the root holds, in words."""
    multi_label: bool = False
    skips_missing: bool = False

    def __init__(self, params: Any) -> None:
        self.params = params
        self.root = self._checked_root(params.root)
        listed = list(self.listed())
        if not listed:
            raise UserError(f"the lists in {self.root} name no clip", f"it is the folder that holds {self.layout}")
        _refuse_doubles(listed)
        self.missing: Sequence[Listed] = self._missing(listed)
        gone = {item.key for item in self.missing}
        self.labels: Sequence[str] = self.label_order(listed)
        self._clips: dict[str, list[Clip]] = {}
        for item in listed:
            split = self.split_of(item)
            if split is not None and item.key not in gone:
                self._clips.setdefault(split, []).append(self._clip(item))
        for needed in ("train", "valid"):
            if needed not in self._clips:
                parts = ", ".join(sorted({str(item.part) for item in listed})[:20])
                raise UserError(f"no clip is left for {needed!r} in {self.root}", f"the lists have: {parts}")

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
        present: dict[Path, set[str]] = {}
        missing = []
        for item in listed:
            folder, name = self._place(item)
            if folder not in present:
                present[folder] = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
            if name not in present[folder]:
                missing.append(item)
        if missing and not self.skips_missing:
            some = "\n".join(f"{item.row.place}: {item.path}" for item in missing[:SHOWN])
            wrong = f"{len(missing)} of {len(listed)} clips of the lists have no file in {self.root}, such as"
            raise UserError(wrong, f"{some}\nall files of the download are needed: {self.home}")
        return missing

    def _place(self, item: Listed) -> tuple[Path, str]:
        parts = PurePosixPath(item.path).parts
        if not parts or parts[0] == "/" or ".." in parts or "\\" in item.path or "\0" in item.path:
            item.row.refuse(f"path {item.path!r} does not stay below the root", f"paths start at {self.root}")
        return self.root.joinpath(*parts[:-1]), parts[-1]


class FoldedCorpus(Corpus):
    """A corpus in folds, of which no recording is in two: one is `valid`, perhaps one `test`, all others `train`."""

    Params: ClassVar[type] = FoldedParams
    fold_param: ClassVar[str] = "valid_fold"
    fold_count: ClassVar[int]
    """How many official folds there are."""

    @classmethod
    def folds(cls, params: Any) -> Sequence[int]:
        """The official folds, counted from 1, but for one that is set aside as `test`."""
        return tuple(fold for fold in range(1, cls.fold_count + 1) if fold != params.test_fold)

    def __init__(self, params: Any) -> None:
        last, folds = self.fold_count, range(1, self.fold_count + 1)
        again = "the same command with data.params."
        if params.valid_fold not in folds:
            wrong = f"data.params.valid_fold is {params.valid_fold!r}"
            raise UserError(wrong, f"allowed: 1 to {last}", f"{again}valid_fold=1")
        if params.test_fold not in (0, *folds):
            right = f"allowed: 1 to {last}, or 0 for no test split"
            raise UserError(f"data.params.test_fold is {params.test_fold!r}", right, f"{again}test_fold=0")
        if params.test_fold == params.valid_fold:
            wrong = f"data.params.test_fold is {params.test_fold!r}, and so is data.params.valid_fold"
            other = params.valid_fold % last + 1
            raise UserError(wrong, f"allowed: another fold of 1 to {last}, or 0", f"{again}test_fold={other}")
        super().__init__(params)

    def split_of(self, item: Listed) -> str | None:
        """By the clip's fold."""
        return {self.params.valid_fold: "valid", self.params.test_fold: "test"}.get(int(item.part), "train")


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


def _refuse_doubles(listed: Sequence[Listed]) -> None:
    seen: dict[str, Listed] = {}
    for item in listed:
        first = seen.setdefault(item.key, item)
        if first is not item:
            item.row.refuse(f"{item.path!r} has the id of a clip at {first.row.place}: {item.key!r}", "remove one row")
