"""Step time of 1, 2 and 4 processes, split into compute, communication and waiting, in interleaved fresh processes.

    python benchmarks/scaling.py [--models NAME ...] [--arms NAME ...] [--rounds N] [--steps N] [--quick]

Each process trains on as many clips per step, noise in memory, with one thread, in each arm. `2 independent` are two
single processes that run at once: what two processes of one run could reach if averaging cost nothing. `2 hosts` are
two network namespaces; without root and iproute2 the arm is skipped. The parts of a step, each a mean over processes:

- communication: averaging the gradients, from the moment when all processes have arrived;
- waiting: until they have arrived, with the message to rank 0 and back that says so;
- compute: the rest.

On a machine with other work these depend on who runs when; the CPU time of a step, of all threads of a process, does
hardly: what joining the processes adds to it is what averaging costs in computation and copies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import two_hosts
from measuring import Table, parser, say, spread, write_json
from train_step import build

from pannsdist.run.launching.command import launcher_command
from pannsdist.runtime import cpu, heap

STEPS = {"panns_cnn10": 3, "efficientat_mn04": 20}
"""Measured steps per arm and round: a few seconds per model."""
CLIPS, CLIP_S = 4, 5.0
"""Of each process, per step."""
START_PORT = 20000
"""Of the launchers on two hosts, where nothing else has a port."""
PARTS = ("step", "communication", "waiting", "cpu")
"""What a process measures of each step."""
LIMIT_S = 600.0
"""Against hanging alone."""


@dataclass(frozen=True)
class Arm:
    """So many runs at once, each of so many processes on so many hosts."""

    name: str
    runs: int = 1
    processes: int = 1
    hosts: int = 1

    @property
    def all_processes(self) -> int:
        """Processes that run at once."""
        return self.runs * self.processes


SINGLE, INDEPENDENT, JOINED = Arm("1 process"), Arm("2 independent", runs=2), Arm("2 processes", processes=2)
HOSTS = Arm("2 hosts", processes=2, hosts=2)
ARMS = {arm.name: arm for arm in (SINGLE, INDEPENDENT, JOINED, Arm("4 processes", processes=4), HOSTS)}


@dataclass(frozen=True)
class Work:
    """What each process does: `clips` clips of `clip_s` seconds per step, `steps` steps after one for warm-up."""

    model: str
    steps: int
    clips: int = CLIPS
    clip_s: float = CLIP_S


@dataclass(frozen=True)
class Step:
    """Mean seconds of the parts of a step, clips per second of all processes, and CPU seconds of a process."""

    compute: float
    communication: float
    waiting: float
    clips_per_s: float
    cpu: float


def main() -> None:
    """Run the arms in rounds and print a table for each model; with `--worker`, run one process of an arm."""
    arguments = parser("Step time by number of processes, split into its parts.", rounds=5)
    arguments.add_argument("--models", nargs="+", default=list(STEPS), metavar="NAME", help="model plugins")
    arguments.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="NAME", help=", ".join(ARMS))
    arguments.add_argument("--steps", type=int, help="measured steps per arm and round")
    arguments.add_argument("--worker", nargs=2, metavar=("WORK", "FOLDER"), help="of this program alone")
    chosen = arguments.parse_args()
    if chosen.worker:
        run_worker(Work(**json.loads(chosen.worker[0])), Path(chosen.worker[1]))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that processes and namespaces end with it
    arms = [ARMS[name] for name in chosen.arms]
    if HOSTS in arms and (reason := two_hosts.missing()):
        say(f"skipped: {HOSTS.name}: {reason}")
        arms.remove(HOSTS)
    works = [Work(model, chosen.steps or STEPS.get(model, 3)) for model in chosen.models]
    rounds = chosen.rounds
    if chosen.quick:
        works, rounds = [Work("panns_cnn6", steps=1, clips=1, clip_s=1.0)], 1
    tables = []
    for work in works:
        print(f"\n{work.model}: {work.clips} clips of {work.clip_s:g} s per process and step; ", end="")
        print(f"rounds: {rounds}, steps per arm: {work.steps}; load of the machine before: {os.getloadavg()[0]:.1f}\n")
        found = measure(arms, work, rounds)
        print("\n".join(report(found)), flush=True)
        speeds = {arm.name: [step.clips_per_s for step in steps] for arm, steps in found.items()}
        tables.append(Table(f"{work.model}: {work.clips} clips of {work.clip_s:g} s per process", "clips/s", speeds))
    write_json(tables, chosen.json)


def measure(arms: Sequence[Arm], work: Work, rounds: int) -> dict[Arm, list[Step]]:
    """The mean step of each arm, one per round."""
    found: dict[Arm, list[Step]] = {arm: [] for arm in arms}
    for number in range(1, rounds + 1):
        for arm in arms:
            found[arm].append(run_arm(arm, work))
            say(f"  round {number}/{rounds}  {arm.name}: {found[arm][-1].clips_per_s:.2f} clips/s")
    return found


def run_arm(arm: Arm, work: Work) -> Step:
    """Run an arm's processes to their end. Raises SystemExit with their output if one fails."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        hosts = stack.enter_context(two_hosts.two_hosts()) if arm.hosts > 1 else []
        started = []
        for number, (command, environment) in enumerate(commands(arm, hosts, work, folder)):
            output = stack.enter_context((folder / f"output.{number}").open("wb"))
            given = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_PROCESSES": str(arm.all_processes), **environment}
            started.append(subprocess.Popen(command, env=given, stdout=output, stderr=subprocess.STDOUT))  # noqa: S603
        try:
            wait(started)
        except (RuntimeError, TimeoutError) as error:
            said = "".join(path.read_text(errors="replace") for path in sorted(folder.glob("**/*o*.[0-9]")))
            raise SystemExit(f"{arm.name}: {error}\n{said}") from None
        finally:
            for process in started:
                process.terminate()
                process.wait()
        return combined([json.loads(path.read_text()) for path in folder.glob("*.json")], work.clips)


