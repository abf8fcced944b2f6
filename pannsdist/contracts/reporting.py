"""Summaries of reports for trackers: scalars, images, audio, histograms and precision-recall and ROC curves.

Plain records, made from the reports that a tracker receives, which it only has to write in its own format. A tag is
used by one type of record only. Axes: N clips, S samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import CLASS_SCORES, Predictions, confusion, losses, most_mistaken
from pannsdist.contracts.run_plugins import EpochReport, StepReport, TestReport, TrackedRun
from pannsdist.runtime.errors import BadClip

__all__ = [
    "AudioExcerpt",
    "ClassCurve",
    "Histogram",
    "Picture",
    "Summary",
    "description",
    "epoch_points",
    "epoch_summaries",
    "step_points",
    "test_points",
    "test_summaries",
    "worst",
]

THRESHOLDS = 127  # as many as VisualDL's and TensorBoard's own curves have
BUCKETS = 40
CLASSES = 60
"""Up to so many classes have scalars of their own."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image (height, width, 3) uint8."""

    tag: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class AudioExcerpt:
    """A waveform (S,) float32 in [-1, 1] at `rate_hz`; `description` has its true and predicted labels."""

    tag: str
    waveform: NDArray[np.float32]
    rate_hz: int
    description: str


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of values between consecutive `edges` (one more than `counts`)."""

    tag: str
    counts: NDArray[np.integer]
    edges: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ClassCurve:
    """Precision-recall and ROC curves of one class against the rest; each array is (THRESHOLDS,).

    `counts` are true positives, false positives, true negatives and false negatives. Precision is 1 without positive
    predictions, as in scikit-learn. If every clip has the class, `false_positive_rate` is undefined and `roc_tag` is
    empty.
    """

    precision_recall_tag: str
    roc_tag: str
    counts: tuple[NDArray[np.integer], ...]
    precision: NDArray[np.floating]
    recall: NDArray[np.floating]
    false_positive_rate: NDArray[np.floating]


Summary = Picture | AudioExcerpt | Histogram | ClassCurve


def step_points(report: StepReport) -> dict[str, float]:
    """Scalars by tag at `report.step`: values of the report and the memory use of this process.

    Values that are not finite are left out, here as in `epoch_points`.
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
    """Scores by tag at `report.step`, without `train/loss`, which `step_points` has.

    The scores of each class are among them, such as `valid/class_f1/LABEL`, unless there are more than CLASSES.
    """
    points = {name: value for name, value in report.scores.items() if name != "train/loss"}
    for one in report.classes if len(report.classes) <= CLASSES else ():
        for name in ("support", *CLASS_SCORES):
            points[f"{report.split}/class_{name}/{one.label}"] = getattr(one, name)
    return _finite(points)


def epoch_summaries(run: TrackedRun, report: EpochReport) -> Sequence[Summary]:
    """Images, audio and curves of the best and the last epoch, and histograms, as set under `log`.

    Made once per report: all trackers of a run receive the same summaries, whose arrays are read-only. A clip that can
    no longer be read is reported on the console and left out.
    """
    return run.once(report, lambda: _read_only(_epoch_summaries(run, report)))


def _epoch_summaries(run: TrackedRun, report: EpochReport) -> Iterator[Summary]:
    every = run.histograms_every_epochs
    if every and report.epoch % every == 0:
        yield from _histograms(run)
    is_selected = report.is_best or report.epoch == report.epochs
    if is_selected and report.predictions is not None and report.predictions.usable:
        yield from _prediction_summaries(run, report, report.predictions)


def test_points(report: TestReport) -> dict[str, float]:
    """Scores of the test split by tag at `report.step`."""
    return _finite(dict(report.scores))


def test_summaries(run: TrackedRun, report: TestReport) -> Sequence[Summary]:
    """Images, audio and curves of the test split, as those of an epoch, at `report.step`."""
    predictions = report.predictions
    if predictions is None or not predictions.usable:
        return ()
    return run.once(report, lambda: _read_only(_prediction_summaries(run, report, predictions)))


