"""The processes of a run, joined through Paddle's fleet: on NCCL with GPUs, on gloo without."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle.nn.layer.norm import _BatchNormBase

from pannsdist.distributed import joining, peers
from pannsdist.distributed.averaging import GradientAverage
from pannsdist.distributed.coordinator import Coordinator
from pannsdist.distributed.single import SingleProcessWorld
from pannsdist.distributed.verdict import Verdict
from pannsdist.distributed.watch import Membership, Watch
from pannsdist.distributed.wire import listening
from pannsdist.distributed.world import T, World
from pannsdist.runtime import launcher
from pannsdist.runtime.errors import SettingsError

__all__ = ["FleetWorld", "SingleProcessWorld", "World", "connect", "recompute"]

CLOSE_TIMEOUT_S = 10.0
WATCH_KEY = "pannsdist/watch"


@dataclass(frozen=True)
class WorldOptions:
    """The seconds after which a process hangs, and the size in MiB of the buffers in which gradients are averaged."""

    hang_timeout_s: float = 600.0
    comm_buffer_mb: int = 25


def connect(use_gpu: bool = True, options: WorldOptions | None = None) -> World:
    """Join the process group, on this process's GPU if there is one, else on the CPU. All processes must call this.

    The methods of the world raise PeerLost if another process has ended, or hangs.
    """
    place = device(use_gpu)
    paddle.set_device(place)
    if launcher.size() == 1:
        return SingleProcessWorld(place)
    return FleetWorld(launcher.rank(), launcher.size(), place, options or WorldOptions())


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


class FleetWorld(World):
    """The processes started by `paddle.distributed.launch`, joined through fleet."""

    def __init__(self, rank: int, size: int, device: str, options: WorldOptions) -> None:
        super().__init__(rank, size, device)
        self._options = options
        self._wrapped: list[paddle.nn.Layer] = []
        self._averages: dict[int, GradientAverage] = {}
        self._processes: Sequence[peers.ProcessId | None] = ()
        self._coordinator: Coordinator | None = None
        with peers.reporting_lost_peers(lambda _: None):
            self._fleet, self._stores = joining.join(device)
            self._watch = self._watched(self._stores[0])
        self._processes = self.all_gather(peers.own_process_id())

    def _watched(self, store: Any) -> Watch:
        """The watch over the processes; rank 0 tells the others through Paddle's store where it listens."""
        has_hosts, limit_s = launcher.nodes() > 1, self._options.hang_timeout_s
        if self.is_main:
            token, server = secrets.token_hex(16), listening(everywhere=has_hosts)
            self._coordinator = Coordinator(server, token, self.size, limit_s)
            store.set(WATCH_KEY, f"{server.getsockname()[1]} {token}")
        port, token = store.get(WATCH_KEY).decode().split()
        host = launcher.master_host() if has_hosts else "127.0.0.1"
        return Watch((host, int(port)), Membership(token, self.rank), limit_s, self._continue_stopped)

    def _continue_stopped(self, verdict: Verdict) -> None:
        for rank in verdict.reasons:
            if rank < len(self._processes):
                peers.continue_stopped(self._processes[rank])

    def mark(self, doing: str) -> None:
        """Tell it to the watch."""
        self._watch.mark(doing)

    def barrier(self) -> None:
        """Wait until all processes have arrived, however long the others take. All processes; raises PeerLost."""
        self._refuse_within_work()
        self._watch.barrier()

    @contextmanager
    def _collective(self, what: str) -> Iterator[None]:
        """Context of a collective. A barrier comes first, since gloo's has a limit of 30 s (Paddle 3.3.1)."""
        self.barrier()
        with self._watch.waiting(what), peers.reporting_lost_peers(self._watch.verdict):
            yield

    def wrap_model(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Wrap in Paddle's DataParallel, through fleet.

        Earlier wrappers are kept alive: Paddle 3.3.1 crashes if one is freed and its layer is wrapped again.
        """
        import paddle.distributed as dist

        with self._collective("broadcasting the weights"):
            self._fleet.fleet._user_defined_strategy.fuse_grad_size_in_MB = self._options.comm_buffer_mb
            wrapped = self._fleet.distributed_model(layer)
        self._wrapped.append(wrapped)
        self._averages[id(wrapped)] = GradientAverage(self.size, self._options.comm_buffer_mb, dist.all_reduce)
        return wrapped

    def no_sync(self, wrapped: paddle.nn.Layer) -> AbstractContextManager[None]:
        """Return the wrapped layer's `no_sync` context."""
        context: AbstractContextManager[None] = wrapped.no_sync()
        return context

    @contextmanager
    def averaging(self, wrapped: paddle.nn.Layer, parameters: Sequence[paddle.Tensor]) -> Iterator[None]:
        """On GPUs backward itself averages; on CPUs gradients are averaged after it.

        gloo would give up in the middle of backward if a process was 30 s slower than another, with an exception that
        Python cannot catch; and nothing is lost, since its collectives do not overlap with backward (Paddle 3.3.1).
        """
        if self.device != "cpu":
            yield
            return
        with self.no_sync(wrapped):
            yield
        average = self._averages[id(wrapped)]
        self._refuse_within_work()
        trained = [parameter for parameter in parameters if not parameter.stop_gradient]
        counts = self._watch.barrier(*(float(parameter.grad is not None) for parameter in trained))
        used = [parameter for parameter, count in zip(trained, counts, strict=True) if count]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = paddle.zeros_like(parameter)
        with self._watch.waiting("averaging the gradients"), peers.reporting_lost_peers(self._watch.verdict):
            average.average(used)

    def convert_sync_batchnorm(self, layer: paddle.nn.Layer) -> paddle.nn.Layer:
        """Convert to Paddle's SyncBatchNorm, which supports GPUs only (3.3.1)."""
        if self.device == "cpu":
            wrong = "train.sync_batch_norm is set, but Paddle has no CPU kernel for SyncBatchNorm"
            raise SettingsError(wrong, "remove it, or train in one process or on GPUs")
        return paddle.nn.SyncBatchNorm.convert_sync_batchnorm(layer)

    def wrap_optimizer(self, optimizer: paddle.optimizer.Optimizer) -> Any:
        """Wrap in fleet's optimizer."""
        return self._fleet.distributed_optimizer(optimizer)

    def all_reduce_sum(self, *values: float) -> tuple[float, ...]:
        """A message to rank 0, on GPUs too: their hosts need not wait for them."""
        self._refuse_within_work()
        return self._watch.barrier(*map(float, values))

    def sum_tensor(self, values: paddle.Tensor) -> paddle.Tensor:
        """On GPUs an all-reduce in the order of their other work, for which the host does not wait."""
        import paddle.distributed as dist

        self._refuse_within_work()
        if self.device == "cpu":
            return paddle.to_tensor(self._watch.barrier(*values.tolist()), values.dtype)
        dist.stream.all_reduce(values, use_calc_stream=True)
        return values

    def all_gather(self, item: T) -> list[T]:
        """All-gather pickled objects."""
        import paddle.distributed as dist

        items: list[T] = []
        with self._collective("gathering results"):
            dist.all_gather_object(items, item)
        return items

    def sync_statistics(self, layer: paddle.nn.Layer) -> None:
        """All-reduce one flat tensor of all running means and variances."""
        import paddle.distributed as dist

        norms = [part for part in layer.sublayers(include_self=True) if isinstance(part, _BatchNormBase)]
        statistics = [tensor for norm in norms for tensor in (norm._mean, norm._variance)]
        if not statistics:
            return
        with paddle.no_grad(), self._collective("averaging running statistics"):
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
        layout = self.all_gather(described)[0]
        received = {}
        for name, dtype, shape in layout:
            array = own[name] if self.is_main else np.zeros(shape, dtype)
            if array.size:  # Paddle 3.3.1 refuses a tensor without elements
                tensor = paddle.to_tensor(array)
                with self._collective(f"broadcasting {name}"):
                    dist.broadcast(tensor, src=0)
                array = tensor.numpy().reshape(shape)
            received[name] = array
        return received

    def close(self) -> None:
        """Leave the process group. Rank 0 hosts the store and the coordinator, so it exits last."""
        self._watch.close()
        if self._coordinator is not None:
            self._coordinator.close(CLOSE_TIMEOUT_S)


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
