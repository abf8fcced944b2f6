"""What is told of a run: on the terminal, in VisualDL, in lines of JSON. Trackers live in rank 0."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from pannsdist import storage
from pannsdist.training.clock import Pace


@dataclass(frozen=True)
class StepReport:
    """Some steps that were made: where the run is, and means over these steps and all processes.

    `step` counts from the run's beginning, `epoch_step` from the epoch's.
    """

    epoch: int
    step: int
    epoch_step: int
    epoch_steps: int
    loss: float
    learning_rate: float
    pace: Pace


@dataclass(frozen=True)
class EpochReport:
    """An epoch that was trained, evaluated and saved. `scores` by split/metric, `train/loss` among them."""

    epoch: int
    epochs: int
    step: int
    scores: Mapping[str, float]
    selected: str
    is_best: bool
    seconds: float


class Tracker(Protocol):
    """Told of everything, in order, in rank 0 only."""

    def steps(self, report: StepReport) -> None:
        """Some more steps were made."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done."""

    def flush(self) -> None:
        """Have on disk what was told: a checkpoint is about to be written, and nothing before it is told again."""

    def close(self) -> None:
        """The run is over."""


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`, `2:03`."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class ConsoleTracker:
    """A progress bar on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO | None = None, note: str = "") -> None:
        self._stream, self._note = stream or sys.stdout, note
        self._bar: Any = None

    def steps(self, report: StepReport) -> None:
        """Loss, learning rate, speed, its share spent waiting for data, time left."""
        facts = (
            f"loss {report.loss:.4f}  lr {report.learning_rate:.2e}  {report.pace.clips_per_s:.1f} clips/s"
            f"  waiting {report.pace.data_wait_share:.0%}  left {duration(report.pace.left_s)}"
        )
        if not self._stream.isatty():
            print(
                f"epoch {report.epoch}  step {report.epoch_step}/{report.epoch_steps}  {facts}",
                file=self._stream,
                flush=True,
            )
            return
        if self._bar is None:
            self._bar = tqdm(
                total=report.epoch_steps, file=self._stream, leave=False, bar_format="{desc} {bar} {postfix}"
            )
        self._bar.n = report.epoch_step
        self._bar.set_description_str(f"epoch {report.epoch}", refresh=False)
        self._bar.set_postfix_str(facts)

    def epoch(self, report: EpochReport) -> None:
        """One line: every score, and whether it was the best."""
        self._close_bar()
        scores = "  ".join(f"{name} {value:.4f}" for name, value in report.scores.items())
        best = f"  best {report.selected}" if report.is_best else ""
        line = f"epoch {report.epoch}/{report.epochs}  {scores}  ({duration(report.seconds)}){best}{self._note}"
        print(line, file=self._stream, flush=True)

    def flush(self) -> None:
        """Each line was shown as it was said."""

    def close(self) -> None:
        """Take the bar away."""
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class VisualDLTracker:
    """Curves in VisualDL: train/loss, train/learning_rate, throughput, every score by its name; hyper-parameters."""

    def __init__(self, folder: Path, hyper_parameters: Mapping[str, Any], score_names: list[str]) -> None:
        from visualdl import LogWriter

        self._writer = LogWriter(logdir=str(folder))
        shown = {
            key: value if isinstance(value, (int, float)) else str(value) for key, value in hyper_parameters.items()
        }
        self._writer.add_hparams(hparams_dict=shown, metrics_list=score_names)

    def steps(self, report: StepReport) -> None:
        """Points at the step's number."""
        points = {
            "loss": report.loss,
            "learning_rate": report.learning_rate,
            "clips_per_s": report.pace.clips_per_s,
            "data_wait_share": report.pace.data_wait_share,
        }
        for name, value in points.items():
            self._writer.add_scalar(f"train/{name}", value, report.step)

    def epoch(self, report: EpochReport) -> None:
        """Scores at the number of the epoch's last step."""
        for name, value in report.scores.items():
            if name != "train/loss":
                self._writer.add_scalar(name, value, report.step)

    def flush(self) -> None:
        """Wait for VisualDL's own thread, which appends to the file."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()


def _epoch_of(line: str) -> float:
    """The epoch of a line; infinity for one that a crash cut off."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class ScoresFile:
    """`scores.jsonl`: one line for each epoch. Made anew up to `last_epoch`, so that no epoch stands in it twice."""

    def __init__(self, path: Path, last_epoch: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _epoch_of(line) <= last_epoch]
        storage.write_whole(path, "".join(f"{line}\n" for line in kept))

    def steps(self, report: StepReport) -> None:
        """Only epochs are written."""

    def epoch(self, report: EpochReport) -> None:
        """Epoch, step and every score; a score that is no number is null."""
        scores = {name: value if math.isfinite(value) else None for name, value in report.scores.items()}
        record = {"epoch": report.epoch, "step": report.step, **scores, "seconds": round(report.seconds, 3)}
        storage.append_line(self._path, json.dumps(record))

    def flush(self) -> None:
        """Each line was closed as it was written."""

    def close(self) -> None:
        """Each line was closed as it was written."""
