"""What is worth showing of a run, for trackers: points, pictures, sounds, histograms and curves of classes.

Plain records, made from the reports that a tracker is told, so that a tracker only has to write them in its own format.
A tag belongs to one kind of record. Axes: N clips, S samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions, confusion, losses
from pannsdist.contracts.running import EpochReport, StepReport, TrackedRun
from pannsdist.runtime.errors import BadClip

__all__ = [
    "AudioExcerpt",
    "ClassCurve",
    "Histogram",
    "Picture",
    "Shown",
    "description",
    "epoch_points",
    "shown",
    "step_points",
    "worst",
]

THRESHOLDS = 127  # as many as VisualDL's and TensorBoard's own curves have
BUCKETS = 40


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture (height, width, 3) uint8."""

    tag: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class AudioExcerpt:
    """A waveform (S,) float32 in [-1, 1] at `rate_hz`, and in words what it is and what it was taken for."""

    tag: str
    waveform: NDArray[np.float32]
    rate_hz: int
    description: str


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often values lie between two `edges`, of which there is one more than there are `counts`."""

    tag: str
    counts: NDArray[np.integer]
    edges: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ClassCurve:
    """How well one class is told from the rest, at as many thresholds of its probability: each (THRESHOLDS,).

    `counts` are true positives, false positives, true negatives and false negatives. What gives the class to no clip
    is precise, as in scikit-learn. Where every clip bears the class, `false_positive_rate` says nothing, and `roc_tag`
    is empty.
    """

    precision_recall_tag: str
    roc_tag: str
    counts: tuple[NDArray[np.integer], ...]
    precision: NDArray[np.floating]
    recall: NDArray[np.floating]
    false_positive_rate: NDArray[np.floating]


Shown = Picture | AudioExcerpt | Histogram | ClassCurve


def step_points(report: StepReport) -> dict[str, float]:
    """Points by tag, for the number of the step; beside what is reported, what this process holds of memory.

    What is no number is left out, here as in `epoch_points`.
    """
    points = {
        "train/loss": report.loss,
        "train/clips_per_s": report.pace.clips_per_s,
        "train/data_wait_fraction": report.pace.data_wait_fraction,
        **_memory_mib(),
    }
    for group, rate in report.learning_rates.items():
        points["train/learning_rate" if group == "all" else f"train/learning_rate/{group}"] = rate
    if report.gradient_norm is not None:
        points["train/gradient_norm"] = report.gradient_norm
    return _finite(points)


def epoch_points(report: EpochReport) -> dict[str, float]:
    """Scores by tag, for the number of the epoch's last step; `train/loss` is a curve of its own already."""
    return _finite({name: value for name, value in report.scores.items() if name != "train/loss"})


def shown(run: TrackedRun, report: EpochReport) -> Iterator[Shown]:
    """What else an epoch shows, as the settings under `log` ask: at the best epochs and the last, and histograms.

    A clip that can no longer be read is named on the terminal, and left out.
    """
    every = run.histograms_every_epochs
    if every and report.epoch % every == 0:
        yield from _histograms(run)
    is_shown = report.is_best or report.epoch == report.epochs
    if is_shown and report.predictions is not None and report.predictions.usable:
        yield from _answers(run, report, report.predictions)


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


def _histograms(run: TrackedRun) -> Iterator[Histogram]:
    for name, array in run.weights().items():
        numbers = array[np.isfinite(array)]
        if numbers.size:
            yield Histogram(f"weights/{name}", *np.histogram(numbers, bins=BUCKETS))


def _answers(run: TrackedRun, report: EpochReport, predictions: Predictions) -> Iterator[Shown]:
    from pannsdist.contracts import pictures  # not above: it takes matplotlib

    split = report.split
    if not predictions.multi_label:
        title = f"{split}, epoch {report.epoch}"
        matrix = confusion(predictions)
        yield Picture(f"{split}/confusion_matrix", pictures.confusion_picture(matrix, predictions.labels, title))
    for label in run.curves:
        yield from _curve(predictions, label, split)
    for place, row in enumerate(worst(predictions, run.worst_clips), start=1):
        try:
            heard = run.read_clip(predictions.ids[row])
        except BadClip as error:  # it could be read a moment ago; the run is worth more than its picture
            print(f"not shown among the worst clips: {error.wrong}", flush=True)
            continue
        tag, words = f"{split}/worst_{place}", description(predictions, row)
        yield AudioExcerpt(tag, np.clip(heard.waveform, -1.0, 1.0), heard.rate_hz, words)
        yield Picture(f"{tag}_picture", pictures.sound_picture(heard.features, words))


def _curve(predictions: Predictions, label: str, split: str) -> Iterator[ClassCurve]:
    """The curve of a class that a clip bears."""
    column = predictions.labels.index(label)
    truth, probabilities = predictions.positives[:, column], predictions.probabilities[:, column]
    if not truth.any():
        return
    thresholds = np.arange(THRESHOLDS) / (THRESHOLDS - 1)
    given = probabilities[:, None] >= thresholds
    tp, fp = (given & truth[:, None]).sum(axis=0), (given & ~truth[:, None]).sum(axis=0)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    yield ClassCurve(
        f"{split}/precision_recall/{label}",
        f"{split}/roc/{label}" if negatives else "",
        (tp, fp, negatives - fp, positives - tp),
        np.where(tp + fp > 0, tp / np.maximum(1, tp + fp), 1.0),
        tp / positives,
        fp / max(1, negatives),
    )


def _finite(points: dict[str, float]) -> dict[str, float]:
    return {tag: float(value) for tag, value in points.items() if math.isfinite(value)}


def _memory_mib() -> dict[str, float]:
    """What this process holds of the machine's memory, and the most that it held of the GPU's where it has one."""
    import paddle  # not above: this room is open to what needs no Paddle
    import psutil

    found = {"train/memory_mib": psutil.Process().memory_info().rss / 2**20}
    if paddle.device.get_device().startswith("gpu"):
        found["train/gpu_memory_mib"] = paddle.device.cuda.max_memory_allocated() / 2**20
    return found
