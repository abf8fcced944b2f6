"""Checkpoints: folders written atomically, each with the SHA-256 checksums of its files.

A checkpoint is named after its step: `step_00000123`. The links `last`, `best`, and `best_2`, `best_3` ... if more of
the best are kept, are for people only: nothing is read through them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle

from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import BadRunFolder, BadWeightsFile, shell_command
from pannsdist.runtime.foreign import parse_json
from pannsdist.training.state import Progress, Snapshot
from pannsdist.weights.downloads.cache import sha256
from pannsdist.weights.formats.errors import translate_errors
from pannsdist.weights.formats.paddle import paddle_tree

__all__ = ["CheckpointStore", "LatestCheckpoint", "Progress", "Snapshot", "checkpoint_name"]

MODEL_FILE, OPTIMIZER_FILE, STATISTICS_FILE = "model.pdparams", "optimizer.pdopt", "statistics.pdparams"
PROGRESS_FILE, SUMS_FILE = "progress.json", "SHA256SUMS"
REQUIRED_FILES = {MODEL_FILE, OPTIMIZER_FILE, PROGRESS_FILE}
PREFIX, DAMAGED = "step_", ".damaged"
FORMAT = 2
"""The number in `progress.json` of what a checkpoint holds; another one is refused."""


def checkpoint_name(step: int) -> str:
    """The folder name of the checkpoint after a step."""
    return f"{PREFIX}{step:08d}"


@dataclass(frozen=True)
class Origin:
    """A digest of the data that a run trains and evaluates on, and the name of the kernels that compute it."""

    data: str = ""
    kernels: str = ""


@dataclass(frozen=True)
class LatestCheckpoint:
    """The latest intact checkpoint, why each later one is damaged, by folder, and what it was trained on."""

    snapshot: Snapshot | None
    damaged: Mapping[Path, str]
    origin: Origin = Origin()


class CheckpointStore:
    """The checkpoints of a run in one folder: the latest `keep` and the best are kept. Rank 0 only.

    Each checkpoint holds `origin`.
    """

    def __init__(self, folder: Path, keep: int, origin: Origin = Origin()) -> None:
        self.folder, self.keep, self.origin = folder, keep, origin

    @property
    def folders(self) -> list[Path]:
        """The folders of all checkpoints, the latest step last. Checksums are not verified here.

        Raises CannotRead if the folder cannot be read, which does not mean that there are none.
        """
        names = [name for name in reading.names_in(self.folder) if name.startswith(PREFIX)]
        found = [name for name in names if name.removeprefix(PREFIX).isdigit()]
        return sorted((self.folder / name for name in found), key=lambda path: int(path.name.removeprefix(PREFIX)))

    def write(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint, update the links, and remove checkpoints that are neither recent nor among the best."""
        folder = self.folder / checkpoint_name(snapshot.progress.step)
        storage.write_folder_atomic(folder, lambda temporary: _write(temporary, snapshot, self.origin))
        storage.link_atomic(self.folder / "last", folder)
        best = [self.folder / checkpoint_name(entry["step"]) for entry in snapshot.progress.best.get("best_epochs", ())]
        self._link_best(best)
        kept = {folder, *best, *self.folders[-self.keep :]}
        for path in self.folders:
            if path not in kept:
                storage.remove(path)
        return folder

    def write_alone(self, snapshot: Snapshot) -> None:
        """Write a checkpoint, then remove all others, whatever their steps: they count steps of other epochs.

        A process that is killed in between leaves the latest of the others, and the new one if its step is lower.
        """
        written = self.write(snapshot)
        for path in self.folders:
            if path != written:
                storage.remove(path)

    def load_latest(self) -> LatestCheckpoint:
        """The latest checkpoint whose checksums match; the link `last` is not used.

        Only completes or removes what a killed process left half-written. A checkpoint counts as damaged only if its
        content is proven to differ from what was written. Raises BadRunFolder if there are checkpoints and all of them
        are damaged, or if another version of this package wrote the latest; CannotRead if the system cannot read it.
        """
        storage.recover(self.folder)
        damaged: dict[Path, str] = {}
        for folder in reversed(self.folders):
            try:
                snapshot, origin = _read(folder)
                return LatestCheckpoint(snapshot, damaged, origin)
            except _Damaged as error:
                damaged[folder] = str(error)
        if damaged:
            wrong = f"every checkpoint in {self.folder} is damaged"
            right = "\n".join(f"{folder.name}: {reason}" for folder, reason in damaged.items())
            right += "\nto start again, remove that folder, or give the run another name, as name=NAME"
            raise BadRunFolder(wrong, right, shell_command("ls", "-lR", self.folder))
        return LatestCheckpoint(None, {})

    def newest_kernels(self) -> str | None:
        """The kernels of the newest checkpoint, whose checksums are not verified here; None if it cannot be read."""
        for folder in reversed(self.folders):
            try:
                return str(parse_json((folder / PROGRESS_FILE).read_bytes(), PROGRESS_FILE)["kernels"])
            except (OSError, ValueError, TypeError, KeyError):
                continue
        return None

    def rename_damaged(self, damaged: Sequence[Path]) -> None:
        """Append `.damaged` to the names of damaged checkpoints, so that they are not read again."""
        for folder in damaged:
            target = folder.with_name(folder.name + DAMAGED)
            storage.remove(target)
            storage.rename(folder, target)

    def _link_best(self, best: Sequence[Path]) -> None:
        names = ["best", *(f"best_{place}" for place in range(2, len(best) + 1))]
        links = {name: folder for name, folder in zip(names, best, strict=False) if reading.is_folder(folder)}
        for name in reading.names_in(self.folder):
            if name.startswith("best") and name not in links:
                storage.remove(self.folder / name)
        for name, folder in links.items():
            storage.link_atomic(self.folder / name, folder)


