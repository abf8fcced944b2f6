"""The tracker `tensorboard` for pannsdist."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pannsdist.contracts import EpochReport, NoParams, StepReport, TestReport, TrackedRun
from pannsdist.contracts.reporting import (
    AudioExcerpt,
    Histogram,
    Picture,
    Summary,
    epoch_points,
    epoch_summaries,
    step_points,
    test_points,
    test_summaries,
)

if TYPE_CHECKING:
    from pannsdist_tensorboard.events import EventLog


class TensorBoard:
    """Curves, images, audio, histograms and hyperparameters in TensorBoard, written with tensorboardX.

    Source: https://github.com/lanpa/tensorboardX
    """

    contract = 1
    Params = NoParams
    look = "tensorboard --logdir {folder}/tensorboard"

    def __init__(self, params: NoParams) -> None:
        self.params = params

    def open(self, run: TrackedRun) -> TensorBoardTracker:
        """Start logging, or resume after `run.from_step`."""
        from pannsdist_tensorboard.events import EventLog

        return TensorBoardTracker(EventLog(run.folder / "tensorboard", run.from_step), run)


class TensorBoardTracker:
    """Writes all reports as TensorBoard events."""

    def __init__(self, log: EventLog, run: TrackedRun) -> None:
        from tensorboardX import summary

        self._log, self._run, self._make = log, run, summary
        table = {
            key: value if isinstance(value, (int, float)) else str(value) for key, value in run.hyper_parameters.items()
        }
        for made in summary.hparams(table, dict.fromkeys(run.score_names, 0)):
            log.add(made, 0, time.time())

    def steps(self, report: StepReport) -> None:
        """Write the points of training steps."""
        self._points(step_points(report), report.step)

    def epoch(self, report: EpochReport) -> None:
        """Write scores, images, audio and histograms at the epoch's last step."""
        self._points(epoch_points(report), report.step)
        self._summaries(epoch_summaries(self._run, report), report.step)

    def test(self, report: TestReport) -> None:
        """Write scores, images and audio of the test split at `report.step`."""
        self._points(test_points(report), report.step)
        self._summaries(test_summaries(self._run, report), report.step)

    def flush(self) -> None:
        """Flush all events to disk."""
        self._log.flush()

    def close(self) -> None:
        """Write remaining events and close the file."""
        self._log.close()

    def _points(self, points: dict[str, float], step: int) -> None:
        for tag, value in points.items():
            self._add(tag, self._make.scalar(tag, value), step)

    def _summaries(self, items: Iterable[Summary], step: int) -> None:
        for item in items:
            tag, made = self._summary(item)
            self._add(tag, made, step)

    def _add(self, tag: str, made: Any, step: int) -> None:
        made.value[0].tag = tag  # tensorboardX replaces characters not allowed by TensorFlow 1
        self._log.add(made, step, time.time())

    def _summary(self, item: Summary) -> tuple[str, Any]:
        """(tag, TensorBoard message); class curves become precision-recall curves, the only kind in TensorBoard."""
        if isinstance(item, Picture):
            return item.tag, self._make.image(item.tag, item.pixels, dataformats="HWC")
        if isinstance(item, AudioExcerpt):
            return item.tag, self._make.audio(item.tag, item.waveform, item.rate_hz)
        if isinstance(item, Histogram):
            middles = (item.edges[:-1] + item.edges[1:]) / 2
            moments = (item.counts.sum(), (item.counts * middles).sum(), (item.counts * middles**2).sum())
            ends = (item.edges[0], item.edges[-1])
            return item.tag, self._make.histogram_raw(item.tag, *ends, *moments, item.edges, [0, *item.counts])
        tag, counts = item.precision_recall_tag, item.counts
        return tag, self._make.pr_curve_raw(tag, *counts, item.precision, item.recall, len(item.recall))
