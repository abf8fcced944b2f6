"""Execution of a series: finished runs are skipped, stopped runs resume, and each epoch is printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pannsdist.run.launching.command import LOG_FOLDER
from pannsdist.run.launching.job_pool import Job, JobPool, JobResult
from pannsdist.run.same_run import SETTINGS_FILE
from pannsdist.run.series.runs import Request, Run, Series
from pannsdist.runtime import launcher, reading
from pannsdist.runtime.console import print_main
from pannsdist.runtime.errors import EXIT_STOPPED, SettingsError, UserError
from pannsdist.runtime.figures import duration, score
from pannsdist.training.tracking.scores_file import SCORES_FILE, read_scores


@dataclass(frozen=True)
class Outcome:
    """The outcome of a series: exit code 0 if all runs are finished, and the error messages of failed runs."""

    exit_code: int
    failed: Mapping[str, str] = field(default_factory=dict)


def slot_environments(request: Request) -> list[dict[str, str]]:
    """The environment variables of each concurrent run. Raises SettingsError if the GPUs cannot be divided equally."""
    if not request.gpus:
        return [{} for _ in range(request.parallel)]
    size = request.processes
    if len(request.gpus) % size:
        wrong = f"--gpus has {len(request.gpus)} GPUs, which is not a multiple of --nproc {size}"
        raise SettingsError(wrong, "give one GPU per process of a run, or a multiple of that")
    groups = [request.gpus[start : start + size] for start in range(0, len(request.gpus), size)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus)} for gpus in groups]


def execute(series: Series, stop_at_failure: bool) -> Outcome:
    """Run the unfinished runs. With `stop_at_failure`, a failed run stops the others too."""
    request = series.request
    environments = slot_environments(request)
    with series.locked() as handle:
        runs = {run.name: run for run in series.runs if not series.is_finished(run)}
        for run in series.runs:
            if run.name not in runs:
                print_main(f"{run.name}  is finished: {run.folder}")
        jobs = [_job(run, request) for run in runs.values()]
        pool = JobPool(environments, handle)
        printer = _ProgressPrinter(series, runs, pool, stop_at_failure)
        pool.run(jobs, printer)
    return printer.outcome()


def _job(run: Run, request: Request) -> Job:
    """A private folder protects the launcher's logs, which contain all environment variables."""
    private = run.folder / LOG_FOLDER if request.processes > 1 else None
    command = run.command(request.config, request.processes)
    typed = {launcher.COMMAND: request.command_line}
    return Job(run.name, command, run.log, private, request.processes, typed)


class _ProgressPrinter:
    """Prints the progress of the runs, and collects their results."""

    def __init__(self, series: Series, runs: Mapping[str, Run], pool: JobPool, stop_at_failure: bool) -> None:
        self._series, self._runs, self._pool = series, runs, pool
        self._stop_at_failure = stop_at_failure
        self._printed_epochs = {name: len(read_scores(run.folder / SCORES_FILE)) for name, run in runs.items()}
        self._started_s: dict[str, float] = {}
        self._failed: dict[str, JobResult] = {}

    def on_start(self, job: Job) -> None:
        self._started_s[job.name] = time.monotonic()
        epochs = self._printed_epochs[job.name]
        has_begun = reading.is_file(self._runs[job.name].folder / SETTINGS_FILE)
        print_main(f"{job.name}  {f'resumes, {epochs} epochs are done' if has_begun else 'starts'}; log: {job.log}")

    def on_poll(self, job: Job) -> None:
        run, metric = self._runs[job.name], self._series.metric
        for line in read_scores(run.folder / SCORES_FILE):
            if line["epoch"] > self._printed_epochs[job.name]:
                self._printed_epochs[job.name] = line["epoch"]
                of = run.plan.settings.train.epochs
                shown = metric if metric in line else "train/loss"  # of a run without clips to evaluate
                print_main(f"{job.name}  epoch {line['epoch']} of {of}  {shown} {score(line.get(shown))}")

    def on_end(self, result: JobResult) -> None:
        name, code = result.job.name, result.exit_code
        took = duration(time.monotonic() - self._started_s[name])
        if code == 0:
            self._series.mark_finished(self._runs[name])
            print_main(f"{name}  is finished after {took}")
        elif code == EXIT_STOPPED or self._pool.stopping:
            print_main(f"{name}  was stopped after {took}")
            self._pool.stop()
        else:
            print_main(f"{name}  failed after {took}")
            self._failed[name] = result
            if self._stop_at_failure:
                self._pool.stop()

    def outcome(self) -> Outcome:
        """The exit code and error messages; errors and the command to resume are printed."""
        left = [run.name for run in self._series.runs if not self._series.is_finished(run)]
        command = self._series.request.command_line
        failed = {name: result.message for name, result in self._failed.items()}
        for name, result in self._failed.items():
            wrong = f"{name} failed with exit code {result.exit_code}: {result.message}"
            error = UserError(wrong, f"log: {result.job.log}", f"fix the cause, then {command}")
            print(f"error: {error}", file=sys.stderr)
        if self._failed:
            return Outcome(next(iter(self._failed.values())).exit_code, failed)
        if left:
            done = len(self._series.runs) - len(left)
            print_main(f"stopped: {done} of {len(self._series.runs)} runs are finished\n  to resume: {command}")
            return Outcome(EXIT_STOPPED)
        return Outcome(0)
