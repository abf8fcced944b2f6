"""Tracker that writes VisualDL records. Tags and costs: docs/en/tracking.md."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pannsdist.builtin.visualdl.records import RecordLog
from pannsdist.contracts import EpochReport, StepReport, TestReport, TrackedRun
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

NOT_IN_TABLE = "d_prime"
"""Infinite for a perfect model; the table would then show the value of an earlier epoch."""


class VisualDLTracker:
    """Logs scalars at every report; images, audio and class curves at the best epochs and the last.

    A resumed run keeps the records up to `run.from_step`.
    """

    def __init__(self, folder: Path, run: TrackedRun) -> None:
        from visualdl.component import base_component

        self._pack, self._run = base_component, run
        self._log = RecordLog(folder, run.from_step)
        table = {  # VisualDL 2.5.3 refuses a bool
            key: value if type(value) in (int, float) else str(value) for key, value in run.hyper_parameters.items()
        }
        listed = [name for name in run.score_names if not name.endswith(f"/{NOT_IN_TABLE}")]
        self._log.add(self._pack.hparam(run.folder.name, table, listed, _now_ms()))

    def steps(self, report: StepReport) -> None:
        """Log scalars at `report.step`."""
        for tag, value in step_points(report).items():
            self._log.add(self._pack.scalar(_tag(tag), value, report.step, _now_ms()))

    def epoch(self, report: EpochReport) -> None:
        """Log scores and summaries at `report.step`."""
        self._add(epoch_points(report), epoch_summaries(self._run, report), report.step)

    def test(self, report: TestReport) -> None:
        """Log scores and summaries of the test split at `report.step`."""
        self._add(test_points(report), test_summaries(self._run, report), report.step)

    def flush(self) -> None:
        """Wait for VisualDL's writer thread."""
        self._log.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._log.close()

    def _add(self, points: Mapping[str, float], summaries: Iterable[Summary], step: int) -> None:
        for tag, value in points.items():
            self._log.add(self._pack.scalar(_tag(tag), value, step, _now_ms()))
        for item in summaries:
            for record in self._records(item, (step, _now_ms())):
                self._log.add(record)

    def _records(self, item: Summary, place: tuple[int, int]) -> list[Any]:
        """VisualDL records of one summary; `place` is the step and the time.

        VisualDL's own curve functions are not used: they fail with numpy 1.24 or newer (np.float), and divide the true
        positive rate by the number of negatives (2.5.3).
        """
        if isinstance(item, Picture):
            return [self._pack.image(_tag(item.tag), item.pixels, *place)]
        if isinstance(item, AudioExcerpt):
            return [self._pack.audio(_tag(item.tag), item.waveform, item.rate_hz, *place)]
        if isinstance(item, Histogram):
            return [self._pack.histogram(_tag(item.tag), item.counts, item.edges, *place)]
        counts = [count.tolist() for count in item.counts]
        recall, false_positive_rate = item.recall.tolist(), item.false_positive_rate.tolist()
        tag, roc_tag = _tag(item.precision_recall_tag), _tag(item.roc_tag)
        records = [self._pack.pr_curve_raw(tag, *counts, item.precision.tolist(), recall, *place)]
        if roc_tag:
            records.append(self._pack.roc_curve_raw(roc_tag, *counts, recall, false_positive_rate, *place))
        return records


def _tag(text: str) -> str:
    """A tag escaped for VisualDL, which would decode a percent sign as part of a slash.

    A tag must be used by one type of record only: others would be displayed as that type (VisualDL 2.5.3).
    """
    return text.replace("%", "％")


def _now_ms() -> int:
    return round(time.time() * 1000)
