"""Linear layers whose operands are bfloat16: matrix products with sums, bias and results in float32."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import paddle
from paddle import nn
from paddle.autograd import PyLayer

from pannsdist.kernels import codes
from pannsdist.kernels.elementwise import is_plain
from pannsdist.kernels.library import Library, Refused, threads
from pannsdist.kernels.primitives import KEPT, Descriptions, Layout, Primitive, any_layout, copies, planes
from pannsdist.kernels.sequence import Own, refuse_second_derivative

OPERANDS = "bfloat16"
LEAST_ROWS = 64
"""Rows per clip from which the conversion of the weight pays off (measured for AST's sizes, AMX).

Per clip, not per batch: a clip's result must not depend on the clips beside it.
"""


@dataclass(frozen=True)
class Matrix:
    """A float32 matrix in C order, or its transpose."""

    array: paddle.Tensor
    is_transposed: bool = False

    @property
    def layout(self) -> Layout:
        """Sizes and strides as the product sees them."""
        rows, columns = self.array.shape
        return Layout((columns, rows), (1, columns), "float32") if self.is_transposed else planes((rows, columns))

    @property
    def pointer(self) -> int:
        """The address of the first element."""
        return int(self.array.data_ptr())


class FastLinear:
    """A layer `nn.Linear` on sequences: (B, ..., I) float32 -> (B, ..., O) float32; Paddle computes short ones."""

    def __init__(self, library: Library, layer: nn.Linear, own: Own) -> None:
        self._library, self._layer, self._own = library, layer, own

    def __call__(self, given: paddle.Tensor) -> paddle.Tensor:
        """The output, with autograd."""
        weight, bias = self._layer.weight, self._layer.bias
        is_short = prod(given.shape[1:-1]) < LEAST_ROWS
        if is_short or given.shape[-1] != weight.shape[0] or not is_plain(given, self._library):
            return self._own(given)
        rows = given.reshape([-1, given.shape[-1]])
        try:
            result: paddle.Tensor = _Affine.apply(rows, weight, bias, self._library)
        except Refused:
            return self._own(given)
        return result.reshape([*given.shape[:-1], weight.shape[1]])


class _Affine(PyLayer):
    @staticmethod
    def forward(
        ctx: Any, rows: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor | None, library: Library
    ) -> paddle.Tensor:
        rows = rows.contiguous()
        ctx.saved = rows, weight, bias, library
        ctx.needs = [one is not None and not one.stop_gradient for one in (rows, weight, bias)]
        result = product(library, Matrix(rows), Matrix(weight), bias)
        for needed, factors in zip(ctx.needs, _of_backward(rows, weight, result), strict=False):
            if needed:  # what the library refuses is refused now, while Paddle can compute the layer instead
                _primitives(library, *factors)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        refuse_second_derivative()
        rows, weight, bias, library = ctx.saved
        of_rows, of_weight, of_bias = ctx.needs
        gradient = gradient.contiguous()
        for_rows, for_weight = _of_backward(rows, weight, gradient)
        return (
            product(library, *for_rows) if of_rows else None,
            product(library, *for_weight) if of_weight else None,
            *([] if bias is None else [gradient.sum(axis=0) if of_bias else None]),
        )


def _of_backward(
    rows: paddle.Tensor, weight: paddle.Tensor, gradient: paddle.Tensor
) -> tuple[tuple[Matrix, Matrix], tuple[Matrix, Matrix]]:
    """The factors of the gradients of input and weight, from that of the output."""
    of_output = Matrix(gradient)
    return (of_output, Matrix(weight, is_transposed=True)), (Matrix(rows, is_transposed=True), of_output)


class _Product:
    """The primitives of a product for fixed layouts: the product, and the reorders of its operands."""

    def __init__(self, library: Library, layouts: tuple[Layout, Layout], is_biased: bool) -> None:
        first, second = layouts
        sizes = first.sizes[0], second.sizes[1]
        with Descriptions(library) as of:
            operands = [of.of(any_layout(one.sizes, OPERANDS)) for one in layouts]
            shift = of.of(planes((1, sizes[1]))) if is_biased else None
            result = of.of(planes(sizes))
            description = library.new("matmul_primitive_desc_create", library.engine, *operands, shift, result, None)
            bias = (codes.BIAS,) if is_biased else ()
            self.multiply = Primitive(library, description, (codes.SRC, codes.WEIGHTS, codes.DST, *bias))
            self.enter = [
                copies(library, of.of(layout), self.multiply.layout(code))
                for layout, code in zip(layouts, (codes.SRC, codes.WEIGHTS), strict=True)
            ]


def _primitives(library: Library, first: Matrix, second: Matrix, is_biased: bool = False) -> _Product:
    layouts = first.layout, second.layout
    found: _Product = KEPT.get(
        ("product of matrices", layouts, is_biased), lambda: _Product(library, layouts, is_biased)
    )
    return found


def product(library: Library, first: Matrix, second: Matrix, bias: paddle.Tensor | None = None) -> paddle.Tensor:
    """(R, I) x (I, O) + bias (O) -> (R, O) float32. Raises Refused for sizes that the library does not know."""
    primitives = _primitives(library, first, second, bias is not None)
    result = paddle.empty([first.layout.sizes[0], second.layout.sizes[1]], "float32")
    pointers = {codes.DST: int(result.data_ptr())}
    if bias is not None:
        pointers[codes.BIAS] = int(bias.data_ptr())
    with threads(library.threads):
        kept = []
        for one, enter, code in zip((first, second), primitives.enter, (codes.SRC, codes.WEIGHTS), strict=True):
            kept.append(paddle.empty([enter.size(codes.DST)], "uint8"))
            pointers[code] = int(kept[-1].data_ptr())
            enter({codes.SRC: one.pointer, codes.DST: pointers[code]})
        primitives.multiply(pointers)
    return result
