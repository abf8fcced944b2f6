"""Finds the layers of a network that the kernels can run, and runs them there: the only module that changes layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import paddle
from paddle import nn

from pannsdist.contracts.layers import SpatialMean
from pannsdist.kernels import codes, linear
from pannsdist.kernels.convolution import Convolution, Geometry
from pannsdist.kernels.elementwise import FastDropout, FastMean
from pannsdist.kernels.library import Library
from pannsdist.kernels.linear import FastLinear
from pannsdist.kernels.normalization import BatchNorm
from pannsdist.kernels.operators import Activation, Formula, Operator, Pool, Window
from pannsdist.kernels.sequence import FusedSequence, Own

FORMULAS = {
    nn.ReLU: Formula(codes.RELU),
    nn.Hardswish: Formula(codes.HARD_SWISH, 1 / 6, 0.5),
    nn.Sigmoid: Formula(codes.SIGMOID),
}
"""Element-wise layers, of exactly these classes."""


def replace(network: nn.Layer, library: Library, dtype: str) -> int:
    """Run the layers of a network through the library from now on; returns how many operations replace them.

    The tree of layers, their classes, names, weights and hooks stay: only what `forward` calls is another.
    """

    def make(steps: Sequence[nn.Layer], own: Own) -> Own:
        return FusedSequence(library, operators_of(steps, library), dtype, own)

    return fuse(network, make) + _exchange(network, library, dtype)


def fuse(layer: nn.Layer, make: Callable[[Sequence[nn.Layer], Own], Own]) -> int:
    """Make one operation of each run of known layers with a convolution, in a layer and below; returns how many.

    `make` makes it, from the layers and from what computes them by Paddle.
    """
    steps = _steps(layer)
    if _convolves(steps):
        _give(layer, make(steps, layer.forward))
        return 1
    children = list(layer.children())
    if type(layer) is not nn.Sequential or _hooked(layer):
        return sum(fuse(child, make) for child in children)
    count, parts = 0, list[Own]()
    for is_known, group in groupby(children, key=lambda child: bool(_steps(child))):
        run = list(group)
        steps = [step for child in run for step in _steps(child)]
        if is_known and _convolves(steps):
            parts.append(make(steps, InTurn(run)))
            count += 1
        else:
            parts += run
            count += sum(fuse(child, make) for child in run)
    if count:
        _give(layer, InTurn(parts))
    return count


def _exchange(network: nn.Layer, library: Library, dtype: str) -> int:
    """Exchange the layers that are faster one by one; linear layers where operands are bfloat16 alone."""
    count = 0
    for layer in network.sublayers(include_self=True):
        if (faster := None if _hooked(layer) else _faster(layer, library, dtype)) is not None:
            _give(layer, faster)
            count += 1
    return count


def _faster(layer: nn.Layer, library: Library, dtype: str) -> Own | None:
    """What computes a layer faster; None for a layer without."""
    if type(layer) is nn.Dropout and layer.axis is None and layer.mode == "upscale_in_train":
        return FastDropout(library, layer, layer.forward)
    if type(layer) is SpatialMean:
        return FastMean(library, layer, layer.forward)
    if type(layer) is nn.Linear and dtype == linear.OPERANDS:
        return FastLinear(library, layer, layer.forward)
    return None


def _give(layer: Any, forward: Own) -> None:
    """Let a layer compute by another function from now on."""
    layer.forward = forward


class InTurn:
    """Calls layers one after another, as `nn.Sequential` does."""

    def __init__(self, parts: Sequence[Own]) -> None:
        self._parts = parts

    def __call__(self, given: paddle.Tensor) -> paddle.Tensor:
        """The output of the last layer."""
        for part in self._parts:
            given = part(given)
        return given


def _convolves(steps: Sequence[nn.Layer]) -> bool:
    return any(type(step) is nn.Conv2D for step in steps)


def _steps(layer: nn.Layer) -> list[nn.Layer]:
    """The layers that run one after another in a layer, itself if it is one of a known class; empty for any other."""
    if type(layer) is not nn.Sequential:
        return [layer] if _known(layer) else []
    steps = [_steps(child) for child in layer.children()]
    return [] if _hooked(layer) or not all(steps) else [step for some in steps for step in some]


def operators_of(steps: Sequence[nn.Layer], library: Library) -> list[Operator]:
    """The operators of known layers that run one after another, a ReLU after batch norm being part of it."""
    operators: list[Operator] = []
    rest = list(steps)
    while rest:
        step, *rest = rest
        if type(step) is nn.BatchNorm2D:
            relu = bool(rest) and type(rest[0]) is nn.ReLU
            operators.append(BatchNorm(library, step, relu))
            rest = rest[1:] if relu else rest
        elif type(step) is nn.Conv2D:
            operators.append(Convolution(library, step, geometry(step)))
        elif type(step) is nn.AvgPool2D:
            operators.append(Pool(library, window(step)))
        elif type(step) in FORMULAS:
            operators.append(Activation(library, FORMULAS[type(step)]))
    return operators


def _known(layer: nn.Layer) -> bool:
    if _hooked(layer):
        return False
    if type(layer) is nn.Conv2D:
        return bool(layer._data_format == "NCHW" and layer._padding_mode == "zeros" and _explicit(layer))
    if type(layer) is nn.BatchNorm2D:
        return bool(layer._data_format == "NCHW")
    if type(layer) is nn.AvgPool2D:
        return _plain_pool(layer)
    return type(layer) in FORMULAS or type(layer) is nn.Identity


def _hooked(layer: nn.Layer) -> bool:
    """Whether something observes or replaces what the layer computes."""
    return bool(layer._forward_pre_hooks or layer._forward_post_hooks) or "forward" in vars(layer)


def _explicit(layer: nn.Conv2D) -> bool:
    return _pads(layer._updated_padding) is not None


def _pads(padding: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Padding before and after, (height, width) each; None for one that depends on the input."""
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    if isinstance(padding, list | tuple) and all(isinstance(one, int) for one in padding):
        if len(padding) == 2:
            return (padding[0], padding[1]), (padding[0], padding[1])
        if len(padding) == 4:
            return (padding[0], padding[2]), (padding[1], padding[3])
    return None


def geometry(layer: nn.Conv2D) -> Geometry:
    """The geometry of a convolution whose padding is a number."""
    before, after = _pads(layer._updated_padding) or ((0, 0), (0, 0))
    kernel = tuple(int(size) for size in layer.weight.shape)
    stride, dilation = _pair(layer._stride), _pair(layer._dilation)
    return Geometry(stride, dilation, before, after, int(layer._groups), kernel, layer.bias is not None)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _plain_pool(layer: nn.AvgPool2D) -> bool:
    numbers = (layer.ksize, layer.stride, layer.padding)
    kinds = all(isinstance(one, int | list | tuple | None) for one in numbers)
    padded = isinstance(layer.padding, int) or (len(layer.padding) == 2 and isinstance(layer.padding[0], int))
    return kinds and padded and not layer.ceil_mode and layer.divisor is None and layer.data_format == "NCHW"


def window(layer: nn.AvgPool2D) -> Window:
    """The window of a pooling layer."""
    size = _pair(layer.ksize)
    stride = size if layer.stride is None else _pair(layer.stride)
    kind = codes.AVERAGE_POOL if layer.exclusive else codes.AVERAGE_POOL_WITH_PADDING
    return Window(kind, size, stride, _pair(layer.padding))
