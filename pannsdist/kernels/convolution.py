"""Convolutions: forward, and the gradients of input, weight and bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import nn

from pannsdist.kernels import codes
from pannsdist.kernels.images import Image, empty
from pannsdist.kernels.library import Library, dims
from pannsdist.kernels.operators import Backward, Forward, Gradients, existing
from pannsdist.kernels.primitives import KEPT, Descriptions, Layout, Primitive, any_layout, copies, image, planes


@dataclass(frozen=True)
class Geometry:
    """Stride, dilation and padding of a convolution, (height, width) each, and its groups."""

    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    groups: int
    kernel: tuple[int, ...]
    """The weight's sizes: outputs, inputs per group, height, width."""
    bias: bool

    def grouped(self) -> tuple[int, ...]:
        """The weight's sizes as the library takes them: with the groups first, if there are several."""
        outputs, *rest = self.kernel
        return (self.groups, outputs // self.groups, *rest) if self.groups > 1 else self.kernel

    def arguments(self) -> tuple[Any, ...]:
        """What all convolution descriptors take; the library counts a dilation from 0."""
        dilation = [one - 1 for one in self.dilation]
        return dims(*self.stride), dims(*dilation), dims(*self.before), dims(*self.after)

    def output(self, given: Layout) -> Layout | None:
        """The layout of the output; None where the input is smaller than the kernel, or has other channels."""
        batch, channels, *lengths = given.sizes
        height, width = (self._length(length, axis) for axis, length in enumerate(lengths))
        if min(height, width) < 1 or channels != self.kernel[1] * self.groups:
            return None
        return image((batch, self.kernel[0], height, width), given.dtype)

    def _length(self, length: int, axis: int) -> int:
        """The output's length along an axis: 0 height, 1 width."""
        span = self.dilation[axis] * (self.kernel[2 + axis] - 1) + 1
        return (length + self.before[axis] + self.after[axis] - span) // self.stride[axis] + 1


class Kernels:
    """The primitives of a convolution for one shape: the passes, and the reorders of the weight into their layouts."""

    def __init__(self, library: Library, geometry: Geometry, given: Layout, output: Layout) -> None:
        sizes = geometry.grouped()
        bias = planes((geometry.kernel[0],)) if geometry.bias else None
        with Descriptions(library) as of:
            source, target = of.of(given), of.of(output)
            weight, gradient = of.of(any_layout(sizes, given.dtype)), of.of(any_layout(sizes, "float32"))
            shift = of.of(bias) if bias else None
            engine, kind, shape = library.engine, codes.DIRECT_CONVOLUTION, geometry.arguments()
            there = library.new(
                "convolution_forward_primitive_desc_create",
                engine, codes.FORWARD_TRAINING, kind, source, weight, shift, target, *shape, None,
            )  # fmt: skip
            back = library.new(
                "convolution_backward_data_primitive_desc_create",
                engine, kind, source, weight, target, *shape, there, None,
            )  # fmt: skip
            aside = library.new(
                "convolution_backward_weights_primitive_desc_create",
                engine, kind, source, gradient, shift, target, *shape, there, None,
            )  # fmt: skip
            biased = geometry.bias
            self.forward = Primitive(
                library, there, (codes.SRC, codes.WEIGHTS, codes.DST, *((codes.BIAS,) if biased else ()))
            )
            self.data = Primitive(library, back, (codes.DIFF_DST, codes.WEIGHTS, codes.DIFF_SRC))
            of_weights = (codes.SRC, codes.DIFF_DST, codes.DIFF_WEIGHTS, *((codes.DIFF_BIAS,) if biased else ()))
            self.weight = Primitive(library, aside, of_weights)
            plain = of.of(planes(sizes))
            self.to_forward = copies(library, plain, self.forward.layout(codes.WEIGHTS))
            self.to_data = copies(library, plain, self.data.layout(codes.WEIGHTS))
            self.from_weight = copies(library, self.weight.layout(codes.DIFF_WEIGHTS), plain)


class Convolution:
    """A layer `nn.Conv2D` in float32, or with operands in bfloat16 and sums in float32."""

    def __init__(self, library: Library, layer: nn.Conv2D, geometry: Geometry) -> None:
        self._library, self._layer, self._geometry = library, layer, geometry

    @property
    def parameters(self) -> Sequence[paddle.Tensor]:
        """Weight, and bias if there is one."""
        return [self._layer.weight, *([self._layer.bias] if self._geometry.bias else [])]

    def output(self, given: Layout) -> Layout | None:
        """See Geometry."""
        return self._geometry.output(given)

    def forward(self, given: Image, saves: bool) -> Forward:
        """The input is kept for backward."""
        kernels, result = self._kernels(given.layout), empty(existing(self.output(given.layout)))
        weight = self._reordered(kernels.to_forward)
        pointers = {codes.SRC: given.pointer, codes.WEIGHTS: int(weight.data_ptr()), codes.DST: result.pointer}
        if self._geometry.bias:
            pointers[codes.BIAS] = int(self._layer.bias.data_ptr())
        kernels.forward(pointers)
        return Forward(result, given if saves else None)

    def backward(self, saved: Image, gradient: Image, needs_input: bool) -> Backward:
        """The gradients of the weights are float32; None if none of them trains."""
        kernels, result = self._kernels(saved.layout), None
        if needs_input:
            result = empty(saved.layout)
            weight = self._reordered(kernels.to_data)
            pointers = {codes.WEIGHTS: int(weight.data_ptr()), codes.DIFF_SRC: result.pointer}
            kernels.data({codes.DIFF_DST: gradient.pointer, **pointers})
        if all(parameter.stop_gradient for parameter in self.parameters):
            return Backward(result, [None for _ in self.parameters])
        return Backward(result, self._of_weights(kernels, saved, gradient))

    def _of_weights(self, kernels: Kernels, saved: Image, gradient: Image) -> Gradients:
        inner = paddle.empty([kernels.weight.size(codes.DIFF_WEIGHTS)], "uint8")
        outer = paddle.empty(list(self._geometry.kernel), "float32")
        of_bias = [paddle.empty([self._geometry.kernel[0]], "float32")] if self._geometry.bias else []
        pointers = {codes.SRC: saved.pointer, codes.DIFF_DST: gradient.pointer}
        pointers[codes.DIFF_WEIGHTS] = int(inner.data_ptr())
        if of_bias:
            pointers[codes.DIFF_BIAS] = int(of_bias[0].data_ptr())
        kernels.weight(pointers)
        kernels.from_weight({codes.SRC: int(inner.data_ptr()), codes.DST: int(outer.data_ptr())})
        return [outer, *of_bias]

    def _reordered(self, primitive: Primitive) -> paddle.Tensor:
        """The weight of now, which the optimizer changes in place, in the layout that a pass wants."""
        inner = paddle.empty([primitive.size(codes.DST)], "uint8")
        primitive({codes.SRC: int(self._layer.weight.data_ptr()), codes.DST: int(inner.data_ptr())})
        return inner

    def _kernels(self, given: Layout) -> Kernels:
        def create() -> Kernels:
            return Kernels(self._library, self._geometry, given, existing(self.output(given)))

        found: Kernels = KEPT.get(("convolution", self._geometry, given), create)
        return found
