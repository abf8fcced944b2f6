"""The processes and the device of a training, with PaddleHub's `use_gpu`."""

from __future__ import annotations

import atexit
import sys
from functools import cache

import paddle

from pannsdist.distributed import fleet
from pannsdist.runtime import launcher, launcher_logs


@cache
def connected(use_gpu: bool) -> fleet.World:
    """Connect the launcher's processes once; the connection is closed at exit."""
    launcher_logs.close()
    world = fleet.connect(use_gpu)
    atexit.register(world.close)
    return world


def use_device(layer: paddle.nn.Layer, use_gpu: bool) -> None:
    """Select this process's GPU or the CPU, and move the layer there; warns once if no GPU is available."""
    device = fleet.device(use_gpu)
    if use_gpu and device == "cpu":
        _warn_no_gpu()
    paddle.set_device(device)
    layer.to(device=device)


@cache
def _warn_no_gpu() -> None:
    if launcher.rank() == 0:
        print("use_gpu=True, but Paddle finds no GPU: using the CPU", file=sys.stderr, flush=True)
