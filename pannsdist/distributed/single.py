"""A world of one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import paddle

from pannsdist.distributed.world import T, World


class SingleProcessWorld(World):
    """A single process without collectives."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(0, 1, device)

    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Return the layer unchanged."""
        self._refuse_within_work()
        return layer

    def mark(self, doing: str) -> None:
        """Do nothing: nobody waits for this process."""

    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:  # noqa: ARG002 nothing is averaged
        """Return a context that does nothing."""
        return nullcontext()

    def averaging(
        self,
        wrapped: paddle.nn.Layer,  # noqa: ARG002
        parameters: Sequence[paddle.Tensor],  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        return nullcontext()

    def convert_sync_batchnorm(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Return the layer unchanged: its batch already is the global batch."""
        return layer

    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """Return the optimizer unchanged."""
        return optimizer

    def all_reduce_sum(self, *values: float) -> tuple[float, ...]:
        """Return the values unchanged."""
        self._refuse_within_work()
        return values

    def sum_tensor(self, values: paddle.Tensor) -> paddle.Tensor:
        """Return the tensor unchanged."""
        self._refuse_within_work()
        return values

    def all_gather(self, item: T) -> list[T]:
        """Return a list of the item alone."""
        self._refuse_within_work()
        return [item]

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:  # noqa: ARG002 nothing is averaged
        """Do nothing: the statistics already cover all data."""
        self._refuse_within_work()

    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Return the arrays unchanged."""
        self._refuse_within_work()
        return dict(arrays or {})

    def close(self) -> None:
        """Do nothing."""
