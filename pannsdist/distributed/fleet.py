"""Implementations of `World`. The only module that imports `paddle.distributed`.

`SingleProcessWorld` uses no collectives; `FleetWorld` uses Paddle's fleet, on NCCL with GPUs and on gloo without.
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

from pannsdist.distributed import peers
from pannsdist.distributed.world import T, World
from pannsdist.runtime import launcher
from pannsdist.runtime.errors import SettingsError

__all__ = ["FleetWorld", "SingleProcessWorld", "World", "connect", "recompute"]

BARRIER_TIMEOUT_S = 3600.0
"""Timeout of `FleetWorld.barrier`. gloo's own timeout is 30 s and cannot be changed (Paddle 3.3.1), so barriers use the
launcher's key-value store, and a collective is entered only after all processes have arrived."""
PEERS_POLL_S = 0.2
CLOSE_TIMEOUT_S = 10.0


def connect(use_gpu: bool = True) -> World:
    """Join the process group, on this process's GPU if there is one, else on the CPU. All processes must call this.

    The methods of the world raise PeerLost if another process has ended.
    """
    place = device(use_gpu)
    paddle.set_device(place)
    if launcher.size() == 1:
        return SingleProcessWorld(place)
    return FleetWorld(launcher.rank(), launcher.size(), place)


def device(use_gpu: bool = True) -> str:
    """Paddle's name of this process's GPU if one is wanted and visible, else `cpu`."""
    if not use_gpu or not paddle.device.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0:
        return "cpu"
    return f"gpu:{os.environ.get('FLAGS_selected_gpus', '0').split(',')[0]}"  # noqa: SIM112 - the launcher writes it so


def recompute(forward: Callable[..., Any], *inputs: Any) -> Any:
    """Return `forward(*inputs)` without storing its activations; backward runs it again (activation checkpointing).

    Uses fleet's non-reentrant variant: all gradients are computed in one backward of the whole network, so that
    DataParallel averages them as usual. The caller must handle random state and running statistics.
    """
    from paddle.distributed.fleet.utils import recompute as fleet_recompute

    # It warns at each step that no input requires a gradient; recomputing still saves the activations.
    logging.getLogger("paddle.distributed.fleet.utils.log_util").addFilter(_is_relevant)
    return fleet_recompute(forward, *inputs, use_reentrant=False, preserve_rng_state=False)


