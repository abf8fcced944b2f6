"""Averages of gradients over the processes by all-reduces of our own, for gloo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import paddle

AllReduce = Callable[[paddle.Tensor], object]


def average_gradients(parameters: Sequence[paddle.Tensor], size: int, buffer_mb: float, all_reduce: AllReduce) -> None:
    """Replace each gradient by its mean over the `size` processes. All processes; they must arrive seconds apart.

    Each parameter must have a gradient. `all_reduce` sums a tensor over the processes, in place. It gets the gradients
    in buffers of at most `buffer_mb` MiB; a larger one has a buffer of its own.
    """
    with paddle.no_grad():
        for some in buffers(parameters, buffer_mb):
            # gloo has no average, and its sum of float16 is wrong (3.3.1)
            flat = paddle.concat([parameter.grad.flatten().astype("float32") for parameter in some]) / size
            all_reduce(flat)
            parts = paddle.split(flat, [int(parameter.size) for parameter in some])
            for parameter, part in zip(some, parts, strict=True):
                gradient = parameter.grad
                paddle.assign(part.reshape(gradient.shape).astype(gradient.dtype), gradient)


def buffers(parameters: Sequence[paddle.Tensor], buffer_mb: float) -> Iterator[list[paddle.Tensor]]:
    """The parameters in groups whose float32 gradients fill a buffer, in order."""
    group: list[paddle.Tensor] = []
    values, most = 0, buffer_mb * 2**20 / 4
    for parameter in parameters:
        if group and values + parameter.size > most:
            yield group
            group, values = [], 0
        group.append(parameter)
        values += int(parameter.size)
    if group:
        yield group
