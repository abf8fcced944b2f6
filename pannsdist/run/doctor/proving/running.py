"""Starts the experiments in worlds of one and of several processes, and judges what they left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.run.doctor.facts import from_plain
from pannsdist.run.doctor.finding import Finding
from pannsdist.run.doctor.proving.claims import all_reduce_finding, judged
from pannsdist.run.doctor.proving.figures import Figures, RunFigures
from pannsdist.run.doctor.proving.whole_runs import whole_runs
from pannsdist.run.launching import process_tree
from pannsdist.run.launching.devices import VISIBLE, Machine
from pannsdist.run.launching.job_pool import SIGNALS
from pannsdist.runtime import signals, storage
from pannsdist.runtime.errors import SettingsError, UserError
from pannsdist.runtime.foreign import parse_json
from pannsdist.runtime.reading import bytes_or_empty

SCRIPT = Path(__file__).with_name("experiments.py")
LIMIT_S = 900.0
ON_GPUS = {"model": "panns_cnn14", "clips_of_each": 32, "steps": 20}
ON_CPU = {"model": "panns_cnn6", "clips_of_each": 1, "steps": 2}
SIZES = (4, 4096, 1 << 20, 16 << 20)
CNN14_BYTES = 320 << 20
"""About what CNN14 sums in every step; measured between GPUs only."""
LAST_LINES = 15
ALL = ("claims", "speed", "all_reduce")
CPU_PROCESSES = 2
CPU_EPOCHS, GPU_EPOCHS = 2, 30
"""Epochs of a few steps; on GPUs so many that a run is not over before the signal reaches it."""


@dataclass(frozen=True)
class Experiment:
    """What to measure: `parts` are claims, speed, all_reduce; on these GPUs, or on the CPU with as many processes."""

    parts: Sequence[str]
    processes: int
    gpus: Sequence[str] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """What the script takes. The global batch is the same in every world, and as large as the largest needs."""
        sizes = [*SIZES, *([CNN14_BYTES] if self.gpus else [])]
        chosen = ON_GPUS if self.gpus else ON_CPU
        return {"parts": list(self.parts), "bytes": sizes, "batch_size": 2 * self.processes, **chosen}


@dataclass(frozen=True)
class Proof:
    """The figures of one process, of several and of whole runs, and the table of the claims."""

    one: Figures
    several: Figures
    runs: RunFigures
    findings: list[Finding]


def prove(machine: Machine, nproc: int | None) -> Proof:
    """Try the claims on the GPUs of this machine, or in `nproc` (2) processes on its CPU. Raises UserError."""
    experiment = _experiment(ALL, machine, nproc)
    with _leaving_no_process():
        one = run(experiment, 1)
        several = one if experiment.processes == 1 else run(experiment, experiment.processes)
        epochs = GPU_EPOCHS if experiment.gpus else CPU_EPOCHS
        runs = whole_runs(experiment.processes, epochs, _environment(experiment, experiment.processes), experiment.gpus)
    return Proof(one, several, runs, judged(one, several, runs))


def measured_all_reduce(machine: Machine, nproc: int) -> Finding:
    """Latency and bandwidth of an all-reduce between processes of this machine. Raises UserError."""
    experiment = _experiment(("all_reduce",), machine, nproc)
    with _leaving_no_process():
        return all_reduce_finding(run(experiment, experiment.processes))


@contextmanager
def _leaving_no_process() -> Iterator[None]:
    """Context at whose end, also by a signal, all processes end that this one has started, and temporary files go."""

    def stop(number: int, _: object) -> None:
        process_tree.kill_descendants(os.getpid())  # before the files that they write
        raise SystemExit(128 + number)

    process_tree.adopt_orphans()
    with signals.handled(SIGNALS, stop):
        try:
            yield
        finally:
            process_tree.kill_descendants(os.getpid())
            process_tree.reap()


def _experiment(parts: Sequence[str], machine: Machine, nproc: int | None) -> Experiment:
    gpus = machine.usable_gpus
    if gpus and nproc and nproc > len(gpus):
        wrong = f"--nproc is {nproc}, but {len(gpus)} GPUs are visible: {', '.join(gpus)}"
        raise SettingsError(wrong, "one process for each GPU, at most")
    processes = nproc or len(gpus) or CPU_PROCESSES
    return Experiment(parts, processes, gpus[:processes])


def run(experiment: Experiment, processes: int) -> Figures:
    """The figures of the experiment in a world of `processes`. Raises UserError with the last lines where it fails."""
    with storage.temporary_folder() as folder:
        result = folder / "figures.json"
        words = [str(SCRIPT), str(result), json.dumps(experiment.arguments)]
        launcher = ["-W", "ignore:No ccache found", "-m", "paddle.distributed.launch"]
        launcher += ["--nproc_per_node", str(processes), "--log_dir", str(folder / "log")]
        command = [sys.executable, *(launcher if processes > 1 else []), *words]
        printed = _ended(command, _environment(experiment, processes))
        logs = "".join(bytes_or_empty(path).decode(errors="replace") for path in sorted(folder.glob("log/workerlog.*")))
        raw = bytes_or_empty(result)
        if not raw:
            last = "\n".join((logs or printed).splitlines()[-LAST_LINES:])
            raise UserError(f"the experiments in {processes} processes failed; their last lines:\n{last}")
        return from_plain(Figures, parse_json(raw, "the figures"))


def _ended(command: Sequence[str], environment: dict[str, str]) -> str:
    """What a command printed, which ended or was ended after the limit."""
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        return f"{(error.stdout or b'').decode(errors='replace')}\nnot done within {LIMIT_S:.0f} s"
    return done.stdout.decode(errors="replace")


def _environment(experiment: Experiment, processes: int) -> dict[str, str]:
    """This process's, without a launcher's, with as many of the GPUs as processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PADDLE_", VISIBLE))}
    path = os.pathsep.join(filter(None, sys.path))
    return {**kept, "PYTHONPATH": path, **({VISIBLE: ",".join(experiment.gpus[:processes])} if experiment.gpus else {})}
