"""What processes that train together do in common; `parallel` does it.

Where a method says "every process", all must call it, in the same order: one that does not leaves the others waiting.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
import paddle

from pannsdist.runtime.errors import UserError

T = TypeVar("T")


class PeerFailed(RuntimeError):
    """Another process failed; its traceback is in the text."""


class World(ABC):
    """The processes that train together: who this one is, and everything that they do in common."""

    def __init__(self, rank: int, size: int, device: str) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @abstractmethod
    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """The layer whose backward averages gradients over the processes; rank 0's weights are given to all.

        Every process. A training forward must call what this returns, never the layer inside it. Where parameters are
        frozen or thawed afterwards, the same layer must be wrapped again before the next step: Paddle 3.3.1 registers
        parameters here, and otherwise goes silently out of step.
        """

    @abstractmethod
    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:
        """Within it, forward and backward of a wrapped layer add to this process's gradients and average nothing.

        Every process. The next forward and backward outside it average what has come together.
        """

    @abstractmethod
    def convert_sync_batchnorm(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """The layer with batch norm over the clips of all processes. Every process, before the optimizer is made.

        Raises SettingsError on a CPU with several processes, for which Paddle has no such kernel.
        """

    @abstractmethod
    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """The optimizer that steps with the wrapped layer. Every process."""

    @abstractmethod
    def all_reduce_sum(self, *values: float) -> tuple[float, ...]:
        """The sum of each value over the processes. Every process, seconds apart at most; cheap at each step."""

    @abstractmethod
    def all_gather(self, item: T) -> list[T]:
        """The items of all processes, by rank, in every process. Every process, seconds apart at most."""

    @abstractmethod
    def all_gather_after_barrier(self, item: T) -> list[T]:
        """The items of all processes, by rank, in every process. Every process; may be minutes apart."""

    @abstractmethod
    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """Make the running statistics of batch norm the mean over the processes. Every process.

        Each process keeps statistics of its own share of the data; before an evaluation and before a save they are
        made equal, so that a score belongs to one model.
        """

    @abstractmethod
    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Rank 0's arrays in every process; the others give None. Every process."""

    @abstractmethod
    def close(self) -> None:
        """Leave without pulling the floor from under the others. Every process."""

    def agree(self, work: Callable[[], T]) -> T:
        """Each process does its own work; if it failed in one, it fails in all. Every process; may be minutes apart.

        Raises the UserError of the lowest rank that has one, else the process's own error, else PeerFailed.
        """
        value, error = _attempt(work)
        self._raise_first([failure for _, failure in self.all_gather_after_barrier((None, _portable(error)))], error)
        return value  # type: ignore[return-value]

    def on_main(self, work: Callable[[], T]) -> T:
        """Rank 0 works, the others wait; all get its result, or its error. Every process; may be minutes apart."""
        value, error = _attempt(work) if self.is_main else (None, None)
        outcomes = self.all_gather_after_barrier((value, _portable(error)))
        self._raise_first([failure for _, failure in outcomes], error)
        return outcomes[0][0]  # type: ignore[return-value]

    def _raise_first(self, failures: list[UserError | str | None], own: BaseException | None) -> None:
        for failure in failures:
            if isinstance(failure, UserError):
                raise failure
        if own is not None:
            raise own
        for rank, failure in enumerate(failures):
            if failure is not None:
                raise PeerFailed(f"process {rank} failed:\n{failure}")


def _attempt(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - it is raised again, in every process
        return None, error


def _portable(error: Exception | None) -> UserError | str | None:
    """What another process can be told of an error."""
    if error is None or isinstance(error, UserError):
        return error
    return "".join(traceback.format_exception(error))
