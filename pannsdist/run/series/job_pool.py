"""A pool of jobs in subprocesses: limited concurrency, one SIGTERM to stop, and always waiting for their end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pannsdist.runtime import launcher_logs, reading, storage
from pannsdist.runtime.errors import CannotRead

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_S = 0.2
SHOWN_LINES = 15


@dataclass(frozen=True)
class Job:
    """A command, the log file its output is appended to, and a folder to make accessible to the owner only, if any."""

    name: str
    command: Sequence[str]
    log: Path
    private: Path | None = None


@dataclass(frozen=True)
class JobResult:
    """The result of a job: its exit code as in a shell, and its output."""

    job: Job
    exit_code: int
    output: str

    @property
    def message(self) -> str:
        """Its last error message, or its last lines of output."""
        lines = self.output.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        if not starts:
            return "\n".join(lines[-SHOWN_LINES:])
        message = [lines[starts[-1]].removeprefix("error: ")]
        for line in lines[starts[-1] + 1 :]:
            if not line.startswith("  "):
                break
            message.append(line)
        return "\n".join(message)


@dataclass(frozen=True)
class _Started:
    job: Job
    process: subprocess.Popen[bytes]
    log_start: int


class JobObserver(Protocol):
    """Callbacks of the pool."""

    def on_start(self, job: Job) -> None:
        """The job was started."""

    def on_poll(self, job: Job) -> None:
        """Called periodically while the job runs, and once after it has ended."""

    def on_end(self, result: JobResult) -> None:
        """The job has ended."""


class JobPool:
    """Runs jobs, each in its own session, so that Ctrl-C reaches it only through the pool, and only once.

    `slots` are extra environment variables, one mapping per concurrent job; `inherited` is a file descriptor that every
    job inherits.
    """

    def __init__(self, slots: Sequence[Mapping[str, str]], inherited: int) -> None:
        self._slots, self._inherited = slots, inherited
        self._running: dict[int, _Started] = {}
        self._terminated = False
        self.stopping = False

    def stop(self) -> None:
        """Start no more jobs, and terminate running ones so that they save and exit."""
        self.stopping = True

    def run(self, jobs: Iterable[Job], observer: JobObserver) -> None:
        """Run all jobs in order. After a signal or `stop`, running jobs get SIGTERM and are waited for."""
        waiting = deque(jobs)
        with self._signals():
            try:
                while self._running or (waiting and not self.stopping):
                    for slot in sorted(set(range(len(self._slots))) - self._running.keys()):
                        if waiting and not self.stopping:
                            self._running[slot] = self._start(waiting.popleft(), self._slots[slot])
                            observer.on_start(self._running[slot].job)
                    time.sleep(POLL_S)
                    if self.stopping:
                        self._terminate()
                    for slot, started in list(self._running.items()):
                        code = started.process.poll()
                        observer.on_poll(started.job)
                        if code is not None:
                            del self._running[slot]
                            observer.on_end(_result(started, code))
            finally:
                self._terminate()
                for started in self._running.values():
                    started.process.wait()

    def _start(self, job: Job, slot: Mapping[str, str]) -> _Started:
        if job.private:
            storage.make_folder(job.private, private=True)
        storage.make_folder(job.log.parent)
        environment = {**os.environ, **slot}
        if job.private:
            environment[launcher_logs.UMASK] = f"{_umask():o}"
        with storage.opened(job.log, "ab") as log:
            start = log.tell()
            process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                job.command,
                env=environment,
                umask=0o077 if job.private else -1,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(self._inherited,),
            )
        return _Started(job, process, start)

    def _terminate(self) -> None:
        """Send SIGTERM once: a second one would interrupt the saving of a checkpoint."""
        if not self._terminated:
            self._terminated = True
            for started in self._running.values():
                started.process.terminate()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop the pool on a signal instead of exiting; a signal ignored before, as with nohup, stays ignored."""
        handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before: dict[int, Any] = {number: signal.signal(number, self._on_signal) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _on_signal(self, *_: object) -> None:
        self.stop()


def _umask() -> int:
    """The umask of this process, which can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _result(started: _Started, code: int) -> JobResult:
    try:
        output = reading.bytes_or_empty(started.job.log)[started.log_start :].decode(errors="replace")
    except CannotRead as error:  # the exit code is known all the same
        output = f"error: {error}"
    return JobResult(started.job, code if code >= 0 else 128 - code, output)
