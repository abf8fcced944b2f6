"""The processes of a run. The only module that knows `paddle.distributed`.

`AloneWorld` uses no collective at all; `FleetWorld` is Paddle's fleet, on NCCL with GPUs and on gloo without. Where a
method says "every process", all must call it, in the same order: one that does not leaves the others waiting.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import paddle
from paddle.nn.layer.norm import _BatchNormBase

from pannsdist import launched
from pannsdist.errors import UserError

T = TypeVar("T")

MEETING_LIMIT_S = 3600.0
"""How long a process waits for the others at a meeting. gloo's own limit is 30 s and cannot be changed (Paddle 3.3.1),
so meetings go through the launcher's key-value store and a collective is entered only when all have arrived."""


class PeerFailed(RuntimeError):
    """Another process failed; its traceback is in the text."""


def connect() -> World:
    """The world of this process, on its GPU where Paddle sees one and on the CPU otherwise. Every process."""
    device = _device()
    paddle.set_device(device)
    if launched.size() == 1:
        return AloneWorld(device)
    return FleetWorld(launched.rank(), launched.size(), device)


def _device() -> str:
    if not paddle.device.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0:
        return "cpu"
    return f"gpu:{os.environ.get('FLAGS_selected_gpus', '0').split(',')[0]}"  # noqa: SIM112 - the launcher writes it so


