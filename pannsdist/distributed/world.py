"""Interface of a data-parallel process group; `fleet` implements it.

Methods marked "all processes" must be called by every process, in the same order; one of them may come there minutes
later. They raise PeerLost once another process has ended, or hangs.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import paddle

from pannsdist.distributed.verdict import peer_lost
from pannsdist.runtime.errors import UserError

T = TypeVar("T")


class World(ABC):
    """A data-parallel process group: rank, size and device of this process, and the collectives.

    `is_asynchronous`: the device computes while the host goes on, as GPUs do; reading a value from it is a wait.
    """

    def __init__(self, rank: int, size: int, device: str) -> None:
        self.rank, self.size, self.device = rank, size, device
        self.is_asynchronous = device != "cpu"
        self._is_within_work = False

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
    def averaging(self, wrapped: paddle.nn.Layer, parameters: Sequence[paddle.Tensor]) -> AbstractContextManager[None]:
        """Context of the last forward and backward of a step, after which the gradients are means over the processes.

        All processes. `parameters` are those of the optimizer. One that no process has a gradient of stays without.
        """

    @abstractmethod
    def mark(self, doing: str) -> None:
        """Note what this process does next, such as `computing step 12`: it hangs if that takes `hang_timeout_s`.

        Empty: something of which nobody knows how long it takes.
        """

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Context of a call from a user's code, which itself may take as long as it likes."""
        try:
            yield
        finally:
            self.mark("")

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
        """Sum each value of the host over the processes. All processes; cheap enough for each step.

        No device takes part, so a GPU that is computing is not waited for.
        """

    @abstractmethod
    def sum_tensor(self, values: paddle.Tensor) -> paddle.Tensor:
        """Sum a small float64 tensor over the processes, without a wait for a GPU. All processes."""

    @abstractmethod
    def all_gather(self, item: T) -> list[T]:
        """Items of all processes, ordered by rank, on every process. All processes."""

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
        """Run `work` on every process; if it fails on one, raise on all. All processes.

        `work` must not call a method for all processes, which would wait for one that has failed: RuntimeError.
        Raises the UserError of the lowest rank that has one, else the process's own error, else PeerLost.
        """
        self._refuse_within_work()
        value, error = self._attempt(work)
        self._raise_first([failure for _, failure in self.all_gather((None, _portable(error)))], error)
        return value  # type: ignore[return-value]

    def on_main(self, work: Callable[[], T]) -> T:
        """Run `work` on rank 0, as `agree` would; return its result or raise its error on all. All processes."""
        self._refuse_within_work()
        value, error = self._attempt(work) if self.is_main else (None, None)
        outcomes = self.all_gather((value, _portable(error)))
        self._raise_first([failure for _, failure in outcomes], error)
        return outcomes[0][0]  # type: ignore[return-value]

    def _attempt(self, work: Callable[[], T]) -> tuple[T | None, Exception | None]:
        self._is_within_work = True
        try:
            return work(), None
        except Exception as error:  # noqa: BLE001 - it is raised again on every process
            return None, error
        finally:
            self._is_within_work = False

    def _refuse_within_work(self) -> None:
        """Every method for all processes calls this first."""
        if self._is_within_work:
            raise RuntimeError("work that all processes agree on must not wait for them: it may have failed in one")

    def _raise_first(self, failures: list[UserError | str | None], own: BaseException | None) -> None:
        for failure in failures:
            if isinstance(failure, UserError):
                raise failure
        if own is not None:
            raise own
        for rank, failure in enumerate(failures):
            if failure is not None:
                raise peer_lost(rank, f"failed: {failure}")


def _portable(error: Exception | None) -> UserError | str | None:
    """A picklable form of an error: the UserError itself, or its type, text and place."""
    if error is None or isinstance(error, UserError):
        return error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
