"""Where a model computes: `use_gpu` as PaddleHub means it."""

from __future__ import annotations

import sys
from functools import cache

import paddle

from pannsdist.distributed import fleet
from pannsdist.runtime import launcher


def use_device(layer: paddle.nn.Layer, use_gpu: bool) -> None:
    """Compute on this process's GPU or on the CPU from now on; without a GPU one line says so, once."""
    device = fleet.device(use_gpu)
    if use_gpu and device == "cpu":
        _say_without_gpu()
    paddle.set_device(device)
    layer.to(device=device)


@cache
def _say_without_gpu() -> None:
    if launcher.rank() == 0:
        print("use_gpu=True, but Paddle sees no GPU: this runs on the CPU", file=sys.stderr, flush=True)
