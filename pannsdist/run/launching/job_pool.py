"""A pool of jobs in subprocesses: limited concurrency, one SIGTERM to stop, and always waiting for their end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pannsdist.run.launching import process_tree
from pannsdist.run.launching.command import make_log_folder
from pannsdist.run.launching.ranks import Culprit, Ranks, as_shell, message
from pannsdist.runtime import exit_codes, launcher_logs, reading, signals, storage
from pannsdist.runtime.errors import CannotRead, UserError
from pannsdist.runtime.folder_lock import FolderLock

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_S = 0.2


@dataclass(frozen=True)
class Job:
    """A command, the log file its output is appended to, and its environment variables beside those of the slot.

    With `private`, the folder of the launcher's logs, it is a command of Paddle's launcher with so many `processes`:
    the folder is made accessible to the owner only, and the exit code is that of the processes. `first_rank` is the
    rank of the first of them, above 0 on a node of several. A `tied` job gets SIGTERM when this process is killed.
    `behind_s` is added to the times of what the processes print: of several nodes one clock is used.
    """

    name: str
    command: Sequence[str]
    log: Path
    private: Path | None = None
    processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    first_rank: int = 0
    tied: bool = False
    behind_s: float = 0.0


@dataclass(frozen=True)
class JobResult:
    """The result of a job: its exit code as in a shell, and its output.

    Of one in several processes also the process that failed, and the error that rank 0 noted.
    """

    job: Job
    exit_code: int
    output: str
    culprit: Culprit | None = None
    noted: UserError | None = None

    @property
    def message(self) -> str:
        """Its last error message, or its last lines of output; of a process other than rank 0 with the rank."""
        if self.culprit is None or not self.culprit.said:
            return message(self.output)
        if self.culprit.rank == 0 and self.culprit.code is not None:
            return self.culprit.said
        return "\n".join([str(self.culprit), *self.culprit.lines()])


@dataclass(frozen=True)
class _Started:
    job: Job
    process: subprocess.Popen[bytes]
    log_start: int
    ranks: Ranks | None
    lock: FolderLock | None

    def release(self) -> None:
        """Give the log folder back. A tied job keeps it until this process ends: another start may follow."""
        if self.lock and not self.job.tied:
            self.lock.close()


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

    `slots` are extra environment variables, one mapping per concurrent job; `inherited` are file descriptors that every
    job inherits.
    """

    def __init__(self, slots: Sequence[Mapping[str, str]], *inherited: int) -> None:
        self._slots, self._inherited = slots, inherited
        self._running: dict[int, _Started] = {}
        self._terminated = False
        self.stopping = False

    def stop(self) -> None:
        """Start no more jobs, and terminate running ones so that they save and exit."""
        self.stopping = True

    def kill(self) -> None:
        """Kill running jobs and all that they started: they get no time to save."""
        for started in self._running.values():
            process_tree.kill_descendants(started.process.pid)
            started.process.kill()

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
                        if started.ranks:
                            started.ranks.note_times(time.time() + started.job.behind_s)
                        if code is not None:
                            del self._running[slot]
                            started.release()
                            observer.on_end(_result(started, code))
            finally:
                self._terminate()
                for started in self._running.values():
                    started.process.wait()

    def _start(self, job: Job, slot: Mapping[str, str]) -> _Started:
        if job.private:
            make_log_folder(job.private)
        storage.make_folder(job.log.parent)
        environment = {**os.environ, **slot, **job.environment}
        ranks = lock = None
        if job.private:
            environment |= {launcher_logs.UMASK: f"{_umask():o}", exit_codes.FOLDER: str(job.private.resolve())}
            lock = FolderLock.acquire(job.private)
            ranks = Ranks(job.private, job.processes, job.first_rank)
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
                pass_fds=self._inherited,
                preexec_fn=process_tree.end_with_parent if job.tied else None,  # noqa: PLW1509 - it calls libc alone
            )
        return _Started(job, process, start, ranks, lock)

    def _terminate(self) -> None:
        """Send SIGTERM once: a second one would interrupt the saving of a checkpoint."""
        if not self._terminated:
            self._terminated = True
            for started in self._running.values():
                started.process.terminate()

    def _signals(self) -> AbstractContextManager[None]:
        """Stop the pool on a signal instead of exiting; a signal ignored before, as with nohup, stays ignored."""
        numbers = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        return signals.handled(numbers, self._on_signal)

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
    if started.ranks is None:
        return JobResult(started.job, as_shell(code), output)
    ranks = started.ranks
    return JobResult(started.job, ranks.true_code(code), output, ranks.culprit(output), ranks.error(0))