def _read_only(summaries: Iterable[Summary]) -> tuple[Summary, ...]:
    """The summaries; no tracker can change an array that another one receives."""
    made = tuple(summaries)
    for summary in made:
        for value in vars(summary).values():
            for array in value if isinstance(value, tuple) else (value,):
                if isinstance(array, np.ndarray):
                    array.setflags(write=False)
    return made


def worst(predictions: Predictions, count: int) -> list[int]:
    """Rows of the `count` clips with the highest loss, highest first; ties are sorted by id."""
    order = sorted(range(len(predictions.ids)), key=predictions.ids.__getitem__)
    loss = losses(predictions)
    return sorted(order, key=lambda row: -loss[row])[:count]


def description(predictions: Predictions, row: int) -> str:
    """Caption of a clip: its id, true labels and predicted label."""
    names, probabilities = predictions.labels, predictions.probabilities[row]
    true = [name for name, is_true in zip(names, predictions.positives[row], strict=True) if is_true]
    top = int(probabilities.argmax())
    predicted = f"{names[top]} {probabilities[top]:.2f}"
    return f"{predictions.ids[row]}\ntrue: {', '.join(true) or 'no label'}, predicted: {predicted}"


def _histograms(run: TrackedRun) -> Iterator[Histogram]:
    for name, array in run.weights().items():
        numbers = array[np.isfinite(array)]
        if numbers.size:
            yield Histogram(f"weights/{name}", *np.histogram(numbers, bins=BUCKETS))


def _prediction_summaries(
    run: TrackedRun, report: EpochReport | TestReport, predictions: Predictions
) -> Iterator[Summary]:
    from pannsdist.contracts import pictures  # not at the top: it imports matplotlib

    split = report.split
    if not predictions.multi_label:
        title = f"{split}, epoch {report.epoch}"
        matrix = confusion(predictions)
        yield Picture(f"{split}/confusion_matrix", pictures.confusion_picture(matrix, predictions.labels, title))
        if len(matrix) > pictures.CARD_CLASSES:
            columns = most_mistaken(matrix, pictures.CARD_CLASSES)
            labels = [predictions.labels[column] for column in columns]
            part = matrix[np.ix_(columns, columns)]
            words = f"{title}: {len(columns)} of {len(matrix)} classes"
            yield Picture(f"{split}/most_confused", pictures.confusion_picture(part, labels, words))
    words = f"{split}, epoch {report.epoch}"
    yield Picture(f"{split}/reliability", pictures.reliability_picture(predictions, words))
    drawn = [label for label in run.curves if predictions.present[predictions.labels.index(label)]]
    if drawn:
        yield Picture(f"{split}/f1_over_threshold", pictures.thresholds_picture(predictions, drawn, words))
    for label in run.curves:
        yield from _curve(predictions, label, split)
    for place, row in enumerate(worst(predictions, run.worst_clips), start=1):
        try:
            clip = run.read_clip(predictions.ids[row])
        except BadClip as error:  # it was readable before; a missing image must not stop the run
            print(f"not shown among the worst clips: {error.wrong}", flush=True)
            continue
        tag, words = f"{split}/worst_{place}", description(predictions, row)
        duration_s = len(clip.waveform) / clip.rate_hz
        yield AudioExcerpt(tag, np.clip(clip.waveform, -1.0, 1.0), clip.rate_hz, words)
        yield Picture(f"{tag}_picture", pictures.spectrogram_picture(clip.waveform, clip.rate_hz, words))
        yield Picture(f"{tag}_features", pictures.features_picture(clip.features, duration_s, words))


def _curve(predictions: Predictions, label: str, split: str) -> Iterator[ClassCurve]:
    """The curve of a class, or nothing if no clip has the class."""
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
    """Resident memory of this process, and its peak GPU memory if it uses one."""
    import paddle  # not at the top: this module must work without Paddle
    import psutil

    found = {"train/memory_mib": psutil.Process().memory_info().rss / 2**20}
    if paddle.device.get_device().startswith("gpu"):
        found["train/gpu_memory_mib"] = paddle.device.cuda.max_memory_allocated() / 2**20
    return found