def _is_relevant(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("[Recompute]: None of the inputs")


class SingleProcessWorld(World):
    """A single process without collectives."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(0, 1, device)

    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Return the layer unchanged."""
        return layer

    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:  # noqa: ARG002 nothing is averaged
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
        return values

    def all_gather(self, item: T) -> list[T]:
        """Return a list of the item alone."""
        return [item]

    def all_gather_after_barrier(self, item: T) -> list[T]:
        """Return a list of the item alone."""
        return [item]

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """Do nothing: the statistics already cover all data."""

    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Return the arrays unchanged."""
        return dict(arrays or {})

    def close(self) -> None:
        """Do nothing."""


class FleetWorld(World):
    """The processes started by `paddle.distributed.launch`, joined through fleet.

    On CPUs, more than two processes use DataParallel without fleet: fleet creates groups for every kind of parallelism,
    which failed over gloo in 2 of 5 starts with four processes (Paddle 3.3.1), against 0 of 5 without. The gradients
    are equal.
    """

    def __init__(self, rank: int, size: int, device: str) -> None:
        super().__init__(rank, size, device)
        self._barriers = 0
        self._wrapped: list[paddle.nn.Layer] = []
        self._processes: list[peers.ProcessId | None] = []
        with self._reporting_lost_peers():
            self._fleet, self._store = _joined(device, size)
        self._processes = self.all_gather(peers.own_process_id())
        peers.report_on_abort(self._processes)

    def _reporting_lost_peers(self) -> AbstractContextManager[None]:
        return peers.reporting_lost_peers(self._processes)

    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Wrap in Paddle's DataParallel, through fleet if it is used.

        Earlier wrappers are kept alive: Paddle 3.3.1 crashes if one is freed and its layer is wrapped again.
        """
        with self._reporting_lost_peers():
            wrapped = self._fleet.distributed_model(layer) if self._fleet else paddle.DataParallel(layer)
        self._wrapped.append(wrapped)
        return wrapped

    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:
        """Return the wrapped layer's `no_sync` context."""
        context: AbstractContextManager[None] = wrapped.no_sync()
        return context

    def convert_sync_batchnorm(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Convert to Paddle's SyncBatchNorm, which supports GPUs only (3.3.1)."""
        if self.device == "cpu":
            wrong = "train.sync_batch_norm is set, but Paddle has no CPU kernel for SyncBatchNorm"
            raise SettingsError(wrong, "remove it, or train in one process or on GPUs")
        return paddle.nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """Wrap in fleet's optimizer, if fleet is used."""
        return self._fleet.distributed_optimizer(optimizer) if self._fleet else optimizer

    def all_reduce_sum(self, *values: float) -> tuple[float, ...]:
        """All-reduce one small float64 tensor."""
        import paddle.distributed as dist

        tensor = paddle.to_tensor(list(values), dtype="float64")
        with self._reporting_lost_peers():
            dist.all_reduce(tensor)
            return tuple(tensor.tolist())

    def all_gather(self, item: T) -> list[T]:
        """All-gather pickled objects."""
        import paddle.distributed as dist

        items: list[T] = []
        with self._reporting_lost_peers():
            dist.all_gather_object(items, item)
        return items

    def all_gather_after_barrier(self, item: T) -> list[T]:
        """Barrier, then all-gather."""
        self.barrier()
        return self.all_gather(item)

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """All-reduce one flat tensor of all running means and variances."""
        import paddle.distributed as dist

        norms = [part for part in layer.sublayers(include_self=True) if isinstance(part, _BatchNormBase)]
        statistics = [tensor for norm in norms for tensor in (norm._mean, norm._variance)]
        if not statistics:
            return
        self.barrier()
        with paddle.no_grad(), self._reporting_lost_peers():
            flat = paddle.concat([tensor.flatten().astype("float32") for tensor in statistics])
            dist.all_reduce(flat)  # gloo has no average (3.3.1): sum, then divide
            parts = paddle.split(flat / self.size, [int(np.prod(tensor.shape)) for tensor in statistics])
            for tensor, part in zip(statistics, parts, strict=True):
                tensor.set_value(part.reshape(tensor.shape).astype(tensor.dtype))

    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Exchange names, types and shapes, then broadcast each array."""
        import paddle.distributed as dist

        own = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
        described = [(name, str(array.dtype), array.shape) for name, array in own.items()]
        layout = self.all_gather_after_barrier(described)[0]
        received = {}
        for name, dtype, shape in layout:
            array = own[name] if self.is_main else np.zeros(shape, dtype)
            if array.size:  # Paddle 3.3.1 refuses a tensor without elements
                tensor = paddle.to_tensor(array)
                with self._reporting_lost_peers():
                    dist.broadcast(tensor, src=0)
                array = tensor.numpy().reshape(shape)
            received[name] = array
        return received

    def close(self) -> None:
        """Leave the process group. Rank 0 hosts the store, so it exits last."""
        try:
            self._store.add("left", 1)
            deadline = time.monotonic() + CLOSE_TIMEOUT_S
            while self.is_main and self._store.add("left", 0) < self.size and time.monotonic() < deadline:
                if peers.ended(self._processes) is not None:
                    time.sleep(CLOSE_TIMEOUT_S / 100)  # the others may be on their way out
                    break
                time.sleep(0.02)
        except (RuntimeError, ValueError):
            logging.getLogger(__name__).debug("the store is already closed", exc_info=True)

    def barrier(self) -> None:
        """Wait until all processes have arrived; unlike a gloo barrier this can take longer than 30 s.

        All processes must call this. Raises PeerLost if one has ended, or after BARRIER_TIMEOUT_S.
        """
        self._barriers += 1
        key = f"barrier-{self._barriers}"
        with self._reporting_lost_peers():
            self._store.add(key, 1)
            deadline, look = time.monotonic() + BARRIER_TIMEOUT_S, time.monotonic() + PEERS_POLL_S
            while self._store.add(key, 0) < self.size:
                if time.monotonic() > deadline:
                    raise peers.peer_lost(None, f"not all of them reached {key} within {BARRIER_TIMEOUT_S:.0f} s")
                if time.monotonic() > look:
                    self._refuse_ended(key)
                    look = time.monotonic() + PEERS_POLL_S
                time.sleep(0.01)

    def _refuse_ended(self, key: str) -> None:
        """Raise PeerLost if a process has ended that others wait for."""
        rank = peers.ended(self._processes)
        if rank is not None and self._store.add(key, 0) < self.size:
            raise peers.peer_lost(rank)


def _joined(device: str, size: int) -> tuple[Any, Any]:
    """Join the other processes; returns fleet, or None without it, and the store."""
    import paddle.distributed as dist
    from paddle.base import core

    if device == "cpu" and size > 2:
        dist.init_parallel_env()
        return None, core.create_or_get_global_tcp_store()
    dist.fleet.init(is_collective=True, log_level="WARNING")
    return dist.fleet, core.create_or_get_global_tcp_store()


def all_reduce_seconds(floats: int) -> float:
    """The seconds that an all-reduce of so many float32 takes. All processes must call this, at most seconds apart."""
    import paddle.distributed as dist

    tensor = paddle.ones([floats], "float32")
    seconds = []
    for _ in range(2):  # the first one makes connections and buffers
        start = time.perf_counter()
        dist.all_reduce(tensor)
        tensor[0].item()  # waits for the device
        seconds.append(time.perf_counter() - start)
    return seconds[-1]