class World(ABC):
    """The processes that train together: who this one is, and everything that they do in common."""

    def __init__(self, rank: int, size: int, device: str) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @abstractmethod
    def wrap(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """The layer whose backward averages gradients over the processes; rank 0's weights are given to all.

        Every process. A training forward must call what this returns, never the layer inside it. Parameters must not
        be frozen or thawed afterwards: Paddle 3.3.1 then goes silently out of step.
        """

    @abstractmethod
    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """The optimizer that steps with the wrapped layer. Every process."""

    @abstractmethod
    def total(self, *values: float) -> tuple[float, ...]:
        """The sum of each value over the processes. Every process, seconds apart at most; cheap at each step."""

    @abstractmethod
    def exchange(self, item: T) -> list[T]:
        """The items of all processes, by rank, in every process. Every process, seconds apart at most."""

    @abstractmethod
    def gather(self, item: T) -> list[T]:
        """The items of all processes, by rank, in every process. Every process; may be minutes apart."""

    @abstractmethod
    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """Make the running statistics of batch norm the mean over the processes. Every process.

        Each process keeps statistics of its own share of the data; before an evaluation and before a save they are
        made equal, so that a score belongs to one model.
        """

    @abstractmethod
    def share_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Rank 0's arrays in every process; the others give None. Every process."""

    @abstractmethod
    def close(self) -> None:
        """Leave without pulling the floor from under the others. Every process."""

    def agree(self, work: Callable[[], T]) -> T:
        """Each process does its own work; if it failed in one, it fails in all. Every process; may be minutes apart.

        Raises the UserError of the lowest rank that has one, else the process's own error, else PeerFailed.
        """
        value, error = _attempt(work)
        self._raise_first([failure for _, failure in self.gather((None, _portable(error)))], error)
        return value  # type: ignore[return-value]

    def on_main(self, work: Callable[[], T]) -> T:
        """Rank 0 works, the others wait; all get its result, or its error. Every process; may be minutes apart."""
        value, error = _attempt(work) if self.is_main else (None, None)
        outcomes = self.gather((value, _portable(error)))
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


class AloneWorld(World):
    """One process: nothing to connect, nothing to average."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(0, 1, device)

    def wrap(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """The layer itself."""
        return layer

    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """The optimizer itself."""
        return optimizer

    def total(self, *values: float) -> tuple[float, ...]:
        """The values themselves."""
        return values

    def exchange(self, item: T) -> list[T]:
        """The item alone."""
        return [item]

    def gather(self, item: T) -> list[T]:
        """The item alone."""
        return [item]

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """They are those of all data already."""

    def share_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """The arrays themselves."""
        return dict(arrays or {})

    def close(self) -> None:
        """Nobody else is here."""


class FleetWorld(World):
    """The processes that `paddle.distributed.launch` started, joined through fleet.

    Without GPUs more than two processes are joined by DataParallel directly: fleet makes groups for every kind of
    parallelism, and over gloo, with four processes, that failed in 2 of 5 starts (Paddle 3.3.1), against none
    of 5 this way. The gradients are the same.
    """

    def __init__(self, rank: int, size: int, device: str) -> None:
        super().__init__(rank, size, device)
        import paddle.distributed as dist
        from paddle.base import core

        self._fleet: Any = None
        if device == "cpu" and size > 2:
            dist.init_parallel_env()
        else:
            dist.fleet.init(is_collective=True, log_level="WARNING")
            self._fleet = dist.fleet
        self._store = core.create_or_get_global_tcp_store()
        self._meetings = 0

    def wrap(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Paddle's DataParallel, through fleet where there is one."""
        return self._fleet.distributed_model(layer) if self._fleet else paddle.DataParallel(layer)

    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """fleet's optimizer around this one, where there is a fleet."""
        return self._fleet.distributed_optimizer(optimizer) if self._fleet else optimizer

    def total(self, *values: float) -> tuple[float, ...]:
        """One sum of a small float64 tensor."""
        import paddle.distributed as dist

        tensor = paddle.to_tensor(list(values), dtype="float64")
        dist.all_reduce(tensor)
        return tuple(tensor.tolist())

    def exchange(self, item: T) -> list[T]:
        """One gather of pickled objects."""
        import paddle.distributed as dist

        items: list[T] = []
        dist.all_gather_object(items, item)
        return items

    def gather(self, item: T) -> list[T]:
        """A meeting, then an exchange."""
        self._meet()
        return self.exchange(item)

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """One sum over a single tensor that holds all running means and variances."""
        import paddle.distributed as dist

        norms = [part for part in layer.sublayers(include_self=True) if isinstance(part, _BatchNormBase)]
        statistics = [tensor for norm in norms for tensor in (norm._mean, norm._variance)]
        if not statistics:
            return
        self._meet()
        with paddle.no_grad():
            flat = paddle.concat([tensor.flatten().astype("float32") for tensor in statistics])
            dist.all_reduce(flat)  # gloo has no average (3.3.1), so sum and divide
            parts = paddle.split(flat / self.size, [int(np.prod(tensor.shape)) for tensor in statistics])
            for tensor, part in zip(statistics, parts, strict=True):
                tensor.set_value(part.reshape(tensor.shape).astype(tensor.dtype))

    def share_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Names, types and shapes first, then one broadcast for each array."""
        import paddle.distributed as dist

        own = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
        layout = self.gather([(name, str(array.dtype), array.shape) for name, array in own.items()])[0]
        shared = {}
        for name, dtype, shape in layout:
            array = own[name] if self.is_main else np.zeros(shape, dtype)
            if array.size:  # Paddle 3.3.1 refuses a tensor without elements
                tensor = paddle.to_tensor(array)
                dist.broadcast(tensor, src=0)
                array = tensor.numpy().reshape(shape)
            shared[name] = array
        return shared

    def close(self) -> None:
        """Rank 0 holds the store that the others may still be reading: it leaves last."""
        try:
            self._store.add("left", 1)
            limit = time.monotonic() + 10
            while self.is_main and self._store.add("left", 0) < self.size and time.monotonic() < limit:
                time.sleep(0.02)
        except (RuntimeError, ValueError):
            logging.getLogger(__name__).debug("the store is gone already", exc_info=True)

    def _meet(self) -> None:
        """Wait until every process is here; unlike a gloo barrier it can wait longer than 30 s."""
        self._meetings += 1
        key = f"meeting-{self._meetings}"
        self._store.add(key, 1)
        limit = time.monotonic() + MEETING_LIMIT_S
        while self._store.add(key, 0) < self.size:
            if time.monotonic() > limit:
                raise PeerFailed(f"not all of {self.size} processes came to {key} within {MEETING_LIMIT_S:.0f} s")
            time.sleep(0.01)
