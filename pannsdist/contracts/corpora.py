"""Base classes of dataset plugins for published corpora: root checks, clip lists and official splits.

A subclass defines where the lists are, how to parse a row, and the split of each clip. Splits are never drawn at
random: that would put recordings of one source into both training and validation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pannsdist.contracts import Clip, Download
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.contracts.corpus_files import Listed, files_of
from pannsdist.contracts.locations import Location, is_root, location_of
from pannsdist.contracts.sound_files import Skipped
from pannsdist.runtime.errors import UserError, candidates_line

__all__ = ["Corpus", "FoldedCorpus", "FoldedParams", "Listed", "RootParams", "allowed"]

SHOWN = 5
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class RootParams:
    """`root` is the folder of the unpacked corpus, or its URL in a store."""

    root: str


@dataclass(frozen=True)
class FoldedParams(RootParams):
    """`valid_fold` is held out for validation, and `test_fold` for testing unless it is 0."""

    valid_fold: int = 1
    test_fold: int = 0


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
        self.root: Location = self._checked_root(params.root)
        self._corpus_files = files_of(self.root)
        listed = list(self.listed())
        if not listed:
            raise UserError(f"the lists in {self.root} contain no clip", f"it is the folder that holds {self.layout}")
        _check_unique(listed)
        self.labels: Sequence[str] = self.label_order(listed)
        _check_labels(listed, self.labels)
        self.missing: Sequence[Listed] = self._missing(listed)
        gone = {item.key for item in self.missing}
        self._clips: dict[str, Sequence[Clip]] = {}
        of_split: dict[str, list[Listed]] = {}
        for item in listed:
            split = self.split_of(item)
            if split is not None and item.key not in gone:
                of_split.setdefault(split, []).append(item)
        for split, items in of_split.items():
            has_events = any(item.events is not None for item in items)
            self._clips[split] = (ClipList.of if has_events else tuple)(map(self._clip, items))
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
        return self._clips[split]

    def _clip(self, item: Listed) -> Clip:
        segment, known = (item.start_s, item.duration_s), (item.events, item.is_labelled)
        return Clip(item.key, self._corpus_files.source(item.path), item.labels, *segment, item.group, *known)

    def _checked_root(self, root: str) -> Location:
        location = location_of(root, "data.params.root")
        if not root or not is_root(location):
            wrong = f"data.params.root is {root!r}, which is not a folder"
            right = f"it is the folder that holds {self.layout}, or its URL; download: {self.home}"
            raise UserError(wrong, right, "the same command with data.params.root=FOLDER")
        return location

    def found(self, name: str, *others: str) -> Location:
        """The first of these paths below the root that exists. Raises UserError with the expected layout."""
        for candidate in (name, *others):
            location = self._corpus_files.found(candidate)
            if location is not None:
                return location
        wrong = f"data.params.root is {str(self.root)!r}, which has no {' or '.join((name, *others))}"
        right = f"it is the folder that holds {self.layout}; download: {self.home}"
        raise UserError(wrong, right, "the same command with data.params.root=FOLDER")

    def _missing(self, listed: Sequence[Listed]) -> Sequence[Listed]:
        """Clips whose files are missing; lists each folder once and opens no file."""
        missing = self._corpus_files.missing(listed)
        if missing and not self.skips_missing:
            lines = (f"{item.row.place}: {item.path}; {self._corpus_files.hint(item.path)}" for item in missing[:SHOWN])
            some = "\n".join(line.removesuffix("; ") for line in lines)
            wrong = f"{len(missing)} of {len(listed)} clips of the lists have no file in {self.root}, such as"
            raise UserError(wrong, f"{some}\nall files of the download are needed: {self.home}")
        return missing


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
