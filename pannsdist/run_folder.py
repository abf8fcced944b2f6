"""The folder of a run: its settings, its scores, its checkpoints, its best model, its logs. Only rank 0 touches it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pannsdist import launched, storage
from pannsdist import settings as settings_module
from pannsdist.errors import BadBundle, BadClip, BadRunFolder
from pannsdist.inference.bundle import BundleRecord, read_record, write_bundle
from pannsdist.schema import Settings
from pannsdist.training.checkpoint import CheckpointStore, Progress, Snapshot
from pannsdist.training.tracking import (
    ConsoleTracker,
    PredictionsTracker,
    ScoresFile,
    Tracker,
    VisualDLTracker,
    Watch,
)
from pannsdist.training.trainer import Outlets

SETTINGS_FILE = "settings.yaml"
FREE_KEYS = ("runs", "train.epochs", "save", "log", "data.workers", "data.on_bad_clip")
"""What may change when a run goes on; any other key makes it another run."""


class RunFolder:
    """`runs/NAME`, made or continued."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.checkpoints = CheckpointStore(path / "checkpoints", settings.save.keep)

    @classmethod
    def open(cls, settings: Settings, labels: Sequence[str]) -> RunFolder:
        """The run's folder, made if need be. Raises BadRunFolder where another run, or anything else, is in it.

        A run with the same settings is another one too where the dataset's labels have changed since.
        """
        path = Path(settings.runs) / settings.name
        written = path / SETTINGS_FILE
        if written.is_file():  # without a checkpoint, an earlier start was refused: nothing there is another run's
            if (path / "checkpoints" / "last").is_symlink():
                _refuse_other_run(written, settings)
                _refuse_other_labels(path / "best_model", tuple(labels))
        elif path.exists() and any(item.name != "log" for item in path.iterdir()):
            wrong = f"{path} is not empty, and holds no {SETTINGS_FILE} of a run"
            raise BadRunFolder(wrong, "choose another name, as name=NAME, or empty the folder", f"ls {path}")
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        storage.write_whole(written, settings_module.to_yaml(settings))
        _guard_log(path)
        return cls(path, settings)

    @contextmanager
    def outlets(self, record: BundleRecord, watch: Watch, progress: Progress) -> Iterator[Outlets]:
        """Where the trainer's results go from `progress` on: terminal, VisualDL, files, checkpoints, `best_model`."""
        self._mend_best_model(record)
        trackers: list[Tracker] = [
            ConsoleTracker(),
            VisualDLTracker(self.path / "vdl", watch, progress.step),
            ScoresFile(self.path / "scores.jsonl", progress.epoch),
            PredictionsTracker(self.path / "best_predictions"),
        ]

        def keep(snapshot: Snapshot, is_best: bool) -> None:
            self.checkpoints.write(snapshot, is_best)
            if is_best:
                self._write_best(snapshot, record)

        try:
            yield Outlets(trackers, keep, self.note_bad)
        finally:
            for tracker in trackers:
                tracker.close()

    def summary(self, progress: Progress) -> str:
        """What the run came to, and the next commands."""
        lines = [f"{progress.epoch} epochs done"]
        best, model = progress.best, self.path / "best_model"
        if best.get("epoch"):
            lines = [f"best {best['metric']} {best['value']:.4f} in epoch {best['epoch']} of {progress.epoch}: {model}"]
            lines.append(f"  next: pannsdist predict --model {model} FILE...")
        else:
            lines.append(f"  no epoch had a {best.get('metric', 'score')} that is a number, so there is no best model")
        lines.append(f"        visualdl --logdir {self.path / 'vdl'}")
        bad = self.path / "bad_clips.txt"
        if bad.exists():
            count = len(bad.read_text(encoding="utf-8").splitlines())
            lines.append(f"  {count} clips could not be used: {bad}")
        return "\n".join(lines)

    def _mend_best_model(self, record: BundleRecord) -> None:
        """Write `best_model` from the best checkpoint where a run was stopped between the two."""
        best = self.checkpoints.read("best")
        folder = self.path / "best_model"
        if best is not None and _epoch_of(folder) != best.progress.epoch:
            self._write_best(best, record)

    def note_bad(self, clips: Sequence[BadClip]) -> None:
        """Add clips that were skipped to `bad_clips.txt`, each once."""
        path = self.path / "bad_clips.txt"
        known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        fresh = [clip.wrong.replace("\n", " ") for clip in clips]
        storage.write_whole(path, "".join(f"{line}\n" for line in dict.fromkeys([*known, *fresh])))

    def _write_best(self, snapshot: Snapshot, record: BundleRecord) -> None:
        progress = snapshot.progress
        record = replace(record, epoch=progress.epoch, scores=progress.scores)
        write_bundle(self.path / "best_model", record, snapshot.model)


def _epoch_of(folder: Path) -> int | None:
    """The epoch that a model folder holds; None where there is no whole one."""
    try:
        return read_record(folder).epoch
    except BadBundle:
        return None


def check_same_run(path: Path, settings: Settings) -> None:
    """Raise BadRunFolder where a run with other settings is in the folder; touches nothing."""
    if (path / SETTINGS_FILE).is_file() and (path / "checkpoints" / "last").is_symlink():
        _refuse_other_run(path / SETTINGS_FILE, settings)


def _refuse_other_run(written: Path, settings: Settings) -> None:
    before = _flat(settings_module.read_yaml(written))
    now = _flat(settings_module.to_dict(settings))
    for key in sorted(before.keys() | now.keys()):
        free = any(key == name or key.startswith(f"{name}.") for name in FREE_KEYS)
        if not free and before.get(key) != now.get(key):
            wrong = f"{written.parent} holds another run: {key} is {before.get(key)!r} there and {now.get(key)!r} now"
            raise BadRunFolder(wrong, "choose another name, as name=NAME, or remove that folder", f"cat {written}")


def _refuse_other_labels(best_model: Path, labels: tuple[str, ...]) -> None:
    try:
        known = tuple(read_record(best_model).labels)
    except BadBundle:  # there is none yet, or it was cut off and is written again from its checkpoint
        return
    if known != labels:
        odd = sorted(set(known) ^ set(labels)) or ["their order"]
        wrong = f"the dataset's labels are no longer those of the run in {best_model.parent}: {', '.join(odd[:5])}"
        right = f"the run has {len(known)}, the dataset {len(labels)}; choose another name, as name=NAME"
        raise BadRunFolder(wrong, right)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat.update(_flat(value, f"{prefix}.{name}" if prefix else str(name)))
    return flat


def _guard_log(run: Path) -> None:
    """Paddle's launcher writes the whole environment into its log folder: keep it private, and at hand in the run."""
    folder = launched.log_folder()
    if folder is None or not folder.is_dir():
        return
    log = folder.resolve()
    log.chmod(0o700)
    link = run / "log"
    if link.is_symlink():
        link.unlink()
    if not link.exists() and log != link.resolve():
        link.symlink_to(os.path.relpath(log, run.resolve()))
