"""Weight averages, which are evaluated and saved instead of the weights of the last step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import paddle


class ExponentialMovingAverage:
    """An exponential moving average of the weights (Polyak and Juditsky 1992, in its exponential form).

    The decay at step t is min(decay, (1 + t) / (10 + t)), the warm-up of TensorFlow's ExponentialMovingAverage, which
    gives early weights less influence. Running statistics of batch norm are averages already; the current ones are
    used.
    """

    def __init__(self, weights: Mapping[str, paddle.Tensor], decay: float) -> None:
        self._weights, self._decay = weights, decay
        self._means = {name: tensor.detach().clone() for name, tensor in weights.items()}

    @property
    def tensors(self) -> list[paddle.Tensor]:
        """The average itself, which `update` changes in place."""
        return list(self._means.values())

    def update(self, step: int) -> None:
        """Add the weights after step `step`, counted from 1. The host does not wait for the device."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        with paddle.no_grad():
            for name, mean in self._means.items():
                mean.lerp_(self._weights[name].detach(), paddle.full([], weight, mean.dtype))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the network holds the average."""
        with swapped(self._weights, self._means):
            yield

    def state(self) -> dict[str, np.ndarray]:
        """The average, by name."""
        return {f"ema/{name}": mean.numpy() for name, mean in self._means.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned."""
        for name, mean in self._means.items():
            mean.set_value(arrays[f"ema/{name}"])


class StochasticWeightAverage:
    """Stochastic weight averaging: the mean of the weights at the ends of the last epochs.

    Izmailov et al. 2018, arXiv 1803.05407. They recompute the running statistics of batch norm in a pass over the
    training data with the averaged weights; here they are the mean of the statistics at the same epoch ends, which
    needs no extra pass. `values` are weights and running statistics.
    """

    def __init__(self, values: Mapping[str, paddle.Tensor], first_epoch: int) -> None:
        self._values, self._first_epoch = values, first_epoch
        self._means: dict[str, paddle.Tensor] = {}
        self._epochs = self._last_epoch = 0

    def update(self, epoch: int) -> None:
        """Add the weights at the end of an epoch, from `first_epoch` on."""
        if epoch < max(self._first_epoch, self._last_epoch + 1):  # added already if its evaluation was interrupted
            return
        self._epochs, self._last_epoch = self._epochs + 1, epoch
        with paddle.no_grad():
            for name, value in self._values.items():
                if name in self._means:
                    self._means[name].lerp_(value.detach(), 1 / self._epochs)
                else:
                    self._means[name] = value.detach().clone()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the network holds the mean; before the end of `first_epoch`, its own weights."""
        with swapped(self._values, self._means):
            yield

    def state(self) -> dict[str, np.ndarray]:
        """The mean by name, and under `swa_epochs` the number of averaged epochs and the last of them."""
        means = {f"swa/{name}": mean.numpy() for name, mean in self._means.items()}
        return {**means, "swa_epochs": np.array([self._epochs, self._last_epoch])}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned."""
        self._epochs, self._last_epoch = map(int, arrays["swa_epochs"])
        means = {name: paddle.to_tensor(arrays[f"swa/{name}"]) for name in self._values} if self._epochs else {}
        self._means = means


@contextmanager
def swapped(tensors: Mapping[str, paddle.Tensor], values: Mapping[str, paddle.Tensor]) -> Iterator[None]:
    """Within the block `tensors` hold `values`, by name; those without a value stay unchanged."""
    backup = {name: tensors[name].detach().clone() for name in values}
    try:
        _assign(tensors, values)
        yield
    finally:
        _assign(tensors, backup)


def _assign(tensors: Mapping[str, paddle.Tensor], values: Mapping[str, paddle.Tensor]) -> None:
    with paddle.no_grad():
        for name, value in values.items():
            paddle.assign(value, tensors[name])
