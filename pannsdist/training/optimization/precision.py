"""Mixed precision: where half precision is used, and the scale that keeps small gradients from vanishing in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import paddle

DTYPES = {"fp16": "float16", "bf16": "bfloat16"}
FIRST_SCALE, STEPS_TO_GROW = 2.0**15, 2000


def autocast(amp: str, device: str) -> AbstractContextManager[None]:
    """Within it Paddle computes in half precision where that is safe (its level O1); never on a CPU."""
    if not has_effect(amp, device):
        return nullcontext()
    context: AbstractContextManager[None] = paddle.amp.auto_cast(dtype=DTYPES[amp], level="O1")
    return context


def has_effect(amp: str, device: str) -> bool:
    """Whether half precision is asked for and is to be had on this device."""
    return amp in DTYPES and device != "cpu"


class LossScale:
    """The number that the loss is multiplied by, halved when a gradient overflows and doubled after 2000 steps without.

    Micikevicius et al. 2018, arXiv 1710.03740. Paddle's GradScaler does the same, but it finds overflows once more, in
    each process by itself, and is a dummy on a CPU, where it could not be tested. Off, the number is 1 for good.
    """

    def __init__(self, on: bool) -> None:
        self.on = on
        self.value = FIRST_SCALE if on else 1.0
        self._steps = 0

    @property
    def can_fall(self) -> bool:
        """Whether an overflow may be the fault of the scale, and a step skipped for it nothing to worry about."""
        return self.on and self.value > 1

    def update(self, finite: bool) -> None:
        """Learn whether the step's gradient was finite. The same in every process."""
        if not self.on:
            return
        self._steps = self._steps + 1 if finite else 0
        if not finite:
            self.value = max(1.0, self.value / 2)
        elif self._steps == STEPS_TO_GROW:
            self.value, self._steps = self.value * 2, 0

    def state(self) -> dict[str, np.ndarray]:
        """Scale and count; nothing where it is off."""
        return {"scale/value": np.array(self.value), "scale/steps": np.array(self._steps)} if self.on else {}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave."""
        if self.on:
            self.value, self._steps = float(arrays["scale/value"]), int(arrays["scale/steps"])
