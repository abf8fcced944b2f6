"""What an operator of a sequence is, and the ones without weights: activations and average pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import paddle

from pannsdist.kernels import codes
from pannsdist.kernels.images import Image, empty
from pannsdist.kernels.library import Library, dims
from pannsdist.kernels.primitives import KEPT, Descriptions, Layout, Primitive, image

Gradients = list[paddle.Tensor | None]


@dataclass(frozen=True)
class Forward:
    """The output of an operator, and what its backward pass needs; None without one.

    `update` changes the layer's own state: it is called once the whole sequence was computed, since Paddle computes all
    of it where a later operator is refused.
    """

    output: Image
    saved: Any = None
    update: Callable[[], None] | None = None


@dataclass(frozen=True)
class Backward:
    """The gradient of an operator's input, if it was asked for, and those of its parameters, in their order."""

    input: Image | None
    parameters: Gradients


class ForwardOperator(Protocol):
    """An operator on images. `forward` raises Refused for shapes that the library does not know."""

    def output(self, given: Layout) -> Layout | None:
        """The layout of the output, or None where Paddle's own operator must be used."""
        ...

    def forward(self, given: Image, saves: bool) -> Forward:
        """Compute; keep what a backward pass needs if `saves`."""
        ...


class Operator(ForwardOperator, Protocol):
    """An operator with gradients. `backward` raises Refused as `forward` does."""

    @property
    def parameters(self) -> Sequence[paddle.Tensor]:
        """The weights; their values are read at every call."""
        ...

    def backward(self, saved: Any, gradient: Image, needs_input: bool) -> Backward:
        """The gradients, from that of the output."""
        ...


@dataclass(frozen=True)
class Formula:
    """An element-wise function of the library with its two parameters."""

    algorithm: int
    alpha: float = 0.0
    beta: float = 0.0


class Activation:
    """An element-wise function."""

    parameters: Sequence[paddle.Tensor] = ()

    def __init__(self, library: Library, formula: Formula) -> None:
        self._library, self._formula = library, formula

    def output(self, given: Layout) -> Layout:
        """The same layout."""
        return given

    def forward(self, given: Image, saves: bool) -> Forward:
        """The input is kept for backward."""
        result = empty(given.layout)
        pair = self._pair(given.layout)
        pair[0]({codes.SRC: given.pointer, codes.DST: result.pointer})
        return Forward(result, given if saves else None)

    def backward(self, saved: Image, gradient: Image, needs_input: bool) -> Backward:  # noqa: ARG002
        """The gradient of the input."""
        result = empty(saved.layout)
        pointers = {codes.SRC: saved.pointer, codes.DIFF_DST: gradient.pointer, codes.DIFF_SRC: result.pointer}
        self._pair(saved.layout)[1](pointers)
        return Backward(result, [])

    def _pair(self, layout: Layout) -> tuple[Primitive, Primitive]:
        found: tuple[Primitive, Primitive] = KEPT.get(("eltwise", self._formula, layout), lambda: self._made(layout))
        return found

    def _made(self, layout: Layout) -> tuple[Primitive, Primitive]:
        library, chosen = self._library, self._formula
        engine, parameters = library.engine, (chosen.alpha, chosen.beta)
        with Descriptions(library) as of:
            data = of.of(layout)
            kind = (codes.FORWARD_TRAINING, chosen.algorithm)
            there = library.new("eltwise_forward_primitive_desc_create", engine, *kind, data, data, *parameters, None)
            back = library.new(
                "eltwise_backward_primitive_desc_create",
                engine,
                chosen.algorithm,
                data,
                data,
                data,
                *parameters,
                there,
                None,
            )
        forward = Primitive(library, there, (codes.SRC, codes.DST))
        return forward, Primitive(library, back, (codes.SRC, codes.DIFF_DST, codes.DIFF_SRC))


@dataclass(frozen=True)
class Window:
    """A pooling window: (height, width) each; `algorithm` as in `codes`."""

    algorithm: int
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


class Pool:
    """Average over windows."""

    parameters: Sequence[paddle.Tensor] = ()

    def __init__(self, library: Library, window: Window) -> None:
        self._library, self._window = library, window

    def output(self, given: Layout) -> Layout | None:
        """Smaller by the stride; None where no window fits."""
        chosen, (batch, channels, *lengths) = self._window, given.sizes
        spans = zip(lengths, chosen.size, chosen.stride, chosen.padding, strict=True)
        height, width = [(length + 2 * pad - size) // stride + 1 for length, size, stride, pad in spans]
        if min(height, width) < 1:
            return None
        return image((batch, channels, height, width), given.dtype)

    def forward(self, given: Image, saves: bool) -> Forward:
        """Backward needs only the layout of the input."""
        result = empty(existing(self.output(given.layout)))
        self._pair(given.layout)[0]({codes.SRC: given.pointer, codes.DST: result.pointer})
        return Forward(result, given.layout if saves else None)

    def backward(self, saved: Layout, gradient: Image, needs_input: bool) -> Backward:  # noqa: ARG002
        """The gradient of the input."""
        result = empty(saved)
        self._pair(saved)[1]({codes.DIFF_DST: gradient.pointer, codes.DIFF_SRC: result.pointer})
        return Backward(result, [])

    def _pair(self, layout: Layout) -> tuple[Primitive, Primitive]:
        found: tuple[Primitive, Primitive] = KEPT.get(("pool", self._window, layout), lambda: self._made(layout))
        return found

    def _made(self, layout: Layout) -> tuple[Primitive, Primitive]:
        library, chosen = self._library, self._window
        padding = dims(*chosen.padding)
        geometry = (dims(*chosen.stride), dims(*chosen.size), dims(0, 0), padding, padding)
        with Descriptions(library) as of:
            ends = of.of(layout), of.of(existing(self.output(layout)))
            kind = (codes.FORWARD_TRAINING, chosen.algorithm)
            there = library.new("pooling_forward_primitive_desc_create", library.engine, *kind, *ends, *geometry, None)
            back = library.new(
                "pooling_backward_primitive_desc_create",
                library.engine,
                chosen.algorithm,
                *ends,
                *geometry,
                there,
                None,
            )
        forward = Primitive(library, there, (codes.SRC, codes.DST))
        return forward, Primitive(library, back, (codes.DIFF_DST, codes.DIFF_SRC))


def existing(layout: Layout | None) -> Layout:
    """A layout that `Operator.output` gave; the caller has checked that it is not None."""
    assert layout is not None, "the shapes were checked before"
    return layout
