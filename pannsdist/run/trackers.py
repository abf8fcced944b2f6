"""The trackers of a run that are plugins: opened before the first step, and given up where they fail later."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pannsdist.contracts import EpochReport, StepReport, TrackedRun, Tracker
from pannsdist.registry.building import Part
from pannsdist.runtime import console
from pannsdist.runtime.errors import BrokenPlugin, UserError


class PluginTracker:
    """A tracker that is told of everything until it fails; then it is named, and the run goes on without it.

    What it has missed is in `scores.jsonl`, and no run is lost because a place to watch it is.
    """

    def __init__(self, part: Part, tracker: Tracker) -> None:
        self._part, self._tracker = part, tracker
        self.failure = ""
        """What it failed with, and when."""

    def steps(self, report: StepReport) -> None:
        """Some more steps were made."""
        self._tell(lambda: self._tracker.steps(report), f"at step {report.step}")

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done."""
        self._tell(lambda: self._tracker.epoch(report), f"at epoch {report.epoch}")

    def flush(self) -> None:
        """A checkpoint is about to be written."""
        self._tell(self._tracker.flush, "before a checkpoint")

    def close(self) -> None:
        """The run is over; one that failed is closed too, as far as it lets itself."""
        was_given_up, self.failure = self.failure, ""
        self._tell(self._tracker.close, "at the end")
        self.failure = was_given_up or self.failure

    def remark(self, folder: Path) -> str:
        """What to type to look at the run, or from where on the tracker does not have it."""
        if self.failure:
            return f"  {self._part} failed {self.failure}; what it was not told is in {folder / 'scores.jsonl'}"
        look: str = self._part.plugin.look
        return f"        {look.replace('{folder}', str(folder))}" if look else ""

    def _tell(self, call: Callable[[], None], when: str) -> None:
        if self.failure:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
            self.failure = f"{when}: {_words(error)}"
            console.print_main(
                f"tracker {self._part} failed {self.failure}\n  it is told nothing more, and the run goes on"
            )


@contextmanager
def open_trackers(parts: Iterable[Part], run: TrackedRun) -> Iterator[list[PluginTracker]]:
    """Every tracker, open up to the end of the block. Rank 0 alone.

    Raises what one of them asks the user to mend, and BrokenPlugin where one cannot be opened for another reason.
    """
    with ExitStack() as stack:
        trackers = []
        for part in parts:
            tracker = PluginTracker(part, _open(part, run))
            stack.callback(tracker.close)
            trackers.append(tracker)
        yield trackers


def _open(part: Part, run: TrackedRun) -> Tracker:
    try:
        tracker: Tracker = part.plugin.open(run)
    except UserError:
        raise
    except Exception as error:
        wrong = f"tracker plugin '{part.entry.name}' of {part.entry.origin} cannot be opened: {_words(error)}"
        right = f"trackers.{part.entry.name}=null leaves it out"
        raise BrokenPlugin(wrong, right, f"pannsdist plugins check tracker {part.entry.name}") from error
    return tracker


def _words(error: Exception) -> str:
    """An error in a line, with the place that it comes from; a UserError by what is wrong alone."""
    if isinstance(error, UserError):
        return error.wrong
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
