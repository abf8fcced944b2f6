"""A distribution of somebody else that offers a metric, an optimizer and a schedule, for real runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from pannsdist.contracts import param
from pannsdist.contracts.predictions import Predictions

ENTRIES = """\
[pannsdist.metrics]
margin = tiny_training_plugins:Margin
[pannsdist.optimizers]
nudge = tiny_training_plugins:Nudge
[pannsdist.schedules]
saw = tiny_training_plugins:Saw
"""


def install(folder: Path) -> str:
    """Install the plugins of this file into a folder; gives it, for PYTHONPATH."""
    info = folder / "pannsdist_judge-0.7.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pannsdist-judge\nVersion: 0.7\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    return str(folder)


@dataclass(frozen=True)
class MarginParams:
    """Whether it `fails`."""

    fails: bool = False


class Margin:
    """How much surer the network is of the right class than of the next."""

    Params = MarginParams
    higher_is_better = True

    def __init__(self, params: MarginParams) -> None:
        self.fails = params.fails

    def applies(self, multi_label: bool, classes: int) -> bool:
        return not multi_label and classes > 1

    def __call__(self, predictions: Predictions) -> float:
        if self.fails:
            raise ZeroDivisionError("division by zero")
        logits, rows = predictions.logits.astype(np.float64), np.arange(len(predictions.ids))
        others = logits.copy()
        others[rows, predictions.targets] = -math.inf
        return float((logits[rows, predictions.targets] - others.max(axis=1)).mean())


@dataclass(frozen=True)
class NudgeParams:
    """How much is remembered."""

    keep: float = param(0.8, "share of the old in the momentum", low=0.0, high=0.999)


class Nudge:
    """Steps along the sign of a momentum."""

    Params = NudgeParams

    def __init__(self, params: NudgeParams) -> None:
        self.params = params

    def build(self, parameters: Sequence[paddle.Tensor], learning_rate: float) -> paddle.optimizer.Optimizer:
        return Nudging(self.params.keep, learning_rate, parameters)


class Nudging(paddle.optimizer.Optimizer):
    """What `Nudge` builds."""

    def __init__(self, keep: float, learning_rate: float, parameters: Sequence[paddle.Tensor]) -> None:
        super().__init__(learning_rate=learning_rate, parameters=parameters)
        self._keep = keep

    def _create_accumulators(self, _: Any, parameters: Sequence[paddle.Tensor]) -> None:
        for parameter in parameters:
            self._add_accumulator("nudged", parameter)

    def _append_optimize_op(self, _: Any, param_and_grad: tuple[paddle.Tensor, paddle.Tensor]) -> None:
        parameter, gradient = param_and_grad
        nudged = self._get_accumulator("nudged", parameter)
        nudged.scale_(self._keep)
        nudged.add_((1 - self._keep) * gradient)
        parameter.subtract_(self._create_param_lr(param_and_grad) * paddle.tanh(10 * nudged))


@dataclass(frozen=True)
class SawParams:
    """How low it goes."""

    low: float = param(0.2, "share of the rate at the end of an epoch", low=0.0, high=1.0)


class Saw:
    """Down in a line in each epoch, and up again."""

    Params = SawParams

    def __init__(self, params: SawParams) -> None:
        self.low = params.low

    def lr_factor(self, step: int, _: int, epoch_steps: int) -> float:
        return 1.0 - (1.0 - self.low) * ((step - 1) % epoch_steps) / epoch_steps
