"""Training output on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any, TextIO

from tqdm import tqdm

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.runtime.figures import duration, score
from pannsdist.training.metrics import absent_labels

PRINTED_SCORES = ("loss", "accuracy", "macro_f1", "mean_average_precision")
"""Printed besides the score that selects the best epoch and the metrics of the settings; `scores.jsonl` has all."""
BAR_COLUMNS = 20
MAX_LISTED_LABELS = 10
"""Absent labels that are listed by name; the rest is counted."""


def _can_return(stream: TextIO) -> bool:
    """Whether a line can be written over: on a terminal, and in a notebook."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")


class ConsoleTracker:
    """Prints a progress bar on a terminal and in a notebook, plain lines elsewhere.

    `note` is appended to each epoch's line, which has the main scores and those of `metrics`.
    """

    def __init__(self, stream: TextIO | None = None, note: str = "", metrics: Collection[str] = ()) -> None:
        self._stream, self._note = stream or sys.stdout, note
        self._printed = (*PRINTED_SCORES, *metrics)
        self._bar: Any = None
        self._absent_were_listed = False

    def steps(self, report: StepReport) -> None:
        """Step, loss, learning rate, clips per second, fraction of time spent waiting for data, times."""
        pace = report.pace
        position = f"epoch {report.epoch}  step {report.epoch_step}/{report.epoch_steps}"
        values = (
            f"loss {score(report.loss)}  lr {max(report.learning_rates.values()):.2e}  {pace.clips_per_s:.1f} clips/s"
            f"  waiting {pace.data_wait_fraction:.0%}  elapsed {duration(pace.elapsed_s)}  left {duration(pace.left_s)}"
        )
        if not _can_return(self._stream):
            print(f"{position}  {values}", file=self._stream, flush=True)
            return
        form = f"{position}  |{{bar:{BAR_COLUMNS}}}|  {values}"
        if self._bar is None:
            self._bar = tqdm(
                initial=report.epoch_step, total=report.epoch_steps, file=self._stream, leave=False, bar_format=form
            )
            return
        self._bar.n, self._bar.bar_format = report.epoch_step, form
        self._bar.refresh()

    def epoch(self, report: EpochReport) -> None:
        """One line: main scores, and whether the epoch is the best. The first call also lists labels without clips."""
        self._close_bar()
        printed = {"train/loss", report.selected, *(f"{report.split}/{name}" for name in self._printed)}
        scores = "  ".join(f"{name} {score(value)}" for name, value in report.scores.items() if name in printed)
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
