"""Tracker plugins of a run: opened before the first step, and disabled after a failure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pannsdist.contracts import EpochReport, StepReport, TestReport, TrackedRun, Tracker
from pannsdist.registry.building import Part
from pannsdist.runtime import console
from pannsdist.runtime.errors import BrokenPlugin, UserError, shell_command
from pannsdist.runtime.foreign import OF_THIS_PROCESS


class PluginTracker:
    """Passes all reports to a tracker until it fails; then it is disabled, and the run continues without it.

    Scores it has missed are in `scores.jsonl`, so a failing tracker must not end a run.
    """

    def __init__(self, part: Part, tracker: Tracker) -> None:
        self._part, self._tracker = part, tracker
        self.failure = ""
        """The error and the time of the failure; empty if there was none."""

    def steps(self, report: StepReport) -> None:
        """Report training steps."""
        self._call(lambda: self._tracker.steps(report), f"at step {report.step}")

    def epoch(self, report: EpochReport) -> None:
        """Report a finished epoch."""
        self._call(lambda: self._tracker.epoch(report), f"at epoch {report.epoch}")

    def test(self, report: TestReport) -> None:
        """Report the test split, to a tracker that has a method for it."""
        test = getattr(self._tracker, "test", None)
        if test is not None:
            self._call(lambda: test(report), "at the test split")

    def flush(self) -> None:
        """Flush to disk, called before a checkpoint is written."""
        self._call(self._tracker.flush, "before a checkpoint")

    def close(self) -> None:
        """Close the tracker, also after a failure."""
        earlier, self.failure = self.failure, ""
        self._call(self._tracker.close, "at the end")
        self.failure = earlier or self.failure

    def summary_line(self, folder: Path) -> str:
        """The command to view the run, or the failure; empty if there is neither."""
        if self.failure:
            return f"  {self._part} failed {self.failure}; later scores are in {folder / 'scores.jsonl'}"
        look: str = self._part.plugin.look
        return f"        {look.replace('{folder}', shell_command(folder))}" if look else ""

    def _call(self, call: Callable[[], None], when: str) -> None:
        if self.failure:
            return
        try:
            call()
        except OF_THIS_PROCESS:
            raise
        except BaseException as error:  # noqa: BLE001 - third-party code may raise anything
            self.failure = f"{when}: {_words(error)}"
            console.print_main(f"tracker {self._part} failed {self.failure}\n  it is disabled, and the run continues")


@contextmanager
def open_trackers(parts: Iterable[Part], run: TrackedRun) -> Iterator[list[PluginTracker]]:
    """Open all trackers, and close them at the end of the block. Rank 0 only.

    Raises the UserError of a tracker, and BrokenPlugin for any other error while opening one.
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
    except (UserError, *OF_THIS_PROCESS):
        raise
    except BaseException as error:
        wrong = f"tracker plugin '{part.entry.name}' of {part.entry.origin} cannot be opened: {_words(error)}"
        right = f"trackers.{part.entry.name}=null disables it"
        raise BrokenPlugin(
            wrong, right, shell_command("pannsdist", "plugins", "check", "tracker", part.entry.name)
        ) from error
    return tracker


def _words(error: BaseException) -> str:
    """An error in one line, with its source location unless it is a UserError."""
    if isinstance(error, UserError):
        return error.wrong
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
