"""Convolutions whose weights no longer change: batch norm and activation after them are part of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import paddle
from paddle import nn

from pannsdist.kernels import codes
from pannsdist.kernels.convolution import Geometry
from pannsdist.kernels.images import Image, empty
from pannsdist.kernels.library import Handle, Library
from pannsdist.kernels.operators import Formula, Forward, existing
from pannsdist.kernels.primitives import KEPT, Descriptions, Layout, Primitive, any_layout, copies, planes


@dataclass(frozen=True)
class Folded:
    """A convolution, and what follows it: batch norm with running statistics, an element-wise function, or neither."""

    layer: nn.Conv2D
    norm: nn.BatchNorm2D | None
    formula: Formula | None

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias (O,) of one convolution that computes both, float32."""
        weight = self.layer.weight.numpy()
        bias = np.zeros(len(weight)) if self.layer.bias is None else self.layer.bias.numpy().astype(np.float64)
        if self.norm is not None:
            factor = 1 / np.sqrt(self.norm._variance.numpy().astype(np.float64) + self.norm._epsilon)
            if self.norm.weight is not None:
                factor *= self.norm.weight.numpy()
            weight = weight * factor.astype(np.float32)[:, None, None, None]
            bias = (bias - self.norm._mean.numpy()) * factor
            if self.norm.bias is not None:
                bias = bias + self.norm.bias.numpy()
        return weight, bias.astype(np.float32)


def turned(geometry: Geometry) -> Geometry:
    """The geometry for images with height and width exchanged."""
    outputs, inputs, height, width = geometry.kernel
    pairs = {name: getattr(geometry, name)[::-1] for name in ("stride", "dilation", "before", "after")}
    return replace(geometry, kernel=(outputs, inputs, width, height), **pairs)


class FixedConvolution:
    """A folded convolution. Its weights are read at the first pass, and kept in the layout that the library wants.

    With `is_turned`, images come with height and width exchanged.
    """

    def __init__(self, library: Library, folded: Folded, geometry: Geometry, is_turned: bool) -> None:
        self._library, self._folded, self._is_turned = library, folded, is_turned
        self._geometry = replace(turned(geometry) if is_turned else geometry, bias=True)
        self._kept: tuple[Primitive, paddle.Tensor, paddle.Tensor] | None = None

    def output(self, given: Layout) -> Layout | None:
        """See Geometry."""
        return self._geometry.output(given)

    def forward(self, given: Image, saves: bool) -> Forward:  # noqa: ARG002 - there is no backward pass
        """Convolution, batch norm and activation in one pass."""
        result = empty(existing(self.output(given.layout)))
        primitive = self._primitive(given.layout, result.layout)
        weight, bias = self._weights(primitive)
        pointers = {codes.SRC: given.pointer, codes.DST: result.pointer}
        primitive({**pointers, codes.WEIGHTS: int(weight.data_ptr()), codes.BIAS: int(bias.data_ptr())})
        return Forward(result)

    def _weights(self, primitive: Primitive) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Weight and bias as a primitive wants them; one copy is kept, since most shapes want the same layout."""
        layout = primitive.layout(codes.WEIGHTS)
        if self._kept is None or not self._library.memory_desc_equal(self._kept[0].layout(codes.WEIGHTS), layout):
            self._kept = (primitive, *self._folded_weights(layout, primitive.size(codes.WEIGHTS)))
        return self._kept[1:]

    def _folded_weights(self, layout: Handle, size: int) -> tuple[paddle.Tensor, paddle.Tensor]:
        weight, bias = self._folded.weights()
        if self._is_turned:
            weight = np.ascontiguousarray(weight.transpose(0, 1, 3, 2))
        outer, inner = paddle.to_tensor(weight, place="cpu"), paddle.empty([size], "uint8")
        with Descriptions(self._library) as of:
            into = copies(self._library, of.of(planes(self._geometry.grouped())), layout)
        into({codes.SRC: int(outer.data_ptr()), codes.DST: int(inner.data_ptr())})
        return inner, paddle.to_tensor(bias, place="cpu")

    def _primitive(self, given: Layout, output: Layout) -> Primitive:
        key = ("fixed convolution", self._geometry, self._folded.formula, given)
        found: Primitive = KEPT.get(key, lambda: self._made(given, output))
        return found

    def _made(self, given: Layout, output: Layout) -> Primitive:
        library, geometry = self._library, self._geometry
        sizes, attributes = geometry.grouped(), _attributes(library, self._folded.formula)
        try:
            with Descriptions(library) as of:
                weight, bias = of.of(any_layout(sizes, given.dtype)), of.of(planes((geometry.kernel[0],)))
                description = library.new(
                    "convolution_forward_primitive_desc_create",
                    library.engine, codes.FORWARD_INFERENCE, codes.DIRECT_CONVOLUTION, of.of(given), weight, bias,
                    of.of(output), *geometry.arguments(), attributes,
                )  # fmt: skip
        finally:
            library.call("primitive_attr_destroy", attributes)
        return Primitive(library, description, (codes.SRC, codes.WEIGHTS, codes.BIAS, codes.DST))


def _attributes(library: Library, formula: Formula | None) -> Handle:
    """Attributes of a primitive that applies an element-wise function to its output."""
    attributes = library.new("primitive_attr_create")
    if formula is not None:
        following = library.new("post_ops_create")
        library.call("post_ops_append_eltwise", following, formula.algorithm, formula.alpha, formula.beta)
        library.call("primitive_attr_set_post_ops", attributes, following)
        library.call("post_ops_destroy", following)
    return attributes
