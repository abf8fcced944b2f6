"""The datasets of a training as a record, and whether they changed since an earlier session. Rank 0 only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from paddle.io import ConcatDataset, Subset, TensorDataset

from pannsdist.hub.scores import SPLIT
from pannsdist.run.changed_data import CONTINUE, STOP, unknown_changes
from pannsdist.run.data_record import (
    DATA_FILE,
    Changes,
    DataRecord,
    changes,
    read_data_record,
    record_of_clips,
    size_bytes,
)
from pannsdist.runtime import console, storage
from pannsdist.runtime.errors import BadRunFolder, UserError, shell_command

TRAINED, EVALUATED = "train", SPLIT
NO_FILE = -1
FORGOTTEN = "the best score so far is forgotten, since it is of other clips"


def record_of(datasets: Mapping[str, Any], folder: Path) -> DataRecord:
    """The record of datasets by split: `label_list`, and of every item its file, size and label, as far as known.

    No item is read. Files and labels are known where a dataset has attributes `files` and `labels` with one entry per
    item, as the audio datasets of PaddleHub and Paddle have; the labels of a `TensorDataset` are known, and `Subset`
    and `ConcatDataset` are looked into. Of other items only the number is known: not whether one was relabelled or
    replaced. Of no item the content is compared. Files are named relative to `folder`. Raises CannotRead.
    """
    names = getattr(datasets[TRAINED], "label_list", None)
    labels = [str(name) for name in names] if isinstance(names, Sequence) else []
    return record_of_clips(labels, {split: _clips(dataset, folder) for split, dataset in datasets.items()})


class KnownData:
    """The data of the training in a folder: of its newest checkpoint, and of the session of now. Rank 0 only.

    `digest` is that of the newest checkpoint; None where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.digest: str | None = None
        self.record = DataRecord((), (), {})

    def compare(self, datasets: Mapping[str, Any], epoch: int, on_change: str) -> bool:
        """Take the datasets of now; returns whether scores of them can be compared with those of the checkpoint.

        `epoch` is that of the checkpoint. Prints what changed if it is to go on deliberately, else raises
        BadRunFolder. Raises CannotRead.
        """
        self.record, found = _compared(record_of(datasets, self._folder), self._folder, self.digest)
        if found.lines and on_change != CONTINUE:
            raise _refusal(self._folder, found, epoch)
        if found.lines:
            forgotten = "" if found.is_comparable else f"; {FORGOTTEN}"
            lines = ["the data has changed:", *found.lines, f"the training goes on after epoch {epoch}{forgotten}"]
            console.print_main("\n  ".join(lines))
        return found.is_comparable

    def write(self) -> None:
        """Write the record, after a checkpoint with its digest: a kill in between costs the words for a change only."""
        storage.write_atomic(self._folder / DATA_FILE, self.record.text)
        self.digest = self.record.digest


def _compared(now: DataRecord, folder: Path, known_digest: str | None) -> tuple[DataRecord, Changes]:
    """(the record from now on, the differences from that of the newest checkpoint).

    Only splits that both have are compared. Where there is nothing to evaluate now, the record keeps the items of the
    earlier evaluation, which the best score is of.
    """
    if known_digest in (None, now.digest):
        return now, Changes((), is_comparable=True)
    known = read_data_record(folder / DATA_FILE)
    if known is None or known[1] != known_digest:
        return now, unknown_changes(folder)
    old, new = ({split: record.clips(split) for split in record.splits} for record in (known[0], now))
    before = record_of_clips(known[0].labels, {split: old[split] for split in new if split in old})
    after = record_of_clips(now.labels, {split: new[split] for split in new if split in old})
    return record_of_clips(now.labels, {**old, **new}), changes(before, after)


def _refusal(folder: Path, found: Changes, epoch: int) -> BadRunFolder:
    another = "to train on the data of now from the start, give another checkpoint_dir"
    meaning = f"to go on deliberately, call train(..., on_data_change={CONTINUE!r}): it keeps the weights and the "
    meaning += "optimizer of that checkpoint"
    meaning += "" if found.is_comparable else f"; {FORGOTTEN}, and best_model is replaced"
    wrong = f"the data has changed since the checkpoint after epoch {epoch} in {folder}"
    return BadRunFolder(wrong, "\n".join([*found.lines, another, meaning]), shell_command("ls", "-l", folder))


def require_choice(on_change: str) -> None:
    """Raise UserError for another value of `on_data_change` than the two that there are."""
    if on_change not in (STOP, CONTINUE):
        raise UserError(f"on_data_change is {on_change!r}", f"allowed: {STOP!r}, {CONTINUE!r}")


def _clips(dataset: Any, folder: Path) -> dict[str, tuple[Any, ...]]:
    """(labels, size, no segment) of the items by unique name, in order."""
    seen: Counter[str] = Counter()
    found = {}
    for file, number, label in _items(dataset):
        name = f"item {number}" if file is None else os.path.relpath(file, folder)
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name} ({seen[name]})"
        found[unique] = ((label,), NO_FILE if file is None else size_bytes(Path(file)), None)
    return found


def _items(dataset: Any) -> Sequence[tuple[str | None, int, str]]:
    """(file, number in the dataset that it is of, label) of every item; no file and an empty label are not known."""
    if isinstance(dataset, Subset):
        whole = _items(dataset.dataset)
        return [whole[int(index)] for index in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        return [item for part in dataset.datasets for item in _items(part)]
    count = len(dataset)
    labels = dataset.tensors[1] if isinstance(dataset, TensorDataset) and len(dataset.tensors) > 1 else None
    labels = _column(getattr(dataset, "labels", labels), count)
    files = _column(getattr(dataset, "files", None), count)
    if not all(isinstance(file, str | os.PathLike) for file in files or ()):
        files = None
    return list(
        zip(
            map(os.fspath, files) if files else [None] * count,
            range(count),
            map(str, labels) if labels else [""] * count,
            strict=True,
        )
    )


def _column(values: Any, count: int) -> list[Any] | None:
    """One value per item; None where these are not."""
    if isinstance(values, str) or not hasattr(values, "__len__") or not hasattr(values, "__getitem__"):
        return None
    listed = list(np.asarray(values) if hasattr(values, "__array__") else values)
    return listed if len(listed) == count else None
