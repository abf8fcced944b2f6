"""Run by every process of a world: the experiments. Arguments: the file for the figures, and what to do as JSON.

python experiments.py FIGURES.json '{"parts": ["claims", "speed", "all_reduce"], "model": "panns_cnn14", ...}'
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.run.doctor.facts import to_plain
from pannsdist.run.doctor.proving.figures import AllReduce, Figures, Speed
from pannsdist.runtime import console, cpu, storage
from pannsdist.runtime.foreign import parse_json

if TYPE_CHECKING:
    from pannsdist.distributed.world import World

HALF = 10
LARGEST_WAIT_STEPS = 3


def main(arguments: list[str]) -> None:
    """Join the world, measure, and let rank 0 write the figures."""
    cpu.use_fast_kernels()
    console.quiet_paddle()
    from pannsdist.distributed import fleet

    path, wanted = Path(arguments[0]), parse_json(arguments[1].encode(), "the experiment")
    world = fleet.connect()
    figures: dict[str, Any] = {"devices": tuple(world.all_gather(_device(world)))}
    if "all_reduce" in wanted["parts"] and world.size > 1:
        sizes = wanted["bytes"]
        figures["all_reduce"] = tuple(AllReduce(size, fleet.all_reduce_seconds(size // 4)) for size in sizes)
    if "claims" in wanted["parts"]:
        figures |= _claims(world, wanted["batch_size"])
    if "speed" in wanted["parts"]:
        figures["speed"] = _speed(world, wanted["model"], wanted["clips_of_each"], wanted["steps"])
    if world.is_main:
        storage.write_atomic(path, json.dumps(to_plain(Figures(**figures))))
    world.close()


def _device(world: World) -> str:
    import paddle

    if world.device == "cpu":
        return "cpu"
    return f"{world.device} {paddle.device.cuda.get_device_name(int(world.device.rpartition(':')[2]))}"


def _claims(world: World, batch_size: int) -> dict[str, Any]:
    """The figures of everything that a small network shows."""
    from pannsdist.run.doctor.proving.small_network import Kind, Training

    plain = Training(world, batch_size)
    losses = plain.steps()
    found: dict[str, Any] = {"losses": tuple(losses), "replicas_equal": plain.all_equal()}
    found |= _resumed(world, batch_size, plain.arrays()) | _not_finite(plain) | _frozen(world, batch_size)
    again = Training(world, batch_size, Kind(recomputes=True)).steps()
    found["recompute_difference"] = max(abs(a / b - 1) for a, b in zip(again, losses, strict=True))
    if world.device != "cpu":
        found["norm_losses"] = tuple(Training(world, batch_size, Kind(has_norm=True)).steps())
        for amp in ("fp16", "bf16"):
            found[f"{amp}_losses"] = tuple(Training(world, batch_size, Kind(amp=amp)).steps())
    return found


def _resumed(world: World, batch_size: int, whole: dict[str, Any]) -> dict[str, Any]:
    """Stop after half of the steps, go on with what a checkpoint holds in new objects, and compare the weights."""
    import numpy as np

    from pannsdist.run.doctor.proving.small_network import Training

    first = Training(world, batch_size)
    first.steps(1, HALF)
    weights, state = first.arrays(), first.learner.state()
    second = Training(world, batch_size)
    second.network.model.set_state_dict(weights)
    second.learner.restore(state)
    second.steps(HALF + 1)
    after = second.arrays()
    return {"resume_difference": float(max(np.abs(after[name] - whole[name]).max() for name in whole))}


def _not_finite(training: Any) -> dict[str, Any]:
    """A NaN in the batch of rank 0 alone: no process may change a weight."""
    import numpy as np

    before, batch = training.arrays(), training.batch(1)
    if training.world.is_main:
        batch.waveforms[0, 0] = np.nan
    _, finite = training.step(1, batch)
    after = training.arrays()
    kept = not finite and all(np.array_equal(before[name], after[name]) for name in before)
    return {"bad_step_kept": all(training.world.all_gather(kept))}


def _frozen(world: World, batch_size: int) -> dict[str, Any]:
    """The body is frozen in the first epoch, and trains in the second."""
    import numpy as np

    from pannsdist.run.doctor.proving.small_network import STEPS, Kind, Training

    training = Training(world, batch_size, Kind(freezes=True))
    start = training.arrays()
    training.learner.start_epoch(1)
    training.steps(1, HALF)
    middle = training.arrays()
    training.learner.start_epoch(2)
    training.steps(HALF + 1, STEPS)
    body = [name for name in start if name.startswith("body")]
    kept = all(np.array_equal(start[name], middle[name]) for name in body)
    end = training.arrays()
    moved = all(not np.array_equal(middle[name], end[name]) for name in body)
    return {
        "frozen_kept": all(world.all_gather(kept)),
        "unfrozen_equal": moved and training.all_equal(),
    }


def _speed(world: World, model: str, clips_of_each: int, steps: int) -> Speed:
    """Steps of a real network with random weights, on generated sounds that worker processes read."""
    from pannsdist.run.doctor.proving.real_network import RealTraining

    training = RealTraining(world, model, clips_of_each, steps + LARGEST_WAIT_STEPS)
    batches = training.batches()
    for number in range(1, LARGEST_WAIT_STEPS + 1):  # kernels are chosen, workers start
        training.step(next(batches), number)
    start, waited = time.perf_counter(), 0.0
    for number in range(LARGEST_WAIT_STEPS + 1, LARGEST_WAIT_STEPS + steps + 1):
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        training.step(batch, number)
    seconds = time.perf_counter() - start
    training.close()
    return Speed(model, world.size * clips_of_each * steps / seconds, waited / seconds, training.memory_mib())


if __name__ == "__main__":
    main(sys.argv[1:])
