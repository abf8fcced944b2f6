"""The predictions of the best epoch in files, so that they can be analyzed without the network."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.json_files import JsonFile
from pannsdist.training.metrics import Predictions

MAX_AXES = 8
MAX_RECORD_BYTES = 1 << 28
"""A million ids."""
RECORD_FILE, LOGITS_FILE, TARGETS_FILE = "record.json", "logits.npy", "targets.npy"


@dataclass(frozen=True)
class SavedPredictions:
    """Predictions with their epoch and split."""

    epoch: int
    split: str
    predictions: Predictions


class PredictionsTracker:
    """Writes ids, logits and targets of the best epoch into a folder, atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def steps(self, report: StepReport) -> None:
        """Ignored."""

    def epoch(self, report: EpochReport) -> None:
        """Replace the saved predictions if the epoch is the best so far."""
        if report.is_best and report.predictions is not None:
            write_predictions(self._folder, SavedPredictions(report.epoch, report.split, report.predictions))

    def flush(self) -> None:
        """Nothing to do: files are closed after each write."""

    def close(self) -> None:
        """Nothing to do: files are closed after each write."""


def write_predictions(folder: Path, saved: SavedPredictions) -> None:
    """Write predictions as the content of a folder, atomically, in place of earlier ones."""
    storage.write_folder_atomic(folder, lambda temporary: _write(temporary, saved))


def _write(folder: Path, saved: SavedPredictions) -> None:
    predictions = saved.predictions
    record = {
        "epoch": saved.epoch,
        "split": saved.split,
        "multi_label": predictions.multi_label,
        "labels": predictions.labels,
        "ids": predictions.ids,
        "groups": predictions.groups,
    }
    storage.write_file(folder / RECORD_FILE, json.dumps(record, ensure_ascii=False) + "\n")
    for name, array in ((LOGITS_FILE, predictions.logits), (TARGETS_FILE, predictions.targets)):
        with storage.opened(folder / name, "wb") as file:
            npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def read_predictions(folder: Path) -> SavedPredictions | None:
    """The predictions that a run saved; None if there are none. Raises BadRunFolder or CannotRead."""
    if not reading.is_folder(folder):
        return None
    right = "remove that folder; only the predictions of the best epoch are lost"
    record = JsonFile(dict, BadRunFolder, right, max_bytes=MAX_RECORD_BYTES).read(folder / RECORD_FILE)
    try:
        if record is None:
            raise FileNotFoundError(f"{RECORD_FILE} is missing")
        logits, targets = (reading.retried(partial(_array, folder / name)) for name in (LOGITS_FILE, TARGETS_FILE))
        ids, labels = tuple(record["ids"]), tuple(record["labels"])
        groups = tuple(record.get("groups", ()))
        predictions = Predictions(ids, logits, targets, labels, record["multi_label"], groups)
        return SavedPredictions(int(record["epoch"]), str(record["split"]), predictions)
    except FileNotFoundError as error:
        raise _damaged(folder, error) from error
    except OSError as error:
        raise reading.cannot_read(folder, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> BadRunFolder:
    right = "remove that folder; only the predictions of the best epoch are lost"
    return BadRunFolder(f"the predictions in {folder} are damaged: {error}", right)


def _array(path: Path) -> np.ndarray:
    """Read an array of numbers whose size is that of its file. Nothing in the file is executed. Raises ValueError."""
    with path.open("rb") as file:
        try:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, kind = header(file)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"{path.name} has no header of an array") from error
        if kind.hasobject:
            raise ValueError(f"{path.name} holds Python objects, which are not read")
        if len(shape) > MAX_AXES or math.prod(shape) * kind.itemsize != path.stat().st_size - file.tell():
            raise ValueError(f"{path.name} is not as long as its header says")
        file.seek(0)
        return np.asarray(npy.read_array(file, allow_pickle=False))
