"""Cost of a barrier, and the messages that processes send while one of them is late.

    python benchmarks/barriers.py [--processes N] [--barriers N] [--late-s SECONDS] [--quick]

Every step on CPUs has three barriers. Medians of rank 0, with the minimum, since that of a busy machine depends on who
runs when. An all-reduce of 64 bytes through gloo, which begins in all processes at once, stands beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Table, plain_parser, present

from pannsdist.run.launching.command import launcher_command
from pannsdist.runtime import cpu, launcher

RESULT = "measured: "
"""Begins the line in the log of rank 0 that holds the values."""


def main() -> None:
    """Start the processes and print what rank 0 found; as one of them, measure."""
    parser = plain_parser("Cost of a barrier.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--barriers", type=int, default=200)
    parser.add_argument("--late-s", type=float, default=10.0)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.processes, chosen.barriers, chosen.late_s = 2, 5, 0.5
    if launcher.has_started():
        run_worker(chosen.barriers, chosen.late_s)
        return
    with tempfile.TemporaryDirectory() as name:
        command = launcher_command(chosen.processes, Path(name), (), [__file__, *sys.argv[1:]])
        given = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)  # noqa: S603
        said = (Path(name) / "workerlog.0").read_text(errors="replace")
    if done.returncode:
        raise SystemExit(f"the processes failed\n{done.stderr}\n{said}")
    found = json.loads(said[said.index(RESULT) + len(RESULT) :].splitlines()[0])
    title = f"{chosen.processes} processes"
    late = Table(
        f"{title}, of which one waits {chosen.late_s:g} s for the others", "messages", found.pop("sent"), "lower", False
    )
    present([Table(title, "ms", found, "lower", ratios=False), late], chosen.json)


def run_worker(barriers: int, late_s: float) -> None:
    """Measure, as every process of the launcher does."""
    cpu.use_fast_kernels()
    import paddle
    import paddle.distributed as dist

    from pannsdist.distributed import fleet

    world = fleet.connect(use_gpu=False)
    assert isinstance(world, fleet.FleetWorld)
    small = paddle.ones([16], "float32")
    found = {"barrier": seconds(world.barrier, world.barrier, barriers)}
    found["all-reduce of 64 bytes"] = seconds(lambda: dist.all_reduce(small), world.barrier, barriers)
    before = world._coordinator.requests if world._coordinator else 0
    if not world.is_main:
        time.sleep(late_s)
    world.barrier()
    if world._coordinator:
        sent = {"all together": [world._coordinator.requests - before]}
        print(
            RESULT
            + json.dumps({name: [1000 * one for one in values] for name, values in found.items()} | {"sent": sent})
        )
    world.close()


def seconds(work: Callable[[], object], together: Callable[[], object], count: int) -> list[float]:
    """The seconds of each of some calls, which all processes begin together."""
    found = []
    for _ in range(count):
        together()
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    main()
