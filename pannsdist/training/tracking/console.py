"""Training output on the terminal."""

from __future__ import annotations

import math
import sys
from typing import Any, TextIO

from tqdm import tqdm

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.training.metrics import absent_labels

PRINTED_SCORES = ("loss", "accuracy", "macro_f1", "mean_average_precision")
"""Printed besides the score that selects the best epoch; `scores.jsonl` has all of them."""
MAX_LISTED_LABELS = 10
"""Absent labels that are listed by name; the rest is counted."""


def duration(seconds: float) -> str:
    """Format as hours, minutes and seconds: `1:02:03`, `2:03`; `?` if not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class ConsoleTracker:
    """Prints a progress bar on a terminal, plain lines elsewhere. `note` is appended to each epoch's line."""

    def __init__(self, stream: TextIO | None = None, note: str = "") -> None:
        self._stream, self._note = stream or sys.stdout, note
        self._bar: Any = None
        self._absent_were_listed = False

    def steps(self, report: StepReport) -> None:
        """Loss, learning rate, clips per second, fraction of time spent waiting for data, remaining time."""
        rate = max(report.learning_rates.values())
        values = (
            f"loss {report.loss:.4f}  lr {rate:.2e}  {report.pace.clips_per_s:.1f} clips/s"
            f"  waiting {report.pace.data_wait_fraction:.0%}  left {duration(report.pace.left_s)}"
        )
        if not self._stream.isatty():
            print(
                f"epoch {report.epoch}  step {report.epoch_step}/{report.epoch_steps}  {values}",
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
        self._bar.set_postfix_str(values)

    def epoch(self, report: EpochReport) -> None:
        """One line: main scores, and whether the epoch is the best. The first call also lists labels without clips."""
        self._close_bar()
        printed = {"train/loss", report.selected, *(f"{report.split}/{name}" for name in PRINTED_SCORES)}
        scores = "  ".join(f"{name} {value:.4f}" for name, value in report.scores.items() if name in printed)
        best = f"  best {report.selected}" if report.is_best and report.selected in report.scores else ""
        line = f"epoch {report.epoch}/{report.epochs}  {scores}  ({duration(report.seconds)}){best}{self._note}"
        print(line, file=self._stream, flush=True)
        if report.predictions is not None and not self._absent_were_listed:
            self._absent_were_listed = True
            self._list_absent(absent_labels(report.predictions), report.split)

    def _list_absent(self, absent: tuple[str, ...], split: str) -> None:
        if absent:
            listed = ", ".join(absent[:MAX_LISTED_LABELS]) + (
                f" and {len(absent) - MAX_LISTED_LABELS} more" if len(absent) > MAX_LISTED_LABELS else ""
            )
            print(
                f"labels without clips in {split}: {listed}; excluded from macro averages",
                file=self._stream,
                flush=True,
            )

    def flush(self) -> None:
        """Nothing to do: each line is flushed when printed."""

    def close(self) -> None:
        """Remove the progress bar."""
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