def _write(folder: Path, snapshot: Snapshot, origin: Origin) -> None:
    paddle.save(dict(snapshot.model), str(folder / MODEL_FILE))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The input state dict is empty")  # SGD has no state
        paddle.save(dict(snapshot.optimizer), str(folder / OPTIMIZER_FILE))
    if snapshot.statistics:
        paddle.save(dict(snapshot.statistics), str(folder / STATISTICS_FILE))
    record = {"format": FORMAT, **vars(origin), **dataclasses.asdict(snapshot.progress)}
    storage.write_file(folder / PROGRESS_FILE, json.dumps(record, indent=1) + "\n")
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    storage.write_file(folder / SUMS_FILE, "".join(lines))


class _Damaged(Exception):
    """A checkpoint whose content is proven not to be what was written; the message says which file."""


def _read(folder: Path) -> tuple[Snapshot, Origin]:
    """(checkpoint, what it was trained on), from files that are read once and verified.

    Raises _Damaged, and BadRunFolder or CannotRead for one that is not damaged.
    """
    try:
        content = reading.retried(lambda: _verified_files(folder))
    except (OSError, MemoryError) as error:
        raise reading.cannot_read(folder, error) from error
    try:
        record: dict[str, Any] = parse_json(content.pop(PROGRESS_FILE), PROGRESS_FILE)
        reading.check_format(record, FORMAT, folder / PROGRESS_FILE, BadRunFolder)
        del record["format"]
        origin = Origin(str(record.pop("data")), str(record.pop("kernels")))
        trees = {name: _tree(folder / name, data) for name, data in content.items()}
        arrays = (trees[MODEL_FILE], trees[OPTIMIZER_FILE], trees.get(STATISTICS_FILE, {}))
        return Snapshot(Progress(**record), *arrays), origin
    except (ValueError, TypeError, KeyError, BadWeightsFile) as error:
        wrong = f"{folder} is intact by its checksums, but this pannsdist cannot read it: {error}"
        right = "another version may have written it; use that one, or give the run another name, as name=NAME"
        raise BadRunFolder(wrong, right) from error


def _tree(path: Path, data: bytes) -> dict[str, Any]:
    with translate_errors(path, "Paddle"):
        return paddle_tree(io.BytesIO(data), len(data), values=True)


def _verified_files(folder: Path) -> dict[str, bytes]:
    """The content of every file by name. Raises OSError if the system cannot read, _Damaged if the content is wrong."""
    try:
        lines = (folder / SUMS_FILE).read_bytes().decode("ascii", "replace").splitlines()
    except FileNotFoundError:
        raise _Damaged(f"{SUMS_FILE} is missing") from None
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted(REQUIRED_FILES - expected.keys()):
        raise _Damaged(f"{SUMS_FILE} does not name {name}")
    for name in sorted(expected.keys() - REQUIRED_FILES - {STATISTICS_FILE}):
        raise _Damaged(f"{SUMS_FILE} names {name!r}, which is no file of a checkpoint")
    return {name: _verified(folder / name, digest) for name, digest in expected.items()}


def _verified(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _Damaged(f"{path.name} is missing") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise _Damaged(f"{path.name} was changed: its SHA-256 is not the one in {SUMS_FILE}")
    return data
