"""What VisualDL shows of a run: curves, pictures, sounds, hyper-parameters. Tags and costs: docs/watching.md."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import psutil
from numpy.typing import NDArray

from pannsdist.contracts import EpochReport, Heard, StepReport
from pannsdist.errors import BadClip
from pannsdist.training.metrics import Predictions, confusion, losses
from pannsdist.training.tracking.records import RecordLog

THRESHOLDS = 127  # as many as VisualDL's own curves have
BUCKETS = 40
NOT_IN_TABLE = "d_prime"
"""Infinite for a perfect model, so that the table would show the value of an earlier epoch."""


@dataclass(frozen=True)
class Watch:
    """What is to be shown, and where it comes from.

    `listen` gives a clip of the evaluated split by its id, `weights` the network's arrays by name; without them there
    is neither sound nor histogram. Every `histograms_every_epochs` epochs the latter are shown, never where that is 0.
    """

    hyper_parameters: Mapping[str, Any]
    score_names: Sequence[str]
    listen: Callable[[str], Heard] | None = None
    weights: Callable[[], Mapping[str, np.ndarray]] | None = None
    curves: Sequence[str] = ()
    worst_clips: int = 0
    histograms_every_epochs: int = 0


class VisualDLTracker:
    """Curves at every report; pictures, sounds and curves of classes at the best epochs and the last.

    A run that goes on after `from_step` keeps what was logged up to there, and nothing beyond it.
    """

    def __init__(self, folder: Path, watch: Watch, from_step: int = 0) -> None:
        from visualdl.component import base_component

        self._pack, self._watch = base_component, watch
        self._log = RecordLog(folder, from_step)
        shown = {
            key: value if isinstance(value, (int, float)) else str(value)
            for key, value in watch.hyper_parameters.items()
        }
        listed = [name for name in watch.score_names if not name.endswith(f"/{NOT_IN_TABLE}")]
        self._log.add(self._pack.hparam(folder.parent.name, shown, listed, _now_ms()))

    def steps(self, report: StepReport) -> None:
        """Points at the step's number."""
        points = {
            "loss": report.loss,
            "clips_per_s": report.pace.clips_per_s,
            "data_wait_share": report.pace.data_wait_share,
            **_memory_mib(),
        }
        for group, rate in report.learning_rates.items():
            points["learning_rate" if group == "all" else f"learning_rate/{group}"] = rate
        if report.gradient_norm is not None:
            points["gradient_norm"] = report.gradient_norm
        for name, value in points.items():
            self._scalar(f"train/{name}", value, report.step)

    def epoch(self, report: EpochReport) -> None:
        """Scores at the number of the epoch's last step."""
        for name, value in report.scores.items():
            if name != "train/loss":
                self._scalar(name, value, report.step)
        every, weights = self._watch.histograms_every_epochs, self._watch.weights
        if every and weights is not None and report.epoch % every == 0:
            self._histograms(weights(), report.step)
        is_shown = report.is_best or report.epoch == report.epochs
        if is_shown and report.predictions is not None and report.predictions.usable:
            self._show(report.predictions, report)

    def flush(self) -> None:
        """Wait for VisualDL's own thread, which appends to the file."""
        self._log.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._log.close()

    def _scalar(self, tag: str, value: float, step: int) -> None:
        """A point of a curve, if it is a number: with another VisualDL 2.5.3 hides the run in its table."""
        if math.isfinite(value):
            self._log.add(self._pack.scalar(_tag(tag), value, step, _now_ms()))

    def _image(self, tag: str, pixels: NDArray[np.uint8], step: int) -> None:
        self._log.add(self._pack.image(_tag(tag), pixels, step, _now_ms()))

    def _histograms(self, weights: Mapping[str, np.ndarray], step: int) -> None:
        for name, array in weights.items():
            numbers = array[np.isfinite(array)]
            if numbers.size:
                counts, edges = np.histogram(numbers, bins=BUCKETS)
                self._log.add(self._pack.histogram(_tag(f"weights/{name}"), counts, edges, step, _now_ms()))

    def _show(self, predictions: Predictions, report: EpochReport) -> None:
        from pannsdist.training.tracking import pictures

        if not predictions.multi_label:
            title = f"{report.split}, epoch {report.epoch}"
            picture = pictures.confusion_picture(confusion(predictions), predictions.labels, title)
            self._image(f"{report.split}/confusion_matrix", picture, report.step)
        for label in self._watch.curves:
            self._curves(predictions, label, report)
        for place, row in enumerate(worst(predictions, self._watch.worst_clips), start=1):
            self._sound(predictions, row, f"{report.split}/worst_{place}", report.step)

    def _curves(self, predictions: Predictions, label: str, report: EpochReport) -> None:
        column = predictions.labels.index(label)
        truth, probabilities = predictions.positives[:, column], predictions.probabilities[:, column]
        tags = [_tag(f"{report.split}/{kind}/{label}") for kind in ("precision_recall", "roc")]
        place = (report.step, _now_ms())
        if truth.any():
            counts, precision, recall, false_positive_rate = class_curves(truth, probabilities)
            self._log.add(self._pack.pr_curve_raw(tags[0], *counts, precision, recall, *place))
            if not truth.all():
                self._log.add(self._pack.roc_curve_raw(tags[1], *counts, recall, false_positive_rate, *place))

    def _sound(self, predictions: Predictions, row: int, tag: str, step: int) -> None:
        from pannsdist.training.tracking import pictures

        if self._watch.listen is None:
            return
        try:
            heard = self._watch.listen(predictions.ids[row])
        except BadClip as error:  # it could be read a moment ago; the run is worth more than its picture
            print(f"not shown among the worst clips: {error.wrong}", flush=True)
            return
        sound = np.clip(heard.waveform, -1.0, 1.0)
        self._log.add(self._pack.audio(_tag(tag), sound, heard.rate_hz, step, _now_ms()))
        picture = pictures.sound_picture(heard.features, description(predictions, row))
        self._image(f"{tag}_picture", picture, step)


