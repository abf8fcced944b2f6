"""Optimizer and schedule plugins in use: their results are checked, and a faulty plugin is named."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import paddle

from pannsdist.registry.building import Part, blamed, broken, number_of
from pannsdist.training.optimization.optimizers import slot_names, trainable

PROBES = 1000
"""Steps at which a schedule is checked before a run: every step of a short run, evenly spaced ones of a long one."""


def built_optimizer(part: Part, learning_rate: float, layer: paddle.nn.Layer) -> paddle.optimizer.Optimizer:
    """The optimizer of the layer's trainable parameters that a plugin builds. Raises BrokenPlugin for a faulty one.

    Its state is created here, so that state which cannot be saved is found before the first step.
    """
    parameters = trainable(layer)
    with blamed(part.entry, part.params):
        optimizer = part.plugin.build(list(parameters), learning_rate)
    if not isinstance(optimizer, paddle.optimizer.Optimizer):
        raise broken(part.entry, f"builds a {type(optimizer).__name__}, not a paddle.optimizer.Optimizer")
    if [id(one) for one in optimizer._parameter_list] != [id(one) for one in parameters]:
        raise broken(part.entry, "updates other parameters than those that it was given")
    if optimizer._grad_clip is not None:
        raise broken(part.entry, "clips gradients itself", "leave that to train.clip_norm")
    with blamed(part.entry, part.params):
        optimizer.set_lr(learning_rate)
        slot_names(optimizer, layer)
    return optimizer


def guarded_lr_factor(part: Part) -> Callable[[int, int, int], float]:
    """The learning rate factor of a schedule plugin. It raises BrokenPlugin, in all processes, for an invalid one."""

    def lr_factor(step: int, total_steps: int, epoch_steps: int) -> float:
        with blamed(part.entry, part.params):
            value = part.plugin.lr_factor(step, total_steps, epoch_steps)
        what = f"the lr_factor at step {step} of {total_steps}"
        number = number_of(part, value, what)
        if not 0.0 <= number < math.inf:
            raise broken(part.entry, f"gives {number} as {what}: it must be finite and not negative")
        return number

    return lr_factor


def refuse_invalid_lr_factors(part: Part, total_steps: int, epoch_steps: int) -> None:
    """Raise BrokenPlugin for a schedule that fails, or gives no valid factor, at one of the probed steps."""
    if total_steps < 1:
        return
    lr_factor = guarded_lr_factor(part)
    for step in np.unique(np.linspace(1, total_steps, min(total_steps, PROBES)).astype(int)):
        lr_factor(int(step), total_steps, epoch_steps)
