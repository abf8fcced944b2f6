"""Operators on float32 arrays in Paddle's own layout: dropout with numpy's generator, and the mean of channels.

Paddle's dropout on a CPU draws one number after another, at 0.5 GB/s; its gradient of a mean took a sixth of a
training step of efficientat_mn04 (Paddle 3.3.1).
"""

from __future__ import annotations

import os
from ctypes import c_float
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.autograd import PyLayer

from pannsdist.contracts.layers import SpatialMean
from pannsdist.kernels import codes
from pannsdist.kernels.library import Library, threads
from pannsdist.kernels.primitives import KEPT, Descriptions, Primitive, planes
from pannsdist.kernels.sequence import Own, refuse_second_derivative

STEPS = 2**16
"""The probability of dropout is rounded to a multiple of 1 / STEPS."""


class FastDropout:
    """A layer `nn.Dropout`, for float32 of any shape. The mask depends on the state of Paddle's generator alone."""

    def __init__(self, library: Library, layer: nn.Dropout, own: Own) -> None:
        self._library, self._layer, self._own = library, layer, own

    def __call__(self, given: paddle.Tensor) -> paddle.Tensor:
        """The array, with elements set to zero and the others scaled up in training."""
        if not (self._layer.training and 0 < self._layer.p < 1 and is_plain(given, self._library)):
            return self._own(given)
        factors = self._factors(given)
        result: paddle.Tensor = _Product.apply(given, factors, self._library)
        return result

    def _factors(self, given: paddle.Tensor) -> paddle.Tensor:
        """0 or 1 / (1 - p) for each element."""
        seed = int(paddle.randint(0, 2**31 - 1, [1], "int64").item())
        words = np.random.SFC64(seed).random_raw(given.size // 4 + 1)
        kept = words.view(np.uint16)[: given.size] >= round(self._layer.p * STEPS)
        factors = paddle.empty(given.shape, "float32")
        np.multiply(kept, np.float32(1 / (1 - self._layer.p)), out=_values(factors))
        return factors


class _Product(PyLayer):
    @staticmethod
    def forward(ctx: Any, given: paddle.Tensor, factors: paddle.Tensor, library: Library) -> paddle.Tensor:
        ctx.factors, ctx.library = factors, library
        return product(library, given, factors)

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor, None]:
        refuse_second_derivative()
        return product(ctx.library, gradient, ctx.factors), None


def product(library: Library, one: paddle.Tensor, other: paddle.Tensor) -> paddle.Tensor:
    """The product of two arrays of the same shape, element by element."""
    one, result = one.contiguous(), paddle.empty(one.shape, "float32")

    def create() -> Primitive:
        with Descriptions(library) as of:
            flat = of.of(planes((one.size,)))
            arguments = (library.engine, codes.MULTIPLY, flat, flat, flat, None)
            description = library.new("binary_primitive_desc_create", *arguments)
            return Primitive(library, description, (codes.SRC, codes.SRC_1, codes.DST))

    multiply: Primitive = KEPT.get(("product", one.size), create)
    pointers = {codes.SRC: int(one.data_ptr()), codes.SRC_1: int(other.data_ptr())}
    with threads(library.threads):
        multiply({**pointers, codes.DST: int(result.data_ptr())})
    return result


class FastMean:
    """A layer `SpatialMean`: the mean is Paddle's, its gradient is written by numpy."""

    def __init__(self, library: Library, layer: SpatialMean, own: Own) -> None:
        self._library, self._layer, self._own = library, layer, own

    def __call__(self, given: paddle.Tensor) -> paddle.Tensor:
        """(B, C, H, W) -> (B, C)."""
        if given.stop_gradient or given.ndim != 4 or not is_plain(given, self._library):
            return self._own(given)
        result: paddle.Tensor = _Mean.apply(given, self._own)
        return result


class _Mean(PyLayer):
    @staticmethod
    def forward(ctx: Any, given: paddle.Tensor, own: Own) -> paddle.Tensor:
        ctx.sizes = list(given.shape)
        return own(given)

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        refuse_second_derivative()
        result = paddle.empty(ctx.sizes, "float32")
        places = ctx.sizes[2] * ctx.sizes[3]
        _values(result).reshape(-1, places)[:] = gradient.numpy().reshape(-1, 1) / np.float32(places)
        return result


def is_plain(given: paddle.Tensor, library: Library) -> bool:
    """Whether an array is one that these operators take, in the process that they were made in."""
    is_float = given.dtype == paddle.float32 and given.place.is_cpu_place() and given.size > 0
    return is_float and os.getpid() == library.process


def _values(array: paddle.Tensor) -> np.ndarray:
    """The memory of a contiguous array, to write to while the array lives."""
    return np.ctypeslib.as_array((c_float * array.size).from_address(array.data_ptr()))