def commands(
    arm: Arm, hosts: Sequence[two_hosts.Host], work: Work, folder: Path
) -> Iterable[tuple[list[str], dict[str, str]]]:
    """Each command of an arm, with its environment variables: one for each run, or for each host of a run."""
    script = [__file__, "--worker", json.dumps(vars(work)), str(folder)]
    if not hosts:
        for _ in range(arm.runs):
            launched = launcher_command(arm.processes, folder / "log", (), script)
            yield ([sys.executable, *script] if arm.processes == 1 else launched), {}
    addresses = ["--ips", ",".join(host.address for host in hosts), "--start_port", str(START_PORT)]
    for host in hosts:
        options = [*addresses, "--host", host.address]
        command = launcher_command(arm.processes // arm.hosts, folder / f"log.{host.address}", options, script)
        yield host.command(command), {"GLOO_SOCKET_IFNAME": two_hosts.INTERFACE}


def wait(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for all. Raises RuntimeError as soon as one has failed."""
    limit = time.monotonic() + LIMIT_S
    while any(process.poll() is None for process in started):
        for process in started:
            if process.poll():
                raise RuntimeError(f"a process failed with code {process.returncode}")
        if time.monotonic() > limit:
            raise TimeoutError(f"not done within {LIMIT_S:g} s")
        time.sleep(0.1)
    if codes := [process.returncode for process in started if process.returncode]:
        raise RuntimeError(f"a process failed with code {codes[0]}")


def combined(processes: Sequence[dict[str, list[float]]], clips: int) -> Step:
    """What the processes measured, each with its seconds for every step, as one mean step."""
    parts = {name: mean(mean(one[name]) for one in processes) for name in PARTS}
    speed = sum(clips / mean(one["step"]) for one in processes)
    compute = parts["step"] - parts["communication"] - parts["waiting"]
    return Step(compute, parts["communication"], parts["waiting"], speed, parts["cpu"])


def report(found: dict[Arm, list[Step]]) -> Iterable[str]:
    """A Markdown table, and how two processes of one run compare with two independent ones."""
    yield "| arm | clips/s, median (min-max) | ms per step: compute | communication | waiting | CPU |"
    yield "|---|---|---|---|---|---|"
    columns = ("compute", "communication", "waiting", "cpu")
    for arm, steps in found.items():
        parts = [[1000 * getattr(step, name) for step in steps] for name in columns]
        cells = [f"{median(values):.0f} ({min(values):.0f}-{max(values):.0f})" for values in parts]
        yield f"| {arm.name} | {spread([step.clips_per_s for step in steps])} | {' | '.join(cells)} |"
    for arm in (JOINED, HOSTS):
        if arm in found and INDEPENDENT in found:
            pairs = zip(found[arm], found[INDEPENDENT], strict=True)
            ratios = [(one.clips_per_s / other.clips_per_s, other.cpu / one.cpu) for one, other in pairs]
            for what, values in zip(("clips/s", "clips per CPU second"), zip(*ratios, strict=True), strict=True):
                yield f"\n{what} of {arm.name} of one run to {INDEPENDENT.name}, median of the rounds: {spread(values)}"


def run_worker(work: Work, folder: Path) -> None:
    """Run one process of an arm; it writes the seconds of each measured step and of its parts.

    A single process begins when all of its arm are ready, and goes on until all have measured, so that none is alone.
    """
    cpu.use_fast_kernels()
    heap.keep_freed_memory()
    from pannsdist.distributed import averaging, fleet, watch

    world = fleet.connect(use_gpu=False)
    learner, batch = build(world, work.model, work.clips, work.clip_s)
    spent: dict[str, list[float]] = {"communication": [], "waiting": []}
    measured(averaging.GradientAverage, "average", spent["communication"])
    measured(watch.Watch, "barrier", spent["waiting"])
    name, count = f"{os.getpid()}.{world.rank}", int(os.environ["WORLD_PROCESSES"])
    steps: dict[str, list[float]] = {part: [] for part in PARTS}
    for step in range(1, work.steps + 2):
        if step == 2 and world.size == 1:
            await_files(folder, f"{name}.ready", count)
        for values in spent.values():
            values.clear()
        start, cpu_start = time.perf_counter(), time.process_time()
        learner.step(batch, step, work.clips * world.size, seed=0)
        seconds = {"step": time.perf_counter() - start, "cpu": time.process_time() - cpu_start}
        seconds |= {part: sum(values) for part, values in spent.items()}
        for part, value in seconds.items():
            steps[part].append(value)
    write(folder / f"{name}.json", json.dumps({part: values[1:] for part, values in steps.items()}))
    while world.size == 1 and len(list(folder.glob("*.json"))) < count:
        learner.step(batch, 1, work.clips, seed=0)
    world.close()


def measured(owner: Any, name: str, seconds: list[float]) -> None:
    """Replace a function of a module or class by one that appends the seconds of each call."""
    function: Callable[..., Any] = getattr(owner, name)

    def timed(*positional: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*positional, **named)
        finally:
            seconds.append(time.perf_counter() - start)

    setattr(owner, name, timed)


def await_files(folder: Path, name: str, count: int) -> None:
    """Write a file of this name, and wait until there are so many with its ending."""
    write(folder / name, "")
    limit = time.monotonic() + LIMIT_S
    while len(list(folder.glob(f"*{Path(name).suffix}"))) < count:
        if time.monotonic() > limit:
            raise TimeoutError(f"the other processes were not ready within {LIMIT_S:g} s")
        time.sleep(0.01)


def write(path: Path, text: str) -> None:
    """Write a file so that others see it complete or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    main()
