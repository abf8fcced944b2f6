"""A sequence of operators as one operation of autograd: the activations between them stay in the kernels' layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import paddle
from paddle.autograd import PyLayer

from pannsdist.kernels.images import Image, enter, leave
from pannsdist.kernels.library import Library, Refused, threads
from pannsdist.kernels.operators import Gradients, Operator
from pannsdist.kernels.primitives import image

Own = Callable[[paddle.Tensor], paddle.Tensor]


class FusedSequence:
    """Runs operators one after another; where they cannot, `own` runs: the layer's forward by Paddle.

    Call it as a layer: (B, C, H, W) float32 -> (B, C', H', W') float32. `dtype` is that of activations and of the
    operands of convolutions; weights, statistics and gradients of weights are float32.
    """

    def __init__(self, library: Library, operators: Sequence[Operator], dtype: str, own: Own) -> None:
        self._library, self._operators, self._dtype, self._own = library, operators, dtype, own

    def __call__(self, given: paddle.Tensor) -> paddle.Tensor:
        """The output, with autograd."""
        if not self._takes(given):
            return self._own(given)
        parameters = [parameter for one in self._operators for parameter in one.parameters]
        try:
            if paddle.is_grad_enabled() and not all(one.stop_gradient for one in (given, *parameters)):
                result: paddle.Tensor = _Run.apply(given, self, *parameters)
                return result
            with threads(self._library.threads):
                return leave(self._library, self._run(given, saved=None))
        except Refused:
            return self._own(given)

    def _takes(self, given: paddle.Tensor) -> bool:
        """Whether the operators are defined for an input, by its type and sizes."""
        if os.getpid() != self._library.process:  # forked: its threads are gone
            return False
        if given.ndim != 4 or given.dtype != paddle.float32 or 0 in given.shape or not given.place.is_cpu_place():
            return False
        layout = image(tuple(given.shape), self._dtype)
        for one in self._operators:
            following = one.output(layout)
            if following is None:
                return False
            layout = following
        return True

    def _run(self, given: paddle.Tensor, saved: list[Any] | None) -> Image:
        current, updates = enter(self._library, given, self._dtype), []
        for one in self._operators:
            step = one.forward(current, saves=saved is not None)
            if saved is not None:
                saved.append(step.saved)
            current = step.output
            updates.append(step.update)
        for update in filter(None, updates):
            update()
        return current

    def forward(self, given: paddle.Tensor, saved: list[Any]) -> paddle.Tensor:
        """The output; what backward needs is appended to `saved`."""
        with threads(self._library.threads):
            return leave(self._library, self._run(given, saved))

    def backward(self, saved: Sequence[Any], gradient: paddle.Tensor, needs_input: bool) -> Gradients:
        """The gradients of the input and of all parameters, in their order."""
        with threads(self._library.threads):
            return self._gradients(saved, gradient, needs_input)

    def _gradients(self, saved: Sequence[Any], gradient: paddle.Tensor, needs_input: bool) -> Gradients:
        current: Image | None = enter(self._library, gradient, self._dtype)
        rows: list[Gradients] = []
        needed = self._needed(needs_input)
        for one, kept, needs in reversed(list(zip(self._operators, saved, needed, strict=True))):
            if current is None:  # nothing before this needs a gradient
                rows.append([None for _ in one.parameters])
                continue
            step = one.backward(kept, current, needs)
            rows.append(step.parameters)
            current = step.input if needs else None
        of_input = leave(self._library, current) if current is not None else None
        return [of_input, *(one for row in reversed(rows) for one in row)]

    def _needed(self, needs_input: bool) -> list[bool]:
        """For each operator whether its input needs a gradient."""
        found, needs = [], needs_input
        for one in self._operators:
            found.append(needs)
            needs = needs or any(not parameter.stop_gradient for parameter in one.parameters)
        return found


def refuse_second_derivative() -> None:
    """Raise RuntimeError within a backward pass that is to be differentiated itself."""
    if paddle.is_grad_enabled():
        raise RuntimeError("these kernels have no gradient of a gradient: choose train.cpu_kernels=paddle")


class _Run(PyLayer):
    @staticmethod
    def forward(ctx: Any, given: paddle.Tensor, sequence: FusedSequence, *parameters: paddle.Tensor) -> paddle.Tensor:
        ctx.sequence, ctx.saved = sequence, []
        ctx.needs = [not one.stop_gradient for one in (given, *parameters)]
        return sequence.forward(given, ctx.saved)

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        refuse_second_derivative()
        found = ctx.sequence.backward(ctx.saved, gradient, ctx.needs[0])
        return tuple(one if needs else None for one, needs in zip(found, ctx.needs, strict=True))
