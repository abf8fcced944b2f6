"""The dataset `panns_hdf5`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar

from pannsdist.contracts import Clip, UserError, param, path_of, shown
from pannsdist.contracts.file_lookup import is_file, is_folder, leads_out, real_folder
from pannsdist.contracts.tables import Row, csv_rows, line_rows
from pannsdist_hdf5.packed import Contents, Listed, contents_of

__all__ = ["PannsHdf5", "PannsHdf5Params"]

ENDINGS = (".h5", ".hdf5")
AUDIOSET_CLASSES = 527
SPLITS = ("train", "valid", "test")
FILES = "file, or folder of files, relative to root: packed waveforms or an index"


@dataclass(frozen=True)
class PannsHdf5Params:
    """`root` and `labels` are relative to the working directory."""

    root: str = param(doc="PANNs' workspace, another folder of packed files, or one packed file with folds")
    train: str = param("hdf5s/indexes/balanced_train.h5", FILES)
    valid: str = param("hdf5s/indexes/eval.h5", f"{FILES}; not used with a valid_fold")
    test: str = param("", f"{FILES}; empty: no test split")
    valid_fold: int = param(0, "fold of train that is the valid split, by its column fold; 0: the files of valid")
    labels: str = param("", "class_labels_indices.csv, or a text file with a label per line; empty: AudioSet's 527")
    multi_label: bool = param(True, "whether a clip may have several labels, or none")
    sample_rate_hz: int = param(0, "of files that do not say theirs; 0: 32000")


class PannsHdf5:
    """The HDF5 files that PANNs' own code packs: `audio_name`, `waveform` and `target` by row; and its indexes.

    `waveform` is int16, which is divided by 32767 as PANNs does, or float32. A clip's id is its `audio_name`; rows
    without one are downloads that PANNs did not find, and are counted as missing. The path of a packed file in an index
    is that of another machine: as much of it as stands below `root` is taken. Listing reads no waveforms.
    """

    Params: ClassVar[type] = PannsHdf5Params
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: PannsHdf5Params) -> tuple[int, ...]:
        """The values of `fold` in the files of `train`; empty where they have none."""
        return _folds(_listed(params, "train")[0])

    def __init__(self, params: PannsHdf5Params) -> None:
        splits, contents = _splits(params)
        width = contents[0].classes
        other = next((one for one in contents if one.classes != width), None)
        if other is not None:
            wrong = f"the files of {shown(params.root)} have {width} and {other.classes} classes"
            raise UserError(wrong, "all files of a dataset have the same classes")
        self.labels: Sequence[str] = _labels(params, width)
        self.multi_label = params.multi_label
        self.missing = tuple(place for one in contents for place in one.missing)
        _check(splits, self.multi_label)
        self._clips = {split: tuple(map(self._clip, rows)) for split, rows in splits.items() if rows}
        self.splits = tuple(self._clips)

    def clips(self, split: str) -> tuple[Clip, ...]:
        """Clips of one split in the order of the files; reads no waveform."""
        if split not in self._clips:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return self._clips[split]

    def _clip(self, row: Listed) -> Clip:
        return Clip(shown(row.name), row.source, tuple(self.labels[column] for column in row.classes))


def _splits(params: PannsHdf5Params) -> tuple[Mapping[str, Sequence[Listed]], Sequence[Contents]]:
    """The rows of each split, and what the files hold. Raises UserError for an empty `train` or `valid`."""
    rows, contents = _listed(params, "train")
    splits: dict[str, Sequence[Listed]] = {"train": rows}
    if params.valid_fold:
        folds = _folds(rows)
        if params.valid_fold not in folds or len(folds) < 2:
            wrong = f"data.params.valid_fold is {params.valid_fold}, which does not divide data.params.train"
            raise UserError(wrong, f"folds: {', '.join(map(str, folds)) or 'none: it has no fold'}")
        splits = {
            "train": [row for row in rows if row.fold != params.valid_fold],
            "valid": [row for row in rows if row.fold == params.valid_fold],
        }
    for split in ("test",) if params.valid_fold else ("valid", "test"):
        if getattr(params, split):
            splits[split], more = _listed(params, split)
            contents = [*contents, *more]
    empty = [split for split in ("train", "valid") if not splits.get(split)]
    if empty:
        raise UserError(f"data.params.{empty[0]} lists no clips", f"it is a {FILES}")
    return {split: splits[split] for split in SPLITS if split in splits}, contents


def _listed(params: PannsHdf5Params, split: str) -> tuple[Sequence[Listed], Sequence[Contents]]:
    """The clips of the files of one split. Raises UserError."""
    root = path_of(params.root)
    if params.root and is_file(root) and split == "train":
        folder, files = root.parent, [root]
    elif params.root and is_folder(root):
        folder, files = root, _files(root, getattr(params, split), f"data.params.{split}")
    else:
        wrong = f"data.params.root is {params.root!r}"
        right = "it is PANNs' workspace with hdf5s/, or one packed file with data.params.valid_fold"
        raise UserError(wrong, right, "the same command with data.params.root=FOLDER")
    contents = [contents_of(path, folder, params.sample_rate_hz) for path in files]
    return [clip for one in contents for clip in one.clips], contents


def _files(root: Path, name: str, key: str) -> list[Path]:
    """The files that a setting names below the root: one, or those in a folder."""
    path = root / name
    if not name or leads_out(path, root):
        right = f"it is a {FILES}" if not name or ".." in Path(name).parts else real_folder(path, root)
        raise UserError(f"{key} is {name!r}, which is not below {shown(root)}", right)
    if is_file(path):
        return [path]
    found = sorted(one for one in path.iterdir() if one.suffix.lower() in ENDINGS) if is_folder(path) else []
    if not found:
        raise UserError(
            f"{key} is {name!r}: {shown(path)} has no files with {' or '.join(ENDINGS)}", f"it is a {FILES}"
        )
    return found


def _labels(params: PannsHdf5Params, classes: int) -> tuple[str, ...]:
    """The name of each class. Raises UserError if their number is another one."""
    if not params.labels and classes != AUDIOSET_CLASSES:
        wrong = f"the files have {classes} classes, and nothing says their names"
        raise UserError(wrong, "data.params.labels is a text file with a label per line, in the order of target")
    if not params.labels:
        table = resources.files(__package__ or "pannsdist_hdf5").joinpath("audioset_labels.csv")
        with resources.as_file(table) as path:
            return tuple(row.required("name") for row in csv_rows(path, ("name",)))
    path = path_of(params.labels)
    if path.suffix.lower() == ".csv":
        rows = csv_rows(path, ("index", "display_name"), key="data.params.labels")
        labels = [row.required("display_name") for number, row in enumerate(rows) if _is_numbered(row, number)]
    else:
        labels = [row.required("path") for row in line_rows(path, key="data.params.labels")]
    if len(labels) != classes or len(set(labels)) != classes:
        wrong = f"{shown(path)} (data.params.labels) has {len(set(labels))} labels, the files have {classes} classes"
        raise UserError(wrong, "one label for each class, each another one, in the order of target")
    return tuple(map(shown, labels))


def _is_numbered(row: Row, number: int) -> bool:
    """True; raises UserError for another number, since the columns of the targets have no names."""
    return row.text("index") == str(number) or row.refuse(f"index is {row.text('index')!r}", f"in order: {number}")


def _folds(rows: Sequence[Listed]) -> tuple[int, ...]:
    return tuple(sorted({row.fold for row in rows} - {0}))


def _check(splits: Mapping[str, Sequence[Listed]], multi_label: bool) -> None:
    """Raise UserError for ids that stand twice, and for other than one label where that is needed."""
    known: dict[str, Listed] = {}
    for rows in splits.values():
        for row in rows:
            first = known.setdefault(row.name, row)
            if first is not row:
                wrong = f"{row.place} has the audio_name {shown(row.name)!r} of {first.place}"
                raise UserError(wrong, "a clip is listed once, in one split")
            if not multi_label and len(row.classes) != 1:
                wrong = f"{row.place} has {len(row.classes)} labels"
                raise UserError(wrong, "with data.params.multi_label=false every clip has one")
