"""Rank 1 computes its gradient for longer than gloo waits. Arguments: folder for results, seconds."""

import json
import sys
import time
from pathlib import Path

import paddle

from pannsdist.distributed import fleet
from pannsdist.runtime import console


def main(folder, late_s):
    console.quiet_paddle()
    world = fleet.connect()
    layer = paddle.nn.Linear(2, 1)
    wrapped = world.wrap_model(layer)
    with world.averaging(wrapped, layer.parameters()):
        time.sleep(late_s * world.rank)
        wrapped(paddle.full([1, 2], 1.0 + world.rank)).sum().backward()
    gathered = world.all_gather(f"item of {world.rank}")
    (folder / f"late.{world.rank}.json").write_text(json.dumps([gathered, layer.weight.grad.flatten().tolist()]))
    world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
