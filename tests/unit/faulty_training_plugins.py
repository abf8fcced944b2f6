"""A metric, an optimizer and a schedule with one fault each, by a param; without a fault they keep the contract."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import paddle
from small_parts import catalog

from pannsdist.contracts import param
from pannsdist.registry import Catalog, Entry, Origin, Registry

ORIGIN = Origin("pannsdist-deciding", "0.3")
NUMBERS = itertools.count()


def entries(kind, origin=ORIGIN, **targets):
    return [Entry(kind, name, origin, f"faulty_training_plugins:{target}") for name, target in targets.items()]


def deciding_catalog(*more: Entry) -> Catalog:
    """The small catalog with the plugins of this file, and further ones."""
    own = [*entries("metric", hits="Hits"), *entries("optimizer", push="Push"), *entries("schedule", halves="Halves")]
    known = catalog().registries
    found = {kind: {name: list(some) for name, some in registry.entries.items()} for kind, registry in known.items()}
    for entry in (*own, *more):
        found[entry.kind].setdefault(entry.name, []).append(entry)
    return Catalog(
        {kind: Registry(kind, {name: tuple(some) for name, some in named.items()}) for kind, named in found.items()}
    )


@dataclass(frozen=True)
class HitsParams:
    """`fault` is what is wrong."""

    fault: str = ""
    share: float = param(1.0, "what a hit counts", above=0, high=10)


class Hits:
    """The share of the labels that are guessed."""

    Params = HitsParams
    higher_is_better = True

    def __init__(self, params):
        self.fault, self.share, self.times = params.fault, params.share, 0
        if self.fault == "direction":
            self.higher_is_better = "up"
        if self.fault == "wrong way":
            self.higher_is_better = False

    def applies(self, multi_label, classes):
        if self.fault == "applies fails":
            raise KeyError(classes)
        return self.fault != "never" and not (multi_label and self.fault == "one label")

    def __call__(self, predictions):
        self.times += 1
        hits = (predictions.guessed & predictions.positives).sum()
        if self.fault == "raises":
            raise ZeroDivisionError("division by zero")
        if self.fault == "raises for one class" and not predictions.present.all():
            raise IndexError("no such class")
        if self.fault == "text":
            return "good"
        if self.fault == "writes":
            predictions.logits[0] = 0.0
        if self.fault == "remembers":
            hits = hits + self.times
        if self.fault == "order":
            hits = hits + predictions.logits[0, 0]
        return float(self.share * hits / max(1, predictions.positives.sum()))


@dataclass(frozen=True)
class PushParams:
    """`fault` is what is wrong; `keep` is the share of the old in the momentum."""

    fault: str = ""
    keep: float = 0.5


class Push:
    """Momentum."""

    Params = PushParams

    def __init__(self, params):
        self.params = params

    def build(self, parameters, learning_rate):
        fault = self.params.fault
        if fault == "raises":
            raise ZeroDivisionError("division by zero")
        if fault == "none":
            return None
        given = parameters[1:] if fault == "some" else parameters
        clip = paddle.nn.ClipGradByNorm(1.0) if fault == "clips" else None
        rate = paddle.optimizer.lr.NoamDecay(4, 4) if fault == "own schedule" else learning_rate
        return Pushing(self.params, rate, given, clip)


class Pushing(paddle.optimizer.Optimizer):
    """What a `Push` builds."""

    def __init__(self, params, rate, parameters, clip):
        super().__init__(learning_rate=rate, parameters=parameters, grad_clip=clip)
        self._fault, self._keep, self._first_rate, self._held = params.fault, params.keep, rate, {}

    def _create_accumulators(self, block, parameters):  # noqa: ARG002 - Paddle's signature
        for parameter in parameters:
            self._add_accumulator("pushed", parameter)
        if self._fault == "state of nothing":
            self._add_accumulator("pushed", paddle.zeros([2]))

    def step(self):
        super().step()
        if self._fault == "moves frozen":
            for parameter in self._parameter_list:
                parameter.set_value(parameter * 0.9)

    def _append_optimize_op(self, block, param_and_grad):  # noqa: ARG002 - Paddle's signature
        parameter, gradient = param_and_grad
        if self._fault == "vectors only" and parameter.ndim > 1:
            return
        pushed = self._get_accumulator("pushed", parameter)
        if self._fault == "forgets":
            pushed = self._held.setdefault(parameter.name, paddle.zeros_like(pushed))
        pushed.scale_(self._keep)
        pushed.add_(gradient * (1 - self._keep))
        rate = self._create_param_lr(param_and_grad)
        if self._fault == "no shares":
            rate = self._global_learning_rate()
        if self._fault == "first rate":
            rate = self._first_rate
        if self._fault == "restless":
            rate = rate + 1e-3
        parameter.subtract_(pushed * (-rate if self._fault == "uphill" else rate))


@dataclass(frozen=True)
class HalvesParams:
    """`fault` is what is wrong; `every` is after how many epochs the rate is halved."""

    fault: str = ""
    every: int = param(1, "epochs", low=1, high=100)


class Halves:
    """Half the rate after so many epochs."""

    Params = HalvesParams

    def __init__(self, params):
        self.fault, self.every = params.fault, params.every
        self.times = 0
        self.built = next(NUMBERS)

    def lr_factor(self, step, total_steps, epoch_steps):
        self.times += 1
        if self.fault == "raises":
            raise ZeroDivisionError("division by zero")
        if self.fault == "one step":
            return 1.0 - (step - 1) / (total_steps - 1)
        odd = {"nan": math.nan, "negative": -0.1, "text": "all", "percent": 100.0, "zero": 0.0}
        if self.fault in odd and (step == total_steps or self.fault in ("percent", "zero")):
            return odd[self.fault]
        if self.fault == "remembers":
            return 1.0 / self.times
        if self.fault == "built":
            return 1.0 / (1 + self.built)
        return 0.5 ** ((step - 1) // (self.every * epoch_steps))


class Mean:
    """A metric that notes what it was given."""

    Params = HitsParams
    higher_is_better = False
    seen: list = []  # noqa: RUF012 - for tests

    def __init__(self, params):
        self.params = params

    def applies(self, multi_label, classes):  # noqa: ARG002 - the contract's signature
        return True

    def __call__(self, predictions):
        Mean.seen.append(predictions)
        return np.float32(predictions.logits.mean())
