"""The processes of a run. The only module that knows `paddle.distributed`.

`AloneWorld` uses no collective at all; `FleetWorld` is Paddle's fleet, on NCCL with GPUs and on gloo without.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import paddle
from paddle.nn.layer.norm import _BatchNormBase

from pannsdist.distributed.world import PeerFailed, T, World
from pannsdist.runtime import launcher
from pannsdist.runtime.errors import SettingsError

__all__ = ["AloneWorld", "FleetWorld", "PeerFailed", "World", "connect", "recompute"]

MEETING_LIMIT_S = 3600.0
"""How long a process waits for the others at a meeting. gloo's own limit is 30 s and cannot be changed (Paddle 3.3.1),
so meetings go through the launcher's key-value store and a collective is entered only when all have arrived."""


def connect(use_gpu: bool = True) -> World:
    """The world of this process, on its GPU where Paddle sees one and on the CPU otherwise. Every process."""
    place = device(use_gpu)
    paddle.set_device(place)
    if launcher.size() == 1:
        return AloneWorld(place)
    return FleetWorld(launcher.rank(), launcher.size(), place)


def device(use_gpu: bool = True) -> str:
    """This process's GPU where one is wanted and Paddle sees one, else the CPU, as Paddle names them."""
    if not use_gpu or not paddle.device.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0:
        return "cpu"
    return f"gpu:{os.environ.get('FLAGS_selected_gpus', '0').split(',')[0]}"  # noqa: SIM112 - the launcher writes it so


def recompute(forward: Callable[..., Any], *inputs: Any) -> Any:
    """What `forward(*inputs)` gives; it runs once more in backward, in the place of the activations that it made.

    Of fleet's two kinds the one with hooks: parameters get their gradients in the one backward of the whole network, so
    that averaging over processes goes on as without. Random numbers and running statistics are the caller's to mind.
    """
    from paddle.distributed.fleet.utils import recompute as fleet_recompute

    # It warns, at each step, that there is no need to where no input wants a gradient; there is, for the activations.
    logging.getLogger("paddle.distributed.fleet.utils.log_util").addFilter(_is_news)
    return fleet_recompute(forward, *inputs, use_reentrant=False, preserve_rng_state=False)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("[Recompute]: None of the inputs")


class AloneWorld(World):
    """One process: nothing to connect, nothing to average."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(0, 1, device)

    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """The layer itself."""
        return layer

    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:  # noqa: ARG002 nothing is averaged
        """Nothing to keep apart."""
        return nullcontext()

    def convert_sync_batchnorm(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """The layer itself: it sees all clips."""
        return layer

    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """The optimizer itself."""
        return optimizer

    def all_reduce_sum(self, *values: float) -> tuple[float, ...]:
        """The values themselves."""
        return values

    def all_gather(self, item: T) -> list[T]:
        """The item alone."""
        return [item]

    def all_gather_after_barrier(self, item: T) -> list[T]:
        """The item alone."""
        return [item]

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """They are those of all data already."""

    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
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
        self._wrapped: list[paddle.nn.Layer] = []

    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Paddle's DataParallel, through fleet where there is one.

        Earlier wrappers are kept: Paddle 3.3.1 crashes where one is dropped and its layer wrapped again.
        """
        wrapped = self._fleet.distributed_model(layer) if self._fleet else paddle.DataParallel(layer)
        self._wrapped.append(wrapped)
        return wrapped

    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:
        """DataParallel's no_sync."""
        context: AbstractContextManager[None] = wrapped.no_sync()
        return context

    def convert_sync_batchnorm(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Paddle's SyncBatchNorm, in 3.3.1 for GPUs alone."""
        if self.device == "cpu":
            wrong = "train.sync_batch_norm is set, but on a CPU Paddle has no kernel for SyncBatchNorm"
            raise SettingsError(wrong, "leave it out, or train on one process or on GPUs")
        return paddle.nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """fleet's optimizer around this one, where there is a fleet."""
        return self._fleet.distributed_optimizer(optimizer) if self._fleet else optimizer

    def all_reduce_sum(self, *values: float) -> tuple[float, ...]:
        """One sum of a small float64 tensor."""
        import paddle.distributed as dist

        tensor = paddle.to_tensor(list(values), dtype="float64")
        dist.all_reduce(tensor)
        return tuple(tensor.tolist())

    def all_gather(self, item: T) -> list[T]:
        """One gather of pickled objects."""
        import paddle.distributed as dist

        items: list[T] = []
        dist.all_gather_object(items, item)
        return items

    def all_gather_after_barrier(self, item: T) -> list[T]:
        """A meeting, then an exchange."""
        self.barrier()
        return self.all_gather(item)

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """One sum over a single tensor that holds all running means and variances."""
        import paddle.distributed as dist

        norms = [part for part in layer.sublayers(include_self=True) if isinstance(part, _BatchNormBase)]
        statistics = [tensor for norm in norms for tensor in (norm._mean, norm._variance)]
        if not statistics:
            return
        self.barrier()
        with paddle.no_grad():
            flat = paddle.concat([tensor.flatten().astype("float32") for tensor in statistics])
            dist.all_reduce(flat)  # gloo has no average (3.3.1), so sum and divide
            parts = paddle.split(flat / self.size, [int(np.prod(tensor.shape)) for tensor in statistics])
            for tensor, part in zip(statistics, parts, strict=True):
                tensor.set_value(part.reshape(tensor.shape).astype(tensor.dtype))

    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Names, types and shapes first, then one broadcast for each array."""
        import paddle.distributed as dist

        own = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
        layout = self.all_gather_after_barrier([(name, str(array.dtype), array.shape) for name, array in own.items()])[
            0
        ]
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

    def barrier(self) -> None:
        """Wait until every process is here; unlike a gloo barrier it can wait longer than 30 s."""
        self._meetings += 1
        key = f"meeting-{self._meetings}"
        self._store.add(key, 1)
        limit = time.monotonic() + MEETING_LIMIT_S
        while self._store.add(key, 0) < self.size:
            if time.monotonic() > limit:
                raise PeerFailed(f"not all of {self.size} processes came to {key} within {MEETING_LIMIT_S:.0f} s")
            time.sleep(0.01)
