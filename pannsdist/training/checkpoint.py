"""Checkpoints: folders written atomically, each with the SHA-256 checksums of its files.

A checkpoint is named after its step: `step_00000123`. The links `last`, `best`, and `best_2`, `best_3` ... if more of
the best are kept, are for people only: nothing is read through them.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadRunFolder, BadWeightsFile, shell_command
from pannsdist.training.state import Progress, Snapshot
from pannsdist.weights import read_paddle
from pannsdist.weights.downloads.cache import sha256

__all__ = ["CheckpointStore", "LatestCheckpoint", "Progress", "Snapshot", "checkpoint_name"]

MODEL_FILE, OPTIMIZER_FILE, STATISTICS_FILE = "model.pdparams", "optimizer.pdopt", "statistics.pdparams"
PROGRESS_FILE, SUMS_FILE = "progress.json", "SHA256SUMS"
REQUIRED_FILES = {MODEL_FILE, OPTIMIZER_FILE, PROGRESS_FILE}
PREFIX, DAMAGED = "step_", ".damaged"


def checkpoint_name(step: int) -> str:
    """The folder name of the checkpoint after a step."""
    return f"{PREFIX}{step:08d}"


@dataclass(frozen=True)
class LatestCheckpoint:
    """The latest intact checkpoint, and why each later one is damaged, by folder."""

    snapshot: Snapshot | None
    damaged: Mapping[Path, str]


class CheckpointStore:
    """The checkpoints of a run in one folder: the latest `keep` and the best are kept. Rank 0 only."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    @property
    def folders(self) -> list[Path]:
        """The folders of all checkpoints, the latest last. Checksums are not verified here."""
        found = [path for path in self.folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
        return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))

    def write(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint, update the links, and remove checkpoints that are neither recent nor among the best."""
        folder = self.folder / checkpoint_name(snapshot.progress.step)
        storage.write_folder_atomic(folder, lambda temporary: _write(temporary, snapshot))
        storage.link_atomic(self.folder / "last", folder)
        best = [self.folder / checkpoint_name(entry["step"]) for entry in snapshot.progress.best.get("best_epochs", ())]
        self._link_best(best)
        kept = {folder, *best, *self.folders[-self.keep :]}
        for path in self.folders:
            if path not in kept:
                shutil.rmtree(path)
        return folder

    def load_latest(self) -> LatestCheckpoint:
        """The latest checkpoint whose checksums match; the link `last` is not used.

        Only completes or removes what a killed process left half-written. Raises BadRunFolder if there are checkpoints
        and all of them are damaged.
        """
        storage.recover(self.folder)
        damaged: dict[Path, str] = {}
        for folder in reversed(self.folders):
            try:
                return LatestCheckpoint(_read(folder), damaged)
            except (OSError, ValueError, TypeError, KeyError, BadWeightsFile) as error:
                damaged[folder] = str(error)
        if damaged:
            wrong = f"every checkpoint in {self.folder} is damaged"
            right = "\n".join(f"{folder.name}: {reason}" for folder, reason in damaged.items())
            right += "\nto start again, remove that folder, or give the run another name, as name=NAME"
            raise BadRunFolder(wrong, right, shell_command("ls", "-lR", self.folder))
        return LatestCheckpoint(None, {})

    def rename_damaged(self, damaged: Sequence[Path]) -> None:
        """Append `.damaged` to the names of damaged checkpoints, so that they are not read again."""
        for folder in damaged:
            target = folder.with_name(folder.name + DAMAGED)
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)

    def _link_best(self, best: Sequence[Path]) -> None:
        names = ["best", *(f"best_{place}" for place in range(2, len(best) + 1))]
        links = {name: folder for name, folder in zip(names, best, strict=False) if folder.is_dir()}
        for link in self.folder.glob("best*"):
            if link.name not in links:
                link.unlink()
        for name, folder in links.items():
            storage.link_atomic(self.folder / name, folder)


def _write(folder: Path, snapshot: Snapshot) -> None:
    paddle.save(dict(snapshot.model), str(folder / MODEL_FILE))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The input state dict is empty")  # SGD has no state
        paddle.save(dict(snapshot.optimizer), str(folder / OPTIMIZER_FILE))
    if snapshot.statistics:
        paddle.save(dict(snapshot.statistics), str(folder / STATISTICS_FILE))
    record = dataclasses.asdict(snapshot.progress)
    (folder / PROGRESS_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def _read(folder: Path) -> Snapshot:
    """Verify the checksums, then read a checkpoint. Raises ValueError, or whatever reading damaged files raises."""
    sums = folder / SUMS_FILE
    if not sums.is_file():
        raise ValueError(f"{SUMS_FILE} is missing")
    lines = sums.read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted(REQUIRED_FILES - expected.keys()):
        raise ValueError(f"{SUMS_FILE} does not name {name}")
    for name, digest in expected.items():
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
        if sha256(folder / name) != digest:
            raise ValueError(f"{name} was changed: its SHA-256 is not the one in {SUMS_FILE}")
    record: dict[str, Any] = json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
    statistics: Mapping[str, np.ndarray] = {}
    if STATISTICS_FILE in expected:
        statistics = read_paddle(folder / STATISTICS_FILE)
    model, optimizer = read_paddle(folder / MODEL_FILE), read_paddle(folder / OPTIMIZER_FILE)
    return Snapshot(Progress(**record), model, optimizer, statistics)
