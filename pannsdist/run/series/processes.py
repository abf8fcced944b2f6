"""Process trees, as many at once as there are slots, that are told once to stop and are always waited for."""

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

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_S = 0.2
SHOWN_LINES = 15


@dataclass(frozen=True)
class Job:
    """A command, the file that its output is added to, and a folder that nobody else may read, if it needs one."""

    name: str
    command: Sequence[str]
    log: Path
    private: Path | None = None


@dataclass(frozen=True)
class Ended:
    """A job that has come to an end: the exit code that a shell would see, and what the job said."""

    job: Job
    exit_code: int
    said: str

    @property
    def message(self) -> str:
        """The user's mistake that it ended with, else its last lines."""
        lines = self.said.splitlines()
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


class Watch(Protocol):
    """Is told what happens, between two looks at the processes."""

    def began(self, job: Job) -> None:
        """The job was started."""

    def look(self, job: Job) -> None:
        """The job is running, or has just come to its end: there may be something new in its folder."""

    def ended(self, ended: Ended) -> None:
        """The job came to its end."""


class Processes:
    """Runs jobs. Each is started in a session of its own, so that Ctrl-C reaches it through here, and once.

    `slots` are additions to the environment, one for each job that may run at the same time; `inherited` is a file
    handle that every job keeps open.
    """

    def __init__(self, slots: Sequence[Mapping[str, str]], inherited: int) -> None:
        self._slots, self._inherited = slots, inherited
        self._running: dict[int, _Started] = {}
        self._told = False
        self.stopping = False

    def stop(self) -> None:
        """Start no further job, and have those that run save and end."""
        self.stopping = True

    def run(self, jobs: Iterable[Job], watch: Watch) -> None:
        """All jobs, in their order. After a signal, or `stop`, those that run are given SIGTERM and waited for."""
        waiting = deque(jobs)
        with self._signals():
            try:
                while self._running or (waiting and not self.stopping):
                    for slot in sorted(set(range(len(self._slots))) - self._running.keys()):
                        if waiting and not self.stopping:
                            self._running[slot] = self._start(waiting.popleft(), self._slots[slot])
                            watch.began(self._running[slot].job)
                    time.sleep(POLL_S)
                    if self.stopping:
                        self._tell()
                    for slot, started in list(self._running.items()):
                        code = started.process.poll()
                        watch.look(started.job)
                        if code is not None:
                            del self._running[slot]
                            watch.ended(_ended(started, code))
            finally:
                self._tell()
                for started in self._running.values():
                    started.process.wait()

    def _start(self, job: Job, slot: Mapping[str, str]) -> _Started:
        if job.private:
            job.private.mkdir(parents=True, exist_ok=True)
            job.private.chmod(0o700)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            start = log.tell()
            process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                job.command,
                env={**os.environ, **slot},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(self._inherited,),
            )
        return _Started(job, process, start)

    def _tell(self) -> None:
        """Once for all: the launcher and a run take a second signal as they took the first."""
        if not self._told:
            self._told = True
            for started in self._running.values():
                started.process.terminate()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Note the first signal instead of dying of it; a signal that was ignored, as by nohup, stays so."""
        heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before: dict[int, Any] = {number: signal.signal(number, self._note) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _note(self, *_: object) -> None:
        self.stop()


def _ended(started: _Started, code: int) -> Ended:
    said = started.job.log.read_bytes()[started.log_start :].decode(errors="replace")
    return Ended(started.job, code if code >= 0 else 128 - code, said)
