"""Checkpoints: folders that are whole or absent, each with the checksums of its files.

A checkpoint bears the number of the step that it was made after: `step_00000123`. The links `last`, `best` and, where
more of the best are kept, `best_2`, `best_3` ... are for people: nothing is read through them.
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
from pannsdist.runtime.errors import BadRunFolder, BadWeightsFile
from pannsdist.training.state import Progress, Snapshot
from pannsdist.weights import read_paddle
from pannsdist.weights.downloads.cache import sha256

__all__ = ["CheckpointStore", "Found", "Progress", "Snapshot", "checkpoint_name"]

MODEL_FILE, OPTIMIZER_FILE, STATISTICS_FILE = "model.pdparams", "optimizer.pdopt", "statistics.pdparams"
PROGRESS_FILE, SUMS_FILE = "progress.json", "SHA256SUMS"
ALWAYS = {MODEL_FILE, OPTIMIZER_FILE, PROGRESS_FILE}
PREFIX, DAMAGED = "step_", ".damaged"


def checkpoint_name(step: int) -> str:
    """The folder's name of the checkpoint after a step."""
    return f"{PREFIX}{step:08d}"


@dataclass(frozen=True)
class Found:
    """The newest whole checkpoint, and what is wrong with each that is newer, by its folder."""

    snapshot: Snapshot | None
    damaged: Mapping[Path, str]


class CheckpointStore:
    """The checkpoints of one run, in one folder: the newest `keep` and the best stay. Only rank 0 uses it."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    @property
    def whole(self) -> list[Path]:
        """The folders of all checkpoints, the newest last; `newest` looks whether they are still as they were."""
        found = [path for path in self.folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
        return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))

    def write(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint, move the links, and remove what is neither new nor among the best."""
        folder = self.folder / checkpoint_name(snapshot.progress.step)
        storage.write_folder_atomic(folder, lambda aside: _write(aside, snapshot))
        storage.link_atomic(self.folder / "last", folder)
        best = [self.folder / checkpoint_name(x["step"]) for x in snapshot.progress.best.get("leaders", ())]
        self._point_at(best)
        kept = {folder, *best, *self.whole[-self.keep :]}
        for path in self.whole:
            if path not in kept:
                shutil.rmtree(path)
        return folder

    def newest(self) -> Found:
        """The newest checkpoint that is as it was written; the link `last` is not asked.

        Changes nothing, but for what a killed process had left half-done.
        """
        storage.recover(self.folder)
        damaged: dict[Path, str] = {}
        for folder in reversed(self.whole):
            try:
                return Found(_read(folder), damaged)
            except (OSError, ValueError, TypeError, KeyError, BadWeightsFile) as error:
                damaged[folder] = str(error)
        if damaged:
            wrong = f"no checkpoint in {self.folder} is whole"
            right = "\n".join(f"{folder.name}: {reason}" for folder, reason in damaged.items())
            right += "\nto begin again, remove that folder, or give the run another name, as name=NAME"
            raise BadRunFolder(wrong, right, f"ls -l {self.folder}/*")
        return Found(None, {})

    def set_aside(self, damaged: Sequence[Path]) -> None:
        """Rename damaged checkpoints, so that nothing takes them for newer ones again."""
        for folder in damaged:
            target = folder.with_name(folder.name + DAMAGED)
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)

    def _point_at(self, best: Sequence[Path]) -> None:
        names = ["best", *(f"best_{place}" for place in range(2, len(best) + 1))]
        wanted = {name: folder for name, folder in zip(names, best, strict=False) if folder.is_dir()}
        for link in self.folder.glob("best*"):
            if link.name not in wanted:
                link.unlink()
        for name, folder in wanted.items():
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
    """A checkpoint, once it is known to be as it was written. Raises ValueError, or whatever damaged files raise."""
    sums = folder / SUMS_FILE
    if not sums.is_file():
        raise ValueError(f"{SUMS_FILE} is missing")
    lines = sums.read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted(ALWAYS - expected.keys()):
        raise ValueError(f"{SUMS_FILE} does not name {name}")
    for name, digest in expected.items():
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
        if sha256(folder / name) != digest:
            raise ValueError(f"{name} is not what was written: its SHA-256 is not the one in {SUMS_FILE}")
    record: dict[str, Any] = json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
    statistics: Mapping[str, np.ndarray] = {}
    if STATISTICS_FILE in expected:
        statistics = read_paddle(folder / STATISTICS_FILE)
    model, optimizer = read_paddle(folder / MODEL_FILE), read_paddle(folder / OPTIMIZER_FILE)
    return Snapshot(Progress(**record), model, optimizer, statistics)
