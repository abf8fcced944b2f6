"""Averages of the weights: what is evaluated and shipped in the place of the last step's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import paddle


class MovingAverage:
    """An exponential moving average of the weights (Polyak and Juditsky 1992, in its exponential form).

    After step t the share of the old average is min(decay, (1 + t) / (10 + t)), so that the first weights, which are
    hardly trained, are soon forgotten: the warm-up of TensorFlow's ExponentialMovingAverage. Running statistics of
    batch norm are averages already; those of the training network go with it.
    """

    def __init__(self, weights: Mapping[str, paddle.Tensor], decay: float) -> None:
        self._weights, self._decay = weights, decay
        self._means = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def update(self, step: int) -> None:
        """Take the weights after step `step` in."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        with paddle.no_grad():
            for name, mean in self._means.items():
                mean.lerp_(self._weights[name].detach(), weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the network holds the average."""
        with exchanged(self._weights, self._means):
            yield

    def state(self) -> dict[str, np.ndarray]:
        """The average, by name."""
        return {f"ema/{name}": mean.numpy() for name, mean in self._means.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave."""
        for name, mean in self._means.items():
            mean.set_value(arrays[f"ema/{name}"])


class EpochMean:
    """Stochastic weight averaging: the mean of the weights at the ends of the last epochs.

    Izmailov et al. 2018, arXiv 1803.05407. There the running statistics of batch norm are taken anew in a pass over the
    training clips with the averaged weights; here they are the mean of those epochs' own statistics, which costs no
    pass. `values` are weights and running statistics.
    """

    def __init__(self, values: Mapping[str, paddle.Tensor], first_epoch: int) -> None:
        self._values, self._first_epoch = values, first_epoch
        self._means: dict[str, paddle.Tensor] = {}
        self._epochs = self._last_epoch = 0

    def update(self, epoch: int) -> None:
        """Take the end of an epoch in, if it is one of the last."""
        if epoch < max(self._first_epoch, self._last_epoch + 1):  # one whose evaluation was stopped is taken in already
            return
        self._epochs, self._last_epoch = self._epochs + 1, epoch
        with paddle.no_grad():
            for name, value in self._values.items():
                if name in self._means:
                    self._means[name].lerp_(value.detach(), 1 / self._epochs)
                else:
                    self._means[name] = value.detach().clone()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the network holds the mean; before the first of the epochs, its own weights."""
        with exchanged(self._values, self._means):
            yield

    def state(self) -> dict[str, np.ndarray]:
        """The mean by name, of how many epochs it is, and the last of them."""
        means = {f"swa/{name}": mean.numpy() for name, mean in self._means.items()}
        return {**means, "swa_epochs": np.array([self._epochs, self._last_epoch])}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave."""
        self._epochs, self._last_epoch = map(int, arrays["swa_epochs"])
        means = {name: paddle.to_tensor(arrays[f"swa/{name}"]) for name in self._values} if self._epochs else {}
        self._means = means


@contextmanager
def exchanged(tensors: Mapping[str, paddle.Tensor], others: Mapping[str, paddle.Tensor]) -> Iterator[None]:
    """Within the block `tensors` hold the values of `others`, where there are any by that name."""
    own = {name: tensors[name].detach().clone() for name in others}
    _assign(tensors, others)
    try:
        yield
    finally:
        _assign(tensors, own)


def _assign(tensors: Mapping[str, paddle.Tensor], values: Mapping[str, paddle.Tensor]) -> None:
    with paddle.no_grad():
        for name, value in values.items():
            paddle.assign(value, tensors[name])
