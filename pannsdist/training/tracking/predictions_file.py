"""The predictions of the best epoch, kept so that what they show can be looked at again without the network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.training.metrics import Predictions

RECORD_FILE, LOGITS_FILE, TARGETS_FILE = "record.json", "logits.npy", "targets.npy"


@dataclass(frozen=True)
class Kept:
    """Predictions as they were kept: the epoch and the split that they are of."""

    epoch: int
    split: str
    predictions: Predictions


class PredictionsTracker:
    """A folder with ids, logits and targets of the best epoch: whole, or not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def steps(self, report: StepReport) -> None:
        """Only epochs are kept."""

    def epoch(self, report: EpochReport) -> None:
        """Take the place of an epoch that was not as good."""
        if report.is_best and report.predictions is not None:
            kept = Kept(report.epoch, report.split, report.predictions)
            storage.write_folder_atomic(self._folder, lambda aside: _write(aside, kept))

    def flush(self) -> None:
        """Every file was closed as it was written."""

    def close(self) -> None:
        """Every file was closed as it was written."""


def _write(folder: Path, kept: Kept) -> None:
    predictions = kept.predictions
    record = {
        "epoch": kept.epoch,
        "split": kept.split,
        "multi_label": predictions.multi_label,
        "labels": predictions.labels,
        "ids": predictions.ids,
    }
    (folder / RECORD_FILE).write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, array in ((LOGITS_FILE, predictions.logits), (TARGETS_FILE, predictions.targets)):
        with (folder / name).open("wb") as file:
            npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def read_predictions(folder: Path) -> Kept | None:
    """What a run kept; None where it kept nothing. Raises BadRunFolder where it cannot be read."""
    if not folder.is_dir():
        return None
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        logits, targets = (_array(folder / name) for name in (LOGITS_FILE, TARGETS_FILE))
        ids, labels = tuple(record["ids"]), tuple(record["labels"])
        predictions = Predictions(ids, logits, targets, labels, record["multi_label"])
        return Kept(int(record["epoch"]), str(record["split"]), predictions)
    except (OSError, ValueError, KeyError, TypeError) as error:
        right = "remove that folder; the best epoch's predictions are then missing, and nothing else"
        raise BadRunFolder(f"the predictions in {folder} are damaged: {error}", right) from error


def _array(path: Path) -> np.ndarray:
    """An array that holds numbers alone: nothing in the file is executed."""
    with path.open("rb") as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))
