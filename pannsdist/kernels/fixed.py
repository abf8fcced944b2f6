"""A network whose weights no longer change: its known layers through the library, while a block runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import paddle
from paddle import nn

from pannsdist.kernels import codes
from pannsdist.kernels.elementwise import is_plain
from pannsdist.kernels.fixed_convolution import FixedConvolution, Folded
from pannsdist.kernels.images import Image, empty, reorder
from pannsdist.kernels.library import Library, Refused, threads
from pannsdist.kernels.normalization import BatchNorm
from pannsdist.kernels.operators import Activation, ForwardOperator, Pool, Window
from pannsdist.kernels.primitives import Layout, image
from pannsdist.kernels.replacing import FORMULAS, fuse, geometry, window
from pannsdist.kernels.sequence import Own

ACTIVATION_BYTES = 8 * 2**20
"""A batch is computed in parts whose largest activation is not above this, or image by image: those stay in the caches.

On CNN14, eight clips of 10 s, in bfloat16: 0.10 s of a core for a clip instead of 0.13 s (two Intel cores, busy).
"""


class FixedNetwork:
    """A network in evaluation mode, computed by the library within `active`; outside, its layers are as they were.

    A batch norm that uses the statistics of its batch even then stays Paddle's, with the layers around it. `count` is
    the number of runs of layers that are replaced. Weights are read at the first pass over a run. `dtype` is the type
    of activations and of the operands of convolutions; sums are float32.
    """

    def __init__(self, network: nn.Layer, library: Library, dtype: str, count_threads: int) -> None:
        layers = network.sublayers(include_self=True)
        own = [vars(layer).get("forward") for layer in layers]

        def make(steps: Sequence[nn.Layer], by_paddle: Own) -> Own:
            is_fixed = all(type(step) is not nn.BatchNorm2D or step._use_global_stats is not False for step in steps)
            return FixedSequence(library, steps, dtype, by_paddle) if is_fixed else by_paddle

        self.count = fuse(network, make)
        changed = [(layer, before) for layer, before in zip(layers, own, strict=True) if _own(layer) is not before]
        self._forwards = [(layer, _own(layer)) for layer, _ in changed]
        for layer, _ in changed:
            del layer.forward
        self._library, self._threads = library, count_threads

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within the block the library computes, without gradients, on its number of threads."""
        for layer, forward in self._forwards:
            layer.forward = forward
        try:
            before, self._library.threads = self._library.threads, self._threads
            with paddle.no_grad():
                yield
        finally:
            self._library.threads = before
            for layer, _ in self._forwards:
                del layer.forward


def _own(layer: nn.Layer) -> object:
    return vars(layer).get("forward")


