"""Resuming a run whose data has changed: refused with what changed, or continued deliberately."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pannsdist.run.data_record import DATA_FILE, Changes, DataRecord, changes, read_data_record
from pannsdist.runtime.errors import BadRunFolder, shell_command
from pannsdist.training.run_length import RunLength
from pannsdist.training.state import Snapshot, at_epoch_start

KEY = "data.on_change"
STOP, CONTINUE = "stop", "continue"
ANOTHER_RUN = "to train on the data of now from the start, give the run another name, as name=NAME"


@dataclass(frozen=True)
class ResumedData:
    """The data of a run in `folder` that resumes: the record of now, the lengths, and the setting `data.on_change`."""

    folder: Path
    record: DataRecord
    length: RunLength
    on_change: str

    def resolved(self, snapshot: Snapshot, known_digest: str) -> tuple[Snapshot, str]:
        """(the state to go on from, a line that says what changed; empty if nothing did). Rank 0 only.

        `known_digest` is that of the snapshot's data. Raises BadRunFolder if the data of now differ, unless the setting
        says to continue and there is something left to train.
        """
        if known_digest == self.record.digest:
            return snapshot, ""
        found = found_changes(self.folder, self.record, known_digest)
        if self.on_change == STOP:
            raise refusal(self.folder, found, f"the checkpoint {self._position(snapshot)}")
        moved = at_epoch_start(snapshot, self.length.steps, found.is_comparable)
        if self.length.has_finished(moved.progress):
            right = f"{ANOTHER_RUN}; or more epochs than {self.length.epochs}, as train.epochs=N"
            wrong = f"the run in {self.folder} is finished, and its data has changed since"
            raise BadRunFolder(wrong, "\n".join([*found.lines, right]))
        best = "" if found.is_comparable else "; the best score so far is forgotten, since it is of other clips"
        start = f"the run goes on at the start of epoch {moved.progress.epoch + 1}"
        start += f", with the weights of the checkpoint {self._position(snapshot)}{best}"
        return moved, "\n".join(["the data has changed:", *(f"  {line}" for line in found.lines), f"  {start}"])

    def _position(self, snapshot: Snapshot) -> str:
        """Where the snapshot was taken, in epochs of the data that it was trained on."""
        progress = snapshot.progress
        length = replace(self.length, steps=progress.epoch_steps or self.length.steps)
        return length.position(progress.step, progress.evaluated_step)


def found_changes(folder: Path, record: DataRecord, known_digest: str | None = None) -> Changes:
    """What changed since the record in the run's folder; without one that has the digest, it is not known."""
    known = read_data_record(folder / DATA_FILE)
    if known is None or known_digest not in (None, known[1]):
        return unknown_changes(folder)
    return changes(known[0], record)


def unknown_changes(folder: Path) -> Changes:
    """The changes of a run whose folder has no record of the data of its checkpoint."""
    return Changes((f"what changed is not known: {folder / DATA_FILE} is missing or of other data",), False)


def refuse_changed_data(folder: Path, record: DataRecord, on_change: str) -> None:
    """Raise BadRunFolder where the data of the run in a folder has changed, unless the setting says to continue."""
    known = read_data_record(folder / DATA_FILE)
    if known is not None and known[1] != record.digest and on_change == STOP:
        raise refusal(folder, changes(known[0], record), "its last checkpoint")


def refusal(folder: Path, found: Changes, since: str) -> BadRunFolder:
    """The error for a run whose data has changed since a checkpoint."""
    wrong = f"the data has changed since {since} of the run in {folder}"
    meaning = (
        f"to go on deliberately, set {KEY}={CONTINUE}: it keeps the weights and the optimizer of that checkpoint, "
    )
    meaning += "and starts its epoch again,\nin the order of the data of now"
    if not found.is_comparable:
        meaning += "; the best score so far is forgotten, since it is of other clips, and best_model is replaced"
    return BadRunFolder(wrong, "\n".join([*found.lines, ANOTHER_RUN, meaning]), shell_command("ls", "-l", folder))
