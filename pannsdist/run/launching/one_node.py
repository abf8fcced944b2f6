"""A run in several processes on this machine: Paddle's launcher, watched, with rank 0's lines on the terminal."""

from __future__ import annotations

import sys
import textwrap
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.run.launching.command import LOG_FOLDER, make_log_folder, training_command
from pannsdist.run.launching.devices import Devices
from pannsdist.run.launching.job_pool import Job, JobPool, JobResult
from pannsdist.run.launching.ranks import NOISE, message
from pannsdist.runtime import launcher
from pannsdist.runtime.errors import EXIT_STOPPED, PeerLost, SettingsError, Stopped, UserError, shell_command
from pannsdist.runtime.folder_lock import refuse_held

LAUNCHER_LOG = "launcher.log"
LAST_LINES = 50
CONTINUE = "the same command continues from the last checkpoint, if there is one"


@dataclass(frozen=True)
class Start:
    """A run to start: its settings, its folder, its processes, and the command that the user typed."""

    config: Path
    overrides: Sequence[str]
    folder: Path
    devices: Devices
    command_line: str

    @property
    def log_folder(self) -> Path:
        """The folder of the launcher's files, private to the user: they hold the environment."""
        return self.folder / LOG_FOLDER

    @property
    def line(self) -> str:
        """The processes, what chose them, and where their output is."""
        return f"{self.devices}{f'; logs: {self.log_folder}' if self.devices.processes > 1 else ''}"

    @property
    def command(self) -> str:
        """What is run, to be typed."""
        return shell_command(*self.job.command)

    @property
    def job(self) -> Job:
        """The launcher's command; what it prints itself goes to a file in the log folder."""
        processes = self.devices.processes
        command = training_command(self.config, self.overrides, processes, self.log_folder)
        typed = {launcher.COMMAND: self.command_line}
        return Job("run", command, self.log_folder / LAUNCHER_LOG, self.log_folder, processes, typed)


def refuse_launcher() -> None:
    """Raise SettingsError in a process of Paddle's launcher, which a command that starts it must not be."""
    if launcher.size() > 1:
        wrong = "this command was started by Paddle's launcher, but it starts the launcher itself"
        raise SettingsError(wrong, "start it directly, with --nproc for the number of processes")


@dataclass(frozen=True)
class Ending:
    """How the processes ended: the exit code of the run, what rank 0 printed last, and what the terminal lacks."""

    exit_code: int
    printed: str
    unsaid: UserError | None

    @property
    def error(self) -> UserError | None:
        """The exception for the caller in Python; None after a run that is finished."""
        if self.exit_code == 0 or isinstance(self.unsaid, Stopped):
            return self.unsaid
        if self.unsaid is not None:
            kind = PeerLost if self.exit_code == EXIT_STOPPED else UserError
            return kind(self.unsaid.wrong, self.unsaid.right, self.unsaid.command)
        if self.exit_code == EXIT_STOPPED:
            stops = [line for line in self.printed.splitlines() if line.startswith("stopped ")]
            return Stopped(stops[-1] if stops else "stopped, as requested", CONTINUE)
        wrong, _, right = message(self.printed).partition("\n")
        return UserError(wrong, textwrap.dedent(right))


def launch(start: Start) -> int:
    """Run the processes to their end, print what their own lines do not say, and return the exit code of the run."""
    ending = run_to_end(start)
    if isinstance(ending.unsaid, Stopped):
        print(ending.unsaid)
    elif ending.unsaid is not None:
        print(f"error: {ending.unsaid}", file=sys.stderr, flush=True)
    return ending.exit_code


def run_to_end(start: Start) -> Ending:
    """Run the processes to their end, with the lines of rank 0 on the terminal.

    SIGINT, SIGTERM and SIGHUP stop them, once: they save, and end with 75. Where a process other than rank 0 failed,
    the ending has its last lines. Raises BadRunFolder if another run has the folder.
    """
    refuse_held(start.folder)  # its logs are not to be touched
    make_log_folder(start.log_folder)
    relay, pool = Relay(start.log_folder / "workerlog.0"), JobPool([{}])
    pool.run([start.job], relay)
    (result,) = relay.results
    lost = result.culprit is not None and result.culprit.code is None
    if pool.stopping and lost:
        stopped = Stopped("stopped before the run could be saved", CONTINUE, start.command_line)
        return Ending(EXIT_STOPPED, relay.printed, stopped)
    return Ending(result.exit_code, relay.printed, _error(result, start.command_line))


def _error(result: JobResult, command_line: str) -> UserError | None:
    """What the terminal does not show yet; None if rank 0's own lines say it."""
    culprit = result.culprit
    if culprit is None or (culprit.rank == 0 and culprit.code is not None):
        return None
    again = command_line if result.exit_code == EXIT_STOPPED else ""
    if culprit.said:
        said = "\n".join(culprit.lines())
        return UserError(f"{culprit}; its last lines:\n{said}", f"log: {culprit.log}", again)
    if culprit.signal or result.exit_code == EXIT_STOPPED:
        return UserError(str(culprit), f"log: {culprit.log}", again)
    wrong = f"Paddle's launcher ended with exit code {result.exit_code}; its last lines:\n{message(result.output)}"
    return UserError(wrong, f"log: {result.job.log}", again)


class Relay:
    """Prints the lines that are added to a log file while a job runs, and keeps the result of the job.

    An error message goes to standard error, as the process meant it. Lines of Paddle's C++ side that are no errors stay
    in the file.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = log.stat().st_size if log.is_file() else 0
        self._in_error = False
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self.results: list[JobResult] = []

    @property
    def printed(self) -> str:
        """The last lines that were printed."""
        return "".join(self._last)

    def on_start(self, job: Job) -> None:
        """Nothing to print: the command has said what starts."""

    def on_poll(self, job: Job) -> None:  # noqa: ARG002 - there is one job
        """Print what was added since, up to the last line that is complete."""
        self._print(whole_lines=True)

    def on_end(self, result: JobResult) -> None:
        """Print the rest."""
        self._print(whole_lines=False)
        self.results.append(result)

    def _print(self, whole_lines: bool) -> None:
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                fresh = file.read()
        except FileNotFoundError:
            return
        fresh = fresh[: fresh.rfind(b"\n") + 1] if whole_lines else fresh
        self._read += len(fresh)
        for line in fresh.decode(errors="replace").splitlines(keepends=True):
            self._in_error = line.startswith("error: ") or (self._in_error and line.startswith("  "))
            if not NOISE.match(line):
                print(line, end="", file=sys.stderr if self._in_error else sys.stdout, flush=True)
                self._last.append(line)
