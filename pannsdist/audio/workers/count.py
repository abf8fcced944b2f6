"""How many worker processes read for a training process."""

from __future__ import annotations

from pannsdist.runtime import cpu

AUTO = "auto"
MOST = 8
CORES_OF_WORKER = 4
"""On a processor that computes the steps, too: a worker reads more clips than so many cores train on."""


def worker_count(wanted: int | str, processes: int, on_gpu: bool) -> int:
    """`data.workers` as a number, for each of so many processes of this machine.

    By itself: beside a GPU every core but one that is left to the process; on a processor one worker for some cores
    that compute, so that the next batch is read during a step.
    """
    if wanted != AUTO:
        return int(wanted)
    cores = cpu.cores() // max(1, processes)
    return max(1, min(MOST, cores - 1 if on_gpu else cores // CORES_OF_WORKER))