def worst(predictions: Predictions, count: int) -> list[int]:
    """The rows of the `count` clips with the largest loss, the worst first; equal ones in the order of their ids."""
    order = sorted(range(len(predictions.ids)), key=predictions.ids.__getitem__)
    loss = losses(predictions)
    return sorted(order, key=lambda row: -loss[row])[:count]


def description(predictions: Predictions, row: int) -> str:
    """A clip in words: its id, what it is, and what it was taken for."""
    names, probabilities = predictions.labels, predictions.probabilities[row]
    true = [name for name, bears in zip(names, predictions.positives[row], strict=True) if bears]
    top = int(probabilities.argmax())
    is_, heard = ", ".join(true) or "no label", f"{names[top]} {probabilities[top]:.2f}"
    return f"{predictions.ids[row]}\nis {is_}, heard as {heard}"


def class_curves(
    truth: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> tuple[tuple[list[int], ...], list[float], list[float], list[float]]:
    """((true and false positives, true and false negatives), precision, recall, false positive rate) by threshold.

    VisualDL's own functions are not used: with numpy 1.24 or newer they fail (np.float), and their true positive rate
    is divided by the number of negatives (2.5.3). Nothing that is given the class is precise, as in scikit-learn.
    """
    thresholds = np.arange(THRESHOLDS) / (THRESHOLDS - 1)
    given = probabilities[:, None] >= thresholds
    tp, fp = (given & truth[:, None]).sum(axis=0), (given & ~truth[:, None]).sum(axis=0)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    precision = np.where(tp + fp > 0, tp / np.maximum(1, tp + fp), 1.0)
    counts = (tp.tolist(), fp.tolist(), (negatives - fp).tolist(), (positives - tp).tolist())
    return counts, precision.tolist(), (tp / positives).tolist(), (fp / max(1, negatives)).tolist()


def _memory_mib() -> dict[str, float]:
    """What this process holds of the machine's memory, and the most that it held of the GPU's where it has one."""
    found = {"memory_mib": psutil.Process().memory_info().rss / 2**20}
    if paddle.device.get_device().startswith("gpu"):
        found["gpu_memory_mib"] = paddle.device.cuda.max_memory_allocated() / 2**20
    return found


def _tag(text: str) -> str:
    """A tag as VisualDL can bear it: a percent sign would be taken for the code of a slash.

    A tag belongs to one kind of record: whatever else bore it would be shown as that kind (VisualDL 2.5.3).
    """
    return text.replace("%", "％")


def _now_ms() -> int:
    return round(time.time() * 1000)
