"""Averages of gradients over the processes by all-reduces of our own, for gloo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import paddle

AllReduce = Callable[[paddle.Tensor], object]
ALIGNMENT = 64
"""Values at a multiple of which a gradient begins, as if it had memory of its own."""


class GradientAverage:
    """Averages gradients over `size` processes, in buffers of at most `buffer_mb` MiB; a larger gradient has its own.

    The gradients become parts of the buffers, so that nothing is copied from the second step on. `all_reduce` sums a
    tensor over the processes, in place.
    """

    def __init__(self, size: int, buffer_mb: float, all_reduce: AllReduce) -> None:
        self._size, self._buffer_mb, self._all_reduce = size, buffer_mb, all_reduce
        self._buffers: list[Buffer] = []
        self._known: tuple[int, ...] = ()

    def average(self, parameters: Sequence[paddle.Tensor]) -> None:
        """Replace the gradient of each parameter by its mean; none is without. All processes, seconds apart."""
        known = tuple(map(id, parameters))
        with paddle.no_grad():
            if known != self._known:
                self._buffers = [Buffer(group) for group in groups(parameters, self._buffer_mb)]
                self._known = known
            for buffer in self._buffers:
                buffer.collect()
                buffer.values.scale_(1 / self._size)  # gloo has no average (Paddle 3.3.1)
                self._all_reduce(buffer.values)


class Buffer:
    """The gradients of some parameters of one type, one after another in `values`."""

    def __init__(self, parameters: Sequence[paddle.Tensor]) -> None:
        self._parameters = parameters
        sizes = [_padded(parameter) for parameter in parameters]
        self.values = paddle.zeros([sum(sizes)], parameters[0].grad.dtype)
        self._parts = []
        begin = 0
        for parameter, size in zip(parameters, sizes, strict=True):
            part = self.values._slice(begin, begin + int(parameter.size))
            part.get_tensor()._set_dims(parameter.shape)
            self._parts.append(part)
            begin += size

    def collect(self) -> None:
        """Put each gradient into its place that is not there; a backward pass may give a parameter a new one."""
        for parameter, part in zip(self._parameters, self._parts, strict=True):
            if parameter.grad.data_ptr() != part.data_ptr():
                paddle.assign(parameter.grad, part)
                parameter._copy_gradient_from(part)  # of the tensor: from now on this is its memory


def groups(parameters: Sequence[paddle.Tensor], buffer_mb: float) -> Iterator[list[paddle.Tensor]]:
    """The parameters in groups of one type that fill a buffer, in order."""
    group: list[paddle.Tensor] = []
    size, most = 0, buffer_mb * 2**20
    for parameter in parameters:
        own = _padded(parameter) * parameter.element_size()
        if group and (size + own > most or parameter.grad.dtype != group[0].grad.dtype):
            yield group
            group, size = [], 0
        group.append(parameter)
        size += own
    if group:
        yield group


def _padded(parameter: paddle.Tensor) -> int:
    return -(-int(parameter.size) // ALIGNMENT) * ALIGNMENT
