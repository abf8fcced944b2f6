"""The run folder: settings, scores, checkpoints, best model and logs. Rank 0 only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from pannsdist import settings as settings_module
from pannsdist.contracts import Tracker
from pannsdist.inference.bundle import BundleRecord, write_bundle
from pannsdist.run import history
from pannsdist.run.changed_data import ResumedData
from pannsdist.run.data_record import DATA_FILE, DataRecord, data_record
from pannsdist.run.next_step import sound_command
from pannsdist.run.planning.plan import Plan
from pannsdist.run.same_run import LABELS_FILE, SETTINGS_FILE, other_kernels, refuse_folder, run_path
from pannsdist.run.trackers import PluginTracker
from pannsdist.runtime import console, launcher, reading, storage
from pannsdist.runtime.errors import BadClip, BadRunFolder, CannotWrite
from pannsdist.runtime.figures import score
from pannsdist.runtime.folder_lock import LOCK_FILE, FolderLock
from pannsdist.runtime.names import shown
from pannsdist.runtime.redaction import published_text
from pannsdist.settings.schema import Settings
from pannsdist.training.background import BackgroundWriter
from pannsdist.training.checkpoint import DAMAGED, CheckpointStore, LatestCheckpoint, Origin, Progress, Snapshot
from pannsdist.training.fit_context import ResultSinks
from pannsdist.training.run_length import RunLength
from pannsdist.training.tracking import ClassScoresFile, ConsoleTracker, PredictionsTracker, ScoresFile


def load_latest(checkpoints: CheckpointStore) -> LatestCheckpoint:
    """The latest intact checkpoint; later damaged ones are renamed, and a line is printed for each. Rank 0 only.

    Raises BadRunFolder if there are checkpoints and all of them are damaged.
    """
    found = checkpoints.load_latest()
    for folder, reason in found.damaged.items():
        console.print_main(f"not used: {folder} is damaged: {reason}; it is now {folder.name}{DAMAGED}")
    checkpoints.rename_damaged(list(found.damaged))
    return found


def require_run_folder(folder: Path) -> Path:
    """The settings file of a run folder. Raises BadRunFolder where there is none."""
    if not reading.is_file(folder / SETTINGS_FILE):
        wrong = f"{folder} is not a run folder: it has no {SETTINGS_FILE}"
        raise BadRunFolder(wrong, "give the folder of a run, such as runs/NAME", "ls runs")
    return folder / SETTINGS_FILE


class LockTracker:
    """Comes before the other trackers: no report reaches them once another process has the run folder."""

    def __init__(self, lock: FolderLock) -> None:
        self._lock = lock

    def steps(self, report: object) -> None:  # noqa: ARG002
        """Raise BadRunFolder where the folder was lost; so do the others."""
        self._lock.guard(self._lock.folder / LOCK_FILE)

    epoch = test = steps

    def flush(self) -> None:
        """Do the same before a checkpoint."""
        self.steps(None)

    def close(self) -> None:
        """Do nothing."""


class RunFolder:
    """The folder `runs/NAME`, new or resumed, locked against other processes until `close`."""

    def __init__(self, path: Path, settings: Settings, lock: FolderLock, origin: Origin) -> None:
        self.path, self._lock = path, lock
        self.checkpoints = CheckpointStore(path / "checkpoints", settings.save.keep, origin)
        self._on_change, self._kernels = settings.data.on_change, settings.train.cpu_kernels

    @classmethod
    def open(cls, settings: Settings, record: DataRecord, kernels: str = "") -> RunFolder:
        """Open or create the run folder, and lock it.

        Before anything is written, raises what `refuse_folder` raises, and BadRunFolder if another process has it.
        `kernels`: the name of the plan's. A run also counts as another one if the dataset's labels have changed.
        """
        refuse_folder(settings, record.labels)
        path = run_path(settings)
        lock = FolderLock.acquire(path)
        try:
            refuse_folder(settings, record.labels)  # again: another process may have had it until now
            # written first, so that a killed start can be repeated
            storage.write_atomic(path / SETTINGS_FILE, settings_module.to_yaml(settings))
            storage.write_atomic(path / LABELS_FILE, json.dumps(list(record.labels), ensure_ascii=False) + "\n")
            storage.make_folder(path / "checkpoints")
            _link_log(path)
        except BaseException:
            lock.close()
            raise
        return cls(path, settings, lock, Origin(record.digest, kernels))

    def close(self) -> None:
        """Let other processes have the folder."""
        self._lock.close()

    def snapshot(self, record: DataRecord, length: RunLength) -> Snapshot | None:
        """The latest intact checkpoint of the run, to continue from; prints a line for each damaged later one.

        If the data has changed since, and the settings say to continue, it is the state at the start of its epoch; it
        has replaced all checkpoints then, since they count steps of other epochs. Raises BadRunFolder if the data has
        changed otherwise, and if there are checkpoints and all of them are damaged.
        """
        storage.recover(self.path)
        found = load_latest(self.checkpoints)
        snapshot, changed = found.snapshot, ""
        if snapshot is not None:
            changed = other_kernels(self.path, found.origin.kernels, self.checkpoints.origin.kernels, self._kernels)
            if changed:
                console.print_main(changed)
            resumed = ResumedData(self.path, record, length, self._on_change)
            snapshot, changed = resumed.resolved(snapshot, found.origin.data)
        if snapshot is not None and changed:
            console.print_main(changed)
            self.checkpoints.write_alone(snapshot)
        storage.write_atomic(self.path / DATA_FILE, record.text)
        return snapshot

    @contextmanager
    def sinks(
        self, record: BundleRecord, plugins: Sequence[PluginTracker], progress: Progress, console_note: str = ""
    ) -> Iterator[ResultSinks]:
        """The result sinks of the trainer: console, score files, tracker plugins, checkpoints and `best_model`.

        Snapshots are written in the background. `best_model` is written before its checkpoint: a run killed between the
        two writes the same model again. Scores after `progress` are dropped from the files.
        """
        own: list[Tracker] = [
            LockTracker(self._lock),
            ConsoleTracker(note=f"  ({console_note})" if console_note else "", metrics=record.metrics),
            ScoresFile(self.path / "scores.jsonl", max(progress.epoch, progress.best.get("epoch", 0))),
            ClassScoresFile(self.path / "class_scores.csv", progress.epoch),
            PredictionsTracker(self.path / "best_predictions"),
        ]
        trackers = [*own, *plugins]
        writer = BackgroundWriter()

        def save_snapshot(snapshot: Snapshot, best_weights: Mapping[str, np.ndarray] | None) -> None:
            for tracker in trackers:
                tracker.flush()
            writer.submit(lambda: self._write(snapshot, best_weights, record))

        try:
            yield ResultSinks(trackers, save_snapshot, self.log_bad_clips, self.log_bad_step, writer)
        finally:
            try:
                writer.wait()
            finally:
                for tracker in own:
                    tracker.close()

    def summary(self, progress: Progress, plugins: Sequence[PluginTracker], by_frame: bool, last_line: str) -> str:
        """A summary of the run's results, with the next commands; `plugins` are its trackers.

        What a network answers `by_frame` is shown by `detect`. `last_line` may be empty.
        """
        lines = [f"{progress.epoch} epochs done"] if progress.epoch else ["no epoch is done"]
        best, model = progress.best, self.path / "best_model"
        command = sound_command(model, by_frame)
        if best.get("epoch") and best.get("value") is None:
            lines = [f"all clips were trained on, and none chose an epoch; the model of epoch {best['epoch']}: {model}"]
            lines.append(f"  next: {command}")
        elif best.get("epoch"):
            chosen = f"best {best['metric']} {score(best['value'])} in epoch {best['epoch']}"
            lines = [f"{chosen} of {progress.epoch}: {model}"]
            lines.append(f"  next: {command}")
        else:
            lines.append(f"  no epoch had a finite {best.get('metric', 'score')}, so there is no best model")
        lines += filter(None, (tracker.summary_line(self.path) for tracker in plugins))
        bad = self.path / "bad_clips.txt"
        if count := len(reading.text_or_empty(bad).splitlines()):
            lines.append(f"  {count} clips could not be read: {bad}")
        if progress.bad_steps:
            lines.append(f"  {progress.bad_steps} steps were skipped: {self.path / 'bad_steps.txt'}")
        return "\n".join([*lines, last_line] if last_line else lines)

    def log_bad_clips(self, clips: Sequence[BadClip]) -> None:
        """Add clips that were skipped to `bad_clips.txt`, each once."""
        path = self.path / "bad_clips.txt"
        known = reading.text_or_empty(path).splitlines()
        fresh = [shown(published_text(clip.wrong.replace("\n", " "))) for clip in clips]
        storage.write_atomic(path, "".join(f"{line}\n" for line in dict.fromkeys([*known, *fresh])))

    def log_bad_step(self, line: str) -> None:
        """Add the line of a skipped step to `bad_steps.txt`, once, and print it."""
        path = self.path / "bad_steps.txt"
        known = reading.text_or_empty(path).splitlines()
        storage.write_atomic(path, "".join(f"{item}\n" for item in dict.fromkeys([*known, shown(line)])))
        console.print_main(line)

    def _write(self, snapshot: Snapshot, best_weights: Mapping[str, np.ndarray] | None, record: BundleRecord) -> None:
        self._lock.check()
        try:
            if best_weights is not None:
                filled = replace(record, epoch=snapshot.progress.epoch, scores=snapshot.progress.scores)
                write_bundle(self.path / "best_model", filled, best_weights)
            self.checkpoints.write(snapshot)
        except CannotWrite as error:
            folders = self.checkpoints.folders
            left = f"the run can resume from {folders[-1]}" if folders else "the run has no checkpoint yet"
            right = f"{left}: make room in {self.path}, and repeat the command"
            raise CannotWrite(error.wrong, right, error.command) from error


@contextmanager
def opened_run(plan: Plan) -> Iterator[tuple[RunFolder, Snapshot | None]]:
    """The folder of a run, locked within the block, and the checkpoint that it continues from, if any. Rank 0 only.

    Raises BadRunFolder, CannotWrite.
    """
    record = data_record(plan.data)
    with closing(RunFolder.open(plan.settings, record, plan.kernels.name)) as folder:
        snapshot = folder.snapshot(record, plan.lengths.run)
        history.add_start(folder.path)
        yield folder, snapshot


def _link_log(run: Path) -> None:
    """Link the launcher's log folder in the run."""
    folder, link = launcher.log_folder(), run / "log"
    if folder is not None and folder.is_dir() and (link.is_symlink() or folder.resolve() != link.resolve()):
        storage.make_link(link, os.path.relpath(folder.resolve(), run.resolve()))
