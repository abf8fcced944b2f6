"""What a run says on the terminal."""

from __future__ import annotations

import math
import sys
from typing import Any, TextIO

from tqdm import tqdm

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.training.metrics import absent_labels

SAID = ("loss", "accuracy", "macro_f1", "mean_average_precision")
"""Of all scores these are said, and the one that selects; every one is in `scores.jsonl`."""
NAMED = 10
"""Absent labels that are named before the rest is counted."""


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
        self._absent_were_named = False

    def steps(self, report: StepReport) -> None:
        """Loss, learning rate, speed, its share spent waiting for data, time left."""
        rate = max(report.learning_rates.values())
        facts = (
            f"loss {report.loss:.4f}  lr {rate:.2e}  {report.pace.clips_per_s:.1f} clips/s"
            f"  waiting {report.pace.data_wait_fraction:.0%}  left {duration(report.pace.left_s)}"
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
        """One line: the scores that are said, and whether it was the best. At the first, which labels no clip bears."""
        self._close_bar()
        said = {"train/loss", report.selected, *(f"{report.split}/{name}" for name in SAID)}
        scores = "  ".join(f"{name} {value:.4f}" for name, value in report.scores.items() if name in said)
        best = f"  best {report.selected}" if report.is_best else ""
        line = f"epoch {report.epoch}/{report.epochs}  {scores}  ({duration(report.seconds)}){best}{self._note}"
        print(line, file=self._stream, flush=True)
        if report.predictions is not None and not self._absent_were_named:
            self._absent_were_named = True
            self._name_absent(absent_labels(report.predictions), report.split)

    def _name_absent(self, absent: tuple[str, ...], split: str) -> None:
        if absent:
            named = ", ".join(absent[:NAMED]) + (f" and {len(absent) - NAMED} more" if len(absent) > NAMED else "")
            print(
                f"no clip of {split} bears {named}: left out of every mean over classes", file=self._stream, flush=True
            )

    def flush(self) -> None:
        """Each line was shown as it was said."""

    def close(self) -> None:
        """Take the bar away."""
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