class FixedSequence:
    """Runs layers one after another; where the library cannot, `own` runs: the layers by Paddle.

    Call it as a layer: (B, C, H, W) float32 -> (B, C', H', W') float32. The longer of the two axes is the inner one:
    the kernels of the library work along it. The convolutions of CNN14, whose images are 31 x 2 at the end, took 0.26 s
    of a core for a clip of 10 s instead of 0.41 s (AVX-512, float32).
    """

    def __init__(self, library: Library, steps: Sequence[nn.Layer], dtype: str, own: Own) -> None:
        self._library, self._steps, self._dtype, self._own = library, steps, dtype, own
        self._operators: dict[bool, list[ForwardOperator]] = {}

    def __call__(self, given: paddle.Tensor) -> paddle.Tensor:
        """The output, without autograd."""
        if paddle.is_grad_enabled() or given.ndim != 4 or not is_plain(given, self._library):
            return self._own(given)
        batch, channels, height, width = given.shape
        is_turned = height > width
        operators = self._operators_of(is_turned)
        sizes = (channels, width, height) if is_turned else (channels, height, width)
        per_image = _largest(operators, image((1, *sizes), self._dtype))
        if per_image is None:
            return self._own(given)
        step = max(1, ACTIVATION_BYTES // per_image)
        try:
            with threads(self._library.threads):
                parts = [self._run(operators, given[i : i + step], is_turned) for i in range(0, batch, step)]
        except Refused:
            return self._own(given)
        return parts[0] if len(parts) == 1 else paddle.concat(parts)

    def _run(self, operators: Sequence[ForwardOperator], given: paddle.Tensor, is_turned: bool) -> paddle.Tensor:
        current = _enter(self._library, given, is_turned, self._dtype)
        for one in operators:
            current = one.forward(current, saves=False).output
        return _leave(self._library, current, is_turned)

    def _operators_of(self, is_turned: bool) -> list[ForwardOperator]:
        if is_turned not in self._operators:
            self._operators[is_turned] = fixed_operators(self._steps, self._library, is_turned)
        return self._operators[is_turned]


def _largest(operators: Sequence[ForwardOperator], layout: Layout) -> int | None:
    """The bytes of the largest activation, or None where the operators are not defined for an input of this layout."""
    sizes, following = [math.prod(layout.sizes)], layout
    for one in operators:
        after = one.output(following)
        if after is None:
            return None
        sizes.append(math.prod(after.sizes))
        following = after
    return max(sizes) * (2 if layout.dtype == "bfloat16" else 4)


def fixed_operators(steps: Sequence[nn.Layer], library: Library, is_turned: bool) -> list[ForwardOperator]:
    """The operators of known layers in evaluation mode that run one after another."""
    operators: list[ForwardOperator] = []
    rest = [step for step in steps if type(step) is not nn.Identity]
    while rest:
        step, *rest = rest
        if type(step) is nn.Conv2D:
            norm = rest.pop(0) if rest and type(rest[0]) is nn.BatchNorm2D else None
            formula = FORMULAS[type(rest.pop(0))] if rest and type(rest[0]) in FORMULAS else None
            operators.append(FixedConvolution(library, Folded(step, norm, formula), geometry(step), is_turned))
        elif type(step) is nn.BatchNorm2D:
            operators.append(BatchNorm(library, step, relu=False))
        elif type(step) is nn.AvgPool2D:
            operators.append(Pool(library, _turned_window(step) if is_turned else window(step)))
        else:
            operators.append(Activation(library, FORMULAS[type(step)]))
    return operators


def _turned_window(step: nn.AvgPool2D) -> Window:
    found = window(step)
    return replace(found, size=found.size[::-1], stride=found.stride[::-1], padding=found.padding[::-1])


def _outer(sizes: Sequence[int], is_turned: bool) -> Layout:
    """Paddle's own layout of an image of these inner sizes (B, C, H, W)."""
    batch, channels, height, width = sizes
    places = height * width
    along = (1, height) if is_turned else (width, 1)
    return Layout((batch, channels, height, width), (channels * places, places, *along), "float32")


def _enter(library: Library, array: paddle.Tensor, is_turned: bool, dtype: str) -> Image:
    """(B, C, H, W) float32 -> an image of a type, its height and width exchanged if it is turned."""
    array = array.contiguous()
    batch, channels, height, width = array.shape
    sizes = (batch, channels, width, height) if is_turned else (batch, channels, height, width)
    made = empty(image(sizes, dtype))
    into = reorder(library, _outer(sizes, is_turned), made.layout)
    into({codes.SRC: int(array.data_ptr()), codes.DST: made.pointer})
    return made


def _leave(library: Library, given: Image, is_turned: bool) -> paddle.Tensor:
    """An image -> (B, C, H, W) float32 in Paddle's layout."""
    batch, channels, height, width = given.layout.sizes
    array = paddle.empty([batch, channels, *((width, height) if is_turned else (height, width))], "float32")
    out = reorder(library, given.layout, _outer(given.layout.sizes, is_turned))
    out({codes.SRC: given.pointer, codes.DST: int(array.data_ptr())})
    return array
