"""A series is run: what is finished is left alone, what was stopped goes on, and a line tells of every epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pannsdist.run.series.processes import Ended, Job, Processes
from pannsdist.run.series.runs import Request, Run, Series
from pannsdist.run.series.scores import SCORES_FILE, duration, number, read_lines
from pannsdist.runtime.console import print_main
from pannsdist.runtime.errors import EXIT_STOPPED, SettingsError, UserError


@dataclass(frozen=True)
class Outcome:
    """What a series came to: 0 where all runs are finished, and the messages of those that failed."""

    exit_code: int
    failed: Mapping[str, str] = field(default_factory=dict)


def slots(request: Request) -> list[dict[str, str]]:
    """What each of the runs at the same time gets of its own. Raises SettingsError for too few GPUs."""
    if not request.gpus:
        return [{} for _ in range(request.parallel)]
    size = request.processes
    if len(request.gpus) % size:
        wrong = f"--gpus names {len(request.gpus)}, which runs of --nproc {size} processes cannot share equally"
        raise SettingsError(wrong, "one GPU for each process of a run, or a multiple of that")
    slots_gpus = [request.gpus[start : start + size] for start in range(0, len(request.gpus), size)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus)} for gpus in slots_gpus]


def execute(series: Series, stop_at_failure: bool) -> Outcome:
    """Run what is not finished. With `stop_at_failure` one that fails ends all; otherwise the others go on."""
    request = series.request
    free_slots = slots(request)
    with series.locked() as handle:
        runs = {run.name: run for run in series.runs if not series.is_finished(run)}
        for run in series.runs:
            if run.name not in runs:
                print_main(f"{run.name}  is finished: {run.folder}")
        jobs = [_job(run, request) for run in runs.values()]
        processes = Processes(free_slots, handle)
        teller = _Teller(series, runs, processes, stop_at_failure)
        processes.run(jobs, teller)
    return teller.outcome()


def _job(run: Run, request: Request) -> Job:
    """The launcher writes the whole environment into its log folder."""
    private = run.folder / "log" if request.processes > 1 else None
    return Job(run.name, run.command(request.config, request.processes), run.log, private)


class _Teller:
    """Prints what happens, and keeps what came of it."""

    def __init__(self, series: Series, runs: Mapping[str, Run], processes: Processes, stop_at_failure: bool) -> None:
        self._series, self._runs, self._processes = series, runs, processes
        self._stop_at_failure = stop_at_failure
        self._told = {name: len(read_lines(run.folder / SCORES_FILE)) for name, run in runs.items()}
        self._started_s: dict[str, float] = {}
        self._failed: dict[str, Ended] = {}

    def began(self, job: Job) -> None:
        self._started_s[job.name] = time.monotonic()
        after = f"goes on after epoch {self._told[job.name]}" if self._told[job.name] else "begins"
        print_main(f"{job.name}  {after}; it tells more in {job.log}")

    def look(self, job: Job) -> None:
        run, metric = self._runs[job.name], self._series.metric
        for line in read_lines(run.folder / SCORES_FILE):
            if line["epoch"] > self._told[job.name]:
                self._told[job.name] = line["epoch"]
                of = run.plan.settings.train.epochs
                print_main(f"{job.name}  epoch {line['epoch']} of {of}  {metric} {number(line.get(metric))}")

    def ended(self, ended: Ended) -> None:
        name, code = ended.job.name, ended.exit_code
        took = duration(time.monotonic() - self._started_s[name])
        if code == 0:
            self._series.note_finished(self._runs[name])
            print_main(f"{name}  is finished after {took}")
        elif code == EXIT_STOPPED or self._processes.stopping:
            print_main(f"{name}  was stopped after {took}")
            self._processes.stop()
        else:
            print_main(f"{name}  failed after {took}")
            self._failed[name] = ended
            if self._stop_at_failure:
                self._processes.stop()

    def outcome(self) -> Outcome:
        """The exit code, and why; what cannot be seen in a table is printed."""
        left = [run.name for run in self._series.runs if not self._series.is_finished(run)]
        again = self._series.request.again
        failed = {name: ended.message for name, ended in self._failed.items()}
        for name, ended in self._failed.items():
            wrong = f"{name} failed with exit code {ended.exit_code}: {ended.message}"
            print(f"error: {UserError(wrong, f'log: {ended.job.log}', f'mend it, then {again}')}", file=sys.stderr)
        if self._failed:
            return Outcome(next(iter(self._failed.values())).exit_code, failed)
        if left:
            done = len(self._series.runs) - len(left)
            print_main(f"stopped: {done} of {len(self._series.runs)} runs are finished\n  to go on: {again}")
            return Outcome(EXIT_STOPPED)
        return Outcome(0)
