"""Interface of a data-parallel process group; `fleet` implements it.

Methods marked "all processes" must be called by every process, in the same order: otherwise the others wait forever.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import paddle

from pannsdist.distributed.peers import peer_lost
from pannsdist.runtime.errors import UserError

T = TypeVar("T")


class World(ABC):
    """A data-parallel process group: rank, size and device of this process, and the collectives."""

    def __init__(self, rank: int, size: int, device: str) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes files and prints."""
        return self.rank == 0

    @abstractmethod
    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Wrap a layer so that backward averages gradients over the processes; broadcasts rank 0's weights.

        All processes. The forward pass in training must call the wrapped layer, never the inner one. After freezing or
        unfreezing parameters, wrap the same layer again before the next step: Paddle 3.3.1 registers parameters here,
        and without it the processes diverge silently.
        """

    @abstractmethod
    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:
        """Context in which backward of a wrapped layer accumulates local gradients without averaging.

        All processes. The next forward and backward outside of it average the accumulated gradients.
        """

    @abstractmethod
    def convert_sync_batchnorm(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Replace batch norm by batch norm over the global batch. All processes, before the optimizer is created.

        Raises SettingsError on a CPU with several processes, where Paddle has no such kernel.
        """

    @abstractmethod
    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """Wrap the optimizer of a wrapped layer. All processes."""

    @abstractmethod
    def all_reduce_sum(self, *values: float) -> tuple[float, ...]:
        """Sum each value over the processes. All processes, at most seconds apart; cheap enough for each step."""

    @abstractmethod
    def all_gather(self, item: T) -> list[T]:
        """Items of all processes, ordered by rank, on every process. All processes, at most seconds apart."""

    @abstractmethod
    def all_gather_after_barrier(self, item: T) -> list[T]:
        """Like `all_gather`, after a barrier. All processes; they may arrive minutes apart."""

    @abstractmethod
    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """Average the running statistics of batch norm over the processes. All processes.

        Each process tracks the statistics of its own shard; averaging before each evaluation and save makes the model
        equal on all processes, so that a score belongs to one model.
        """

    @abstractmethod
    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Rank 0's arrays on every process; the others pass None. All processes."""

    @abstractmethod
    def close(self) -> None:
        """Leave the process group. All processes; rank 0 hosts the store, so it exits last."""

    def agree(self, work: Callable[[], T]) -> T:
        """Run `work` on every process; if it fails on one, raise on all. All processes; they may arrive minutes apart.

        Raises the UserError of the lowest rank that has one, else the process's own error, else PeerLost.
        """
        value, error = _attempt(work)
        self._raise_first([failure for _, failure in self.all_gather_after_barrier((None, _portable(error)))], error)
        return value  # type: ignore[return-value]

    def on_main(self, work: Callable[[], T]) -> T:
        """Run `work` on rank 0; return its result or raise its error on all. All processes, may be minutes apart."""
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
                raise peer_lost(rank, f"failed: {failure}")


def _attempt(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - it is raised again on every process
        return None, error


def _portable(error: Exception | None) -> UserError | str | None:
    """A picklable form of an error: the UserError itself, or its type, text and place."""
    if error is None or isinstance(error, UserError):
        return error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
