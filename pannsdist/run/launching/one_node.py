"""A run in several processes on this machine: Paddle's launcher, watched, with rank 0's lines on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.run.launching.command import LOG_FOLDER, make_log_folder, training_command
from pannsdist.run.launching.devices import Devices
from pannsdist.run.launching.job_pool import Job, JobPool, JobResult
from pannsdist.run.launching.ranks import NOISE, Culprit, message
from pannsdist.runtime import launcher
from pannsdist.runtime.errors import EXIT_STOPPED, PeerLost, SettingsError, Stopped, UserError, shell_command
from pannsdist.runtime.folder_lock import refuse_held

LAUNCHER_LOG = "launcher.log"
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
    """How the processes ended: the exit code of the run, what ended it, and whether rank 0's lines have said that.

    `error` is None after a run that is finished; it is the exception for a caller in Python.
    """

    exit_code: int
    error: UserError | None = None
    is_printed: bool = False


def launch(start: Start) -> int:
    """Run the processes to their end, print what their own lines do not say, and return the exit code of the run."""
    ending = run_to_end(start)
    if isinstance(ending.error, Stopped) and not ending.is_printed:
        print(ending.error)
    elif ending.error is not None and not ending.is_printed:
        print(f"error: {ending.error}", file=sys.stderr, flush=True)
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
        return Ending(EXIT_STOPPED, stopped)
    return ending_of(result, start.command_line)


def ending_of(result: JobResult, command_line: str) -> Ending:
    """What ended a run, from what its processes noted. The command is what continues it."""
    culprit, code = result.culprit, result.exit_code
    if culprit is None:
        error = None if code == 0 else result.noted or Stopped("stopped, as requested", CONTINUE, command_line)
        return Ending(code, error, is_printed=True)
    if culprit.rank == 0 and culprit.code is not None:
        return Ending(code, culprit.error or UserError(culprit.last_lines, f"log: {culprit.log}"), is_printed=True)
    return Ending(code, _lost(culprit, result, command_line))


def _lost(culprit: Culprit, result: JobResult, command_line: str) -> UserError:
    """The error for a process that failed or was killed, of which rank 0's lines say nothing."""
    again = command_line if result.exit_code == EXIT_STOPPED else ""
    kind = PeerLost if result.exit_code == EXIT_STOPPED else UserError
    if culprit.said:
        said = "\n".join(culprit.lines())
        return kind(f"{culprit}; its last lines:\n{said}", f"log: {culprit.log}", again)
    if culprit.signal or result.exit_code == EXIT_STOPPED:
        return kind(str(culprit), f"log: {culprit.log}", again)
    wrong = f"Paddle's launcher ended with exit code {result.exit_code}; its last lines:\n{message(result.output)}"
    return kind(wrong, f"log: {result.job.log}", again)


class Relay:
    """Prints the lines that are added to a log file while a job runs, and keeps the result of the job.

    An error message goes to standard error, as the process meant it. Lines of Paddle's C++ side that are no errors stay
    in the file.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = log.stat().st_size if log.is_file() else 0
        self._in_error = False
        self.results: list[JobResult] = []

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
