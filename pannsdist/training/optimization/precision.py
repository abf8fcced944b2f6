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


class LossScale:
    """Dynamic loss scale: halved when a gradient overflows, doubled after 2000 steps without overflow; 1 if disabled.

    Micikevicius et al. 2018, arXiv 1710.03740. Paddle's GradScaler does the same, but checks for overflows again, in
    each process separately, and does nothing on a CPU, where it could not be tested.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.value = INITIAL_SCALE if enabled else 1.0
        self._steps = 0

    @property
    def can_decrease(self) -> bool:
        """Whether a non-finite gradient may be an overflow, which a lower scale resolves."""
        return self.enabled and self.value > 1

    def update(self, finite: bool) -> None:
        """Adjust the scale after a step. All processes must call this, with the same value."""
        if not self.enabled:
            return
        self._steps = self._steps + 1 if finite else 0
        if not finite:
            self.value = max(1.0, self.value / 2)
        elif self._steps == GROWTH_INTERVAL:
            self.value, self._steps = self.value * 2, 0

    def state(self) -> dict[str, np.ndarray]:
        """The scale and the number of steps since its last change; empty if disabled."""
        return {"scale/value": np.array(self.value), "scale/steps": np.array(self._steps)} if self.enabled else {}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned."""
        if self.enabled:
            self.value, self._steps = float(arrays["scale/value"]), int(arrays["scale/steps"])
