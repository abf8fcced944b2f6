"""Small layers, run by Paddle's own kernels and by those of the library, from equal weights."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import paddle

from pannsdist.kernels.choice import VERSION
from pannsdist.kernels.library import LibraryError, loaded
from pannsdist.kernels.replacing import replace

try:
    IS_KNOWN = loaded().version[:2] == VERSION
except LibraryError:
    IS_KNOWN = False
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}


def twins(layer, dtype="float32"):
    """A layer, and a copy that the library runs."""
    copy = deepcopy(layer)
    assert replace(copy, loaded(), dtype) > 0
    return layer, copy


def passes(layer, given, seed=0):
    """Output, input gradient, weight gradients and buffers after a forward and a backward pass."""
    given = paddle.to_tensor(given, stop_gradient=False)
    output = layer(given)
    random = np.random.default_rng(seed).normal(size=output.shape).astype(np.float32)
    paddle.autograd.backward([output], [paddle.to_tensor(random)])
    weights = {name: one.grad for name, one in layer.named_parameters() if one.grad is not None}
    buffers = {name: one for name, one in layer.named_parameters() if one.stop_gradient}
    found = {"output": output, "input": given.grad, **weights, **buffers}
    return {name: one.numpy() for name, one in found.items()}


def assert_close(own, other, tolerance):
    """Equal to within a part of the largest value of each array."""
    assert own.keys() == other.keys()
    for name, array in own.items():
        largest = max(np.abs(array).max(), 1e-3)
        assert array.shape == other[name].shape, name
        assert np.abs(array - other[name]).max() <= tolerance * largest, name


def noise(*shape, seed=0):
    """Normal noise, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
