"""Batch normalization, with the ReLU after it if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import paddle
from paddle import nn

from pannsdist.kernels import codes
from pannsdist.kernels.images import Image, empty
from pannsdist.kernels.library import Library
from pannsdist.kernels.operators import Backward, Forward
from pannsdist.kernels.primitives import KEPT, Descriptions, Layout, Primitive


@dataclass(frozen=True)
class _Saved:
    """What backward needs: the input, the statistics that normalised it, and where ReLU was positive."""

    given: Image
    flags: int
    mean: paddle.Tensor
    variance: paddle.Tensor
    positive: paddle.Tensor | None


class BatchNorm:
    """A layer `nn.BatchNorm2D`; its running statistics are updated as Paddle does: with the biased variance."""

    def __init__(self, library: Library, layer: nn.BatchNorm2D, relu: bool) -> None:
        self._library, self._layer, self._relu = library, layer, relu

    @property
    def parameters(self) -> Sequence[paddle.Tensor]:
        """Weight and bias, those that the layer has."""
        return [one for one in (self._layer.weight, self._layer.bias) if one is not None]

    def output(self, given: Layout) -> Layout | None:
        """None where a channel has one value, which Paddle passes on, and for other channels."""
        batch, channels, height, width = given.sizes
        return given if channels == self._layer._num_features and batch * height * width > 1 else None

    def forward(self, given: Image, saves: bool) -> Forward:
        """Normalises with the statistics of the batch, or the running ones as in Paddle."""
        layer, flags, result = self._layer, self._flags(), empty(given.layout)
        there, _ = self._pair(given.layout, flags)
        if flags & codes.GLOBAL_STATISTICS:
            mean, variance = layer._mean, layer._variance
            if saves:  # the layer's own may change before backward
                mean, variance = mean.clone(), variance.clone()
        else:
            mean, variance = paddle.empty_like(layer._mean), paddle.empty_like(layer._variance)
        positive = paddle.empty([there.size(codes.WORKSPACE)], "uint8") if self._relu else None
        there({codes.SRC: given.pointer, codes.DST: result.pointer, **self._pointers(mean, variance, positive)})
        update = None if flags & codes.GLOBAL_STATISTICS else partial(self._update, mean, variance)
        return Forward(result, _Saved(given, flags, mean, variance, positive) if saves else None, update)

    def backward(self, saved: _Saved, gradient: Image, needs_input: bool) -> Backward:  # noqa: ARG002 - computed anyway
        """All gradients in one pass."""
        _, back = self._pair(saved.given.layout, saved.flags)
        result = empty(saved.given.layout)
        made = [paddle.empty_like(one) for one in self.parameters]
        names = [code for code, one in self._named(codes.DIFF_SCALE, codes.DIFF_SHIFT) if one is not None]
        pointers = {code: int(one.data_ptr()) for code, one in zip(names, made, strict=True)}
        pointers |= self._pointers(saved.mean, saved.variance, saved.positive)
        pointers |= {codes.SRC: saved.given.pointer, codes.DIFF_DST: gradient.pointer, codes.DIFF_SRC: result.pointer}
        back(pointers)
        pairs = zip(self.parameters, made, strict=True)
        return Backward(result, [None if one.stop_gradient else got for one, got in pairs])

    def _flags(self) -> int:
        layer = self._layer
        flags = codes.FUSED_RELU if self._relu else 0
        flags |= codes.USE_SCALE if layer.weight is not None else 0
        flags |= codes.USE_SHIFT if layer.bias is not None else 0
        by_running = layer._use_global_stats or (layer._use_global_stats is None and not layer.training)
        return flags | (codes.GLOBAL_STATISTICS if by_running else 0)

    def _named(self, scale: int, shift: int) -> list[tuple[int, paddle.Tensor | None]]:
        return [(scale, self._layer.weight), (shift, self._layer.bias)]

    def _pointers(self, mean: paddle.Tensor, variance: paddle.Tensor, positive: paddle.Tensor | None) -> dict[int, int]:
        named = [*self._named(codes.SCALE, codes.SHIFT), (codes.MEAN, mean), (codes.VARIANCE, variance)]
        named.append((codes.WORKSPACE, positive))
        return {code: int(one.data_ptr()) for code, one in named if one is not None}

    def _update(self, mean: paddle.Tensor, variance: paddle.Tensor) -> None:
        """Paddle's momentum is the weight of the old value."""
        layer = self._layer
        momentum = layer._momentum
        with paddle.no_grad():
            for running, new in ((layer._mean, mean), (layer._variance, variance)):
                paddle.assign(running * momentum + new * (1.0 - momentum), running)

    def _pair(self, layout: Layout, flags: int) -> tuple[Primitive, Primitive]:
        key = ("batch norm", self._layer._epsilon, layout, flags)
        found: tuple[Primitive, Primitive] = KEPT.get(key, lambda: self._made(layout, flags))
        return found

    def _made(self, layout: Layout, flags: int) -> tuple[Primitive, Primitive]:
        library, epsilon = self._library, self._layer._epsilon
        with Descriptions(library) as of:
            data = of.of(layout)
            kind, further = codes.FORWARD_TRAINING, (epsilon, flags)
            there = library.new(
                "batch_normalization_forward_primitive_desc_create", library.engine, kind, data, data, *further, None
            )
            back = library.new(
                "batch_normalization_backward_primitive_desc_create",
                library.engine, codes.BACKWARD, data, data, data, *further, there, None,
            )  # fmt: skip
        weights = [code for code, one in self._named(codes.SCALE, codes.SHIFT) if one is not None]
        gradients = [code for code, one in self._named(codes.DIFF_SCALE, codes.DIFF_SHIFT) if one is not None]
        both = (codes.SRC, codes.MEAN, codes.VARIANCE, *weights, *((codes.WORKSPACE,) if self._relu else ()))
        # Backward takes no shift.
        used = tuple(code for code in both if code != codes.SHIFT)
        forward = Primitive(library, there, (codes.DST, *both))
        return forward, Primitive(library, back, (codes.DIFF_DST, codes.DIFF_SRC, *used, *gradients))
