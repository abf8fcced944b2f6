"""Checkpoints: folders that exist or do not, and two links, `last` and `best`, that always point at whole ones."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from pannsdist import storage
from pannsdist.errors import BadRunFolder, BadWeightsFile
from pannsdist.weights import read_paddle

MODEL_FILE, OPTIMIZER_FILE, PROGRESS_FILE = "model.pdparams", "optimizer.pdopt", "progress.json"


@dataclass(frozen=True)
class Progress:
    """How far a run has come: epochs and steps done, the scores of that epoch, the state of the best tracker."""

    epoch: int = 0
    step: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """Everything that a run needs to go on: arrays by structured name, and the progress."""

    progress: Progress
    model: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]


class CheckpointStore:
    """The checkpoints of one run, in one folder. Only rank 0 uses it."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def write(self, snapshot: Snapshot, is_best: bool) -> Path:
        """Write a checkpoint, move the links, and remove what is neither new nor best."""
        folder = self.folder / f"epoch_{snapshot.progress.epoch:04d}"
        storage.fill_folder(folder, lambda aside: _write(aside, snapshot))
        storage.point(self.folder / "last", folder)
        if is_best:
            storage.point(self.folder / "best", folder)
        self._remove_older()
        return folder

    def read(self, link: str) -> Snapshot | None:
        """The checkpoint that `last` or `best` points at, or None. Raises BadRunFolder for one that cannot be read."""
        folder = self.folder / link
        if folder.is_symlink() and not folder.exists():
            wrong = f"{folder} points at {folder.readlink()}, which is not there"
            raise BadRunFolder(wrong, f"point it at another checkpoint in {self.folder}, or give the run another name")
        if not folder.is_dir():
            return None
        try:
            progress = Progress(**json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8")))
            return Snapshot(progress, read_paddle(folder / MODEL_FILE), read_paddle(folder / OPTIMIZER_FILE))
        except (OSError, ValueError, TypeError, BadWeightsFile) as error:
            right = f"point {folder} at another checkpoint in {self.folder}, or give the run another name"
            raise BadRunFolder(f"the checkpoint {folder} is damaged: {error}", right) from error

    def _remove_older(self) -> None:
        pointed = {(self.folder / link).resolve() for link in ("last", "best")}
        whole = [path for path in self.folder.glob("epoch_*") if path.is_dir()]
        whole.sort(key=lambda path: int(path.name.removeprefix("epoch_")))
        for path in whole[: -self.keep]:
            if path.resolve() not in pointed:
                shutil.rmtree(path)


def _write(folder: Path, snapshot: Snapshot) -> None:
    paddle.save(dict(snapshot.model), str(folder / MODEL_FILE))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The input state dict is empty")  # SGD has no state
        paddle.save(dict(snapshot.optimizer), str(folder / OPTIMIZER_FILE))
    progress = snapshot.progress
    record = {"epoch": progress.epoch, "step": progress.step, "scores": progress.scores, "best": progress.best}
    (folder / PROGRESS_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
