"""The processes of one node in one round, watched while the node stays connected."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import Protocol

from pannsdist.run.launching.job_pool import Job, JobPool, JobResult
from pannsdist.run.launching.one_node import Relay
from pannsdist.run.nodes.membership import Report
from pannsdist.runtime.errors import EXIT_STOPPED, Stopped


@dataclass(frozen=True)
class Halted:
    """The processes are to end: at the latest at `deadline` of the monotonic clock, or when they have saved."""

    deadline: float | None


class Watch(Protocol):
    """Who decides while the processes run."""

    def turn(self) -> None:
        """Do what else is to be done; called a few times a second."""

    def halted(self) -> Halted | None:
        """Whether the processes are to end."""

    def on_stop(self) -> None:
        """Somebody stopped this node, as with Ctrl-C."""


class NodeRound(Relay):
    """Prints what the first process of this node prints, and ends the processes when the watch says so.

    After `run`, `printed` is the error that ended the first process: it stands on the terminal already.
    """

    def __init__(self, job: Job, watch: Watch) -> None:
        super().__init__(job.log.with_name("workerlog.0"))
        self._job, self._watch, self._pool = job, watch, JobPool([{}])
        self._halted: Halted | None = None
        self._stopped = self._killed = False
        self.printed = ""

    def run(self) -> Report:
        """Run the processes to their end."""
        self._pool.run([self._job], self)
        (result,) = self.results
        return self._report(result)

    def on_poll(self, job: Job) -> None:
        """Print what was added, and do what the watch says."""
        super().on_poll(job)
        self._watch.turn()
        if self._pool.stopping and not self._halted and not self._stopped:
            self._stopped = True
            self._watch.on_stop()
        if not self._halted:
            self._halted = self._watch.halted()
            if self._halted:
                self._pool.stop()
        if self._halted and self._halted.deadline and time.monotonic() > self._halted.deadline and not self._killed:
            self._killed = True
            self._pool.kill()

    def _report(self, result: JobResult) -> Report:
        culprit = result.culprit
        if culprit is None:
            is_error = result.noted is not None and not isinstance(result.noted, Stopped)
            self.printed = str(result.noted) if is_error else ""
            return Report(result.exit_code, text=self.printed)
        if culprit.code is not None and culprit.log == self._log:
            self.printed = culprit.said
        log = f"  log: {culprit.log}"
        if culprit.code is not None:
            return Report(result.exit_code, text=f"{culprit}:\n{culprit.said}\n{log}")
        if self._killed or ((self._halted or self._stopped) and culprit.signal in (None, signal.SIGTERM)):
            return Report(EXIT_STOPPED)  # it did not end by itself
        said = "" if culprit.signal or not culprit.said else f"; its last lines:\n{culprit.said}"
        return Report(result.exit_code, killed=True, text=f"{culprit}{said}\n{log}")
