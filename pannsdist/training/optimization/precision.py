"""Mixed precision: autocast, and dynamic loss scaling against gradient underflow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import paddle

DTYPES = {"fp16": "float16", "bf16": "bfloat16"}
INITIAL_SCALE, GROWTH_INTERVAL = 2.0**15, 2000


def autocast(amp: str, device: str) -> AbstractContextManager[None]:
    """A context with Paddle's automatic mixed precision at level O1; without effect on a CPU."""
    if not has_effect(amp, device):
        return nullcontext()
    context: AbstractContextManager[None] = paddle.amp.auto_cast(dtype=DTYPES[amp], level="O1")
    return context


def has_effect(amp: str, device: str) -> bool:
    """Whether half precision is enabled and the device supports it."""
    return amp in DTYPES and device != "cpu"


def needs_loss_scale(amp: str, device: str) -> bool:
    """Whether small gradients would become zero: fp16 has 5 bits of exponent; bf16 has the 8 of float32."""
    return amp == "fp16" and has_effect(amp, device)


class LossScale:
    """Dynamic loss scale: halved when a gradient overflows, doubled after 2000 steps without overflow; 1 if disabled.

    Micikevicius et al. 2018, arXiv 1710.03740. Paddle's GradScaler does the same, but checks for overflows again, in
    each process separately, waits for the device, and does nothing on a CPU, where it could not be tested. Here the
    scale and the count of steps are tensors on the device, which the host reads for a checkpoint only.
    """

    def __init__(self, enabled: bool, value: float = INITIAL_SCALE) -> None:
        self.enabled = enabled
        if enabled:
            self._value = paddle.full([], value, "float64")
            self._steps = paddle.full([], 0, "int64")

    @property
    def value(self) -> float:
        """The scale on the host; waits for the device."""
        return float(self._value) if self.enabled else 1.0

    def scaled(self, loss: paddle.Tensor, factor: float) -> paddle.Tensor:
        """`loss * factor`, times the scale."""
        return loss * (self._value * factor).astype(loss.dtype) if self.enabled else loss * factor

    def unscaled(self, value: paddle.Tensor) -> paddle.Tensor:
        """A float64 scalar, divided by the scale."""
        return value / self._value if self.enabled else value

    def may_overflow(self, finite: paddle.Tensor) -> paddle.Tensor:
        """Whether losses are finite and a gradient that is not may be an overflow, which a lower scale resolves."""
        if not self.enabled:
            return paddle.zeros_like(finite)
        return paddle.logical_and(finite, self._value > 1)

    def update(self, finite: paddle.Tensor) -> None:
        """Adjust the scale after a step. All processes must call this, with the same value."""
        if not self.enabled:
            return
        steps = paddle.where(finite, self._steps + 1, paddle.zeros_like(self._steps))
        grows = steps == GROWTH_INTERVAL
        lower = paddle.maximum(self._value / 2, paddle.ones_like(self._value))
        self._value = paddle.where(finite, paddle.where(grows, self._value * 2, self._value), lower)
        self._steps = paddle.where(grows, paddle.zeros_like(steps), steps)

    def state(self) -> dict[str, np.ndarray]:
        """The scale and the number of steps since its last change; empty if disabled."""
        return {"scale/value": self._value.numpy(), "scale/steps": self._steps.numpy()} if self.enabled else {}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned."""
        if self.enabled:
            self._value = paddle.full([], float(arrays["scale/value"]), "float64")
            self._steps = paddle.full([], int(arrays["scale/steps"]), "int64")
