"""Seconds from a fault to the first step after it, beside a cold start of the same job, on two network namespaces.

    python benchmarks/recovery.py [--faults NAME ...] [--rounds N] [--quick]

A small network trains on two hosts with one process each (`pannsdist train --nodes 1:2`). A cold start lasts from the
commands to the first step that is printed. Then the process of the second host is killed (`rank`), or all of that host
(`node`). The other host notices both at once, by the end of a connection, so the time from the fault is that from its
detection. Its parts: until all processes of the round have ended, until the next round begins, until its first step.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import two_hosts
from measuring import Table, parser, say, write_json

from pannsdist.run.launching.command import TRAIN

PORT = 29400
JOB = ("name=recovery", "train.batch_size=2", "train.crop_s=0.5", "train.epochs=1000", "valid.batch_size=2")
JOB += ("data.params.clips_per_class=8", "data.params.valid_clips_per_class=1", "data.params.classes=3")
JOB += ("data.workers=0", "log.every_steps=1", "save.every_steps=2", "trackers.visualdl=null")
STEP = r"^epoch \d+  step "
LIMIT_S = 300.0
"""Against hanging alone."""


@dataclass(frozen=True)
class Times:
    """Seconds of a cold start, and of the parts of a recovery."""

    cold: float
    ending: float
    gathering: float
    starting: float

    @property
    def recovery(self) -> float:
        """From the fault to the first step."""
        return self.ending + self.gathering + self.starting


def main() -> None:
    """Make each fault in rounds and print a table."""
    arguments = parser("Recovery from a fault, beside a cold start.")
    arguments.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="NAME")
    chosen = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that processes and namespaces end with it
    if reason := two_hosts.missing():
        say(f"skipped: {reason}")
        write_json([], chosen.json)
        return
    faults, rounds = (["node"], 1) if chosen.quick else (chosen.faults, chosen.rounds)
    found: dict[str, list[Times]] = {fault: [] for fault in faults}
    print(f"rounds: {rounds}; load of the machine before: {os.getloadavg()[0]:.1f}\n", flush=True)
    for number in range(1, rounds + 1):
        for fault in faults:
            times = measure(fault)
            found[fault].append(times)
            say(f"  round {number}/{rounds}  {fault}: cold start {times.cold:.1f} s, recovery {times.recovery:.1f} s")
    print("\n".join(report(found)))
    rows = {"cold start": [times.cold for some in found.values() for times in some]}
    rows |= {f"recovery, {fault} killed": [times.recovery for times in some] for fault, some in found.items()}
    write_json([Table("from the fault to the first step", "seconds", rows, "lower", ratios=False)], chosen.json)


def measure(fault: str) -> Times:
    """Start the job, make the fault, and wait for the first step after it. Raises SystemExit with what was printed."""
    with tempfile.TemporaryDirectory() as name, two_hosts.two_hosts() as hosts:
        folder = Path(name)
        with started(hosts, folder) as outputs:
            begin = time.monotonic()
            appears(outputs[0], STEP)
            cold = time.monotonic() - begin
            appears(outputs[0], STEP, times=4)  # there is a checkpoint
            fault_at = time.monotonic()
            FAULTS[fault](hosts[1])
            ended = appears(outputs[0], r"^restart 1 of ")
            begun = appears(outputs[0], r"^round 2: ")
            stepped = appears(outputs[0], rf"^round 2: [\s\S]*{STEP}")
        return Times(cold, ended - fault_at, begun - ended, stepped - begun)


@contextmanager
def started(hosts: Sequence[two_hosts.Host], folder: Path) -> Iterator[list[Path]]:
    """The job on all hosts, the first of them its master, within the block; gives the files of what they print."""
    where = ["--nodes", "1:2", "--master", f"{hosts[0].address}:{PORT}", "--nproc", "1"]
    command = [sys.executable, "-m", "pannsdist", "train", *where, "-c", "recipe:tones_cnn6", *JOB]
    outputs = [folder / f"output.{host.namespace}" for host in hosts]
    processes = []
    try:
        for host, output in zip(hosts, outputs, strict=True):
            with output.open("wb") as file:
                processes.append(
                    subprocess.Popen(  # noqa: S603
                        host.command(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file
                    )
                )
        yield outputs
    finally:
        for host in hosts:
            kill(members(host))
        for process in processes:
            process.wait()


def appears(output: Path, pattern: str, times: int = 1) -> float:
    """When a pattern was printed so many times, on the monotonic clock."""
    limit = time.monotonic() + LIMIT_S
    while len(re.findall(pattern, text := output.read_text(errors="replace"), re.MULTILINE)) < times:
        if time.monotonic() > limit:
            raise SystemExit(f"no {pattern!r} within {LIMIT_S:g} s\n{text}")
        time.sleep(0.02)
    return time.monotonic()


def members(host: two_hosts.Host) -> dict[int, str]:
    """The processes of a host, with their commands."""
    listed = subprocess.run(["ip", "netns", "pids", host.namespace], capture_output=True, text=True, check=True)  # noqa: S603, S607
    found = {}
    for number in map(int, listed.stdout.split()):
        path = Path(f"/proc/{number}/cmdline")
        found[number] = path.read_bytes().decode(errors="replace") if path.exists() else ""
    return found


def kill(numbers: Iterable[int]) -> None:
    """Kill processes at once."""
    for number in numbers:
        if Path(f"/proc/{number}").exists():
            os.kill(number, signal.SIGKILL)


def kill_rank(host: two_hosts.Host) -> None:
    """Kill the process that trains."""
    kill(number for number, command in members(host).items() if str(TRAIN) in command and "launch" not in command)


def kill_node(host: two_hosts.Host) -> None:
    """Kill all processes of a host."""
    kill(members(host))


FAULTS = {"rank": kill_rank, "node": kill_node}


def report(found: Mapping[str, Sequence[Times]]) -> Iterable[str]:
    """A Markdown table of medians, with the ratio of each round."""
    yield "| fault | cold start, s | recovery, s: all ended | next round | first step | ratio, median (min-max) |"
    yield "|---|---|---|---|---|---|"
    for fault, times in found.items():
        parts = [[getattr(one, name) for one in times] for name in ("cold", "ending", "gathering", "starting")]
        ratios = [one.recovery / one.cold for one in times]
        cells = [f"{median(values):.1f}" for values in parts]
        yield f"| {fault} | {' | '.join(cells)} | {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |"


if __name__ == "__main__":
    main()
