"""One process of the server: models, application and uvicorn, until it is stopped."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import numpy as np
import uvicorn

from pannsdist.inference.engines.compiled import WINDOWS_BEFORE_COMPILING
from pannsdist.inference.engines.selection import BATCH_WINDOWS
from pannsdist.inference.model import Model, load_model
from pannsdist.runtime import cpu
from pannsdist.serving.app import application
from pannsdist.serving.batching import Batcher, SharedEngine
from pannsdist.serving.connections import protocol_of
from pannsdist.serving.listening import allow_files
from pannsdist.serving.metrics import Metrics
from pannsdist.serving.models import Served
from pannsdist.serving.options import Options, Wanted
from pannsdist.serving.service import Service

THREADS_PER_WINDOW = 2
"""Threads for each window of a batch: the requests of the next batch are decoded while this one is computed."""


def serve(options: Options, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT; `ready` is called once the first one can be answered."""
    warnings.simplefilter("ignore", UserWarning)  # what a method warns of is in its answer, and Python keeps each text
    allow_files(options.limits.max_connections)
    metrics = Metrics()
    batcher = Batcher(options.limits.max_wait_ms / 1000, cpu.cores(), metrics.batches.observe)
    models = {one.name: _loaded(one, options, batcher) for one in options.models}
    threads = THREADS_PER_WINDOW * max(_batch_size(model, options) for model in models.values())
    service = Service(Served(models), options.limits, batcher, metrics, threads)
    app = application(service, options.token, options.origins)
    config = uvicorn.Config(
        app,
        http=protocol_of(options.limits),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(options.limits.idle_s),
        timeout_graceful_shutdown=int(options.limits.timeout_s),
    )
    for name in ("uvicorn", "python_multipart"):  # what clients do wrong is in their answers
        logging.getLogger(name).setLevel(logging.ERROR)
    gc.collect()
    gc.freeze()  # what is loaded stays: no search for garbage needs to look at it
    _Draining(config, service, ready).run([listening])


def _loaded(wanted: Wanted, options: Options, batcher: Batcher) -> Model:
    engine, precision = options.engine or None, options.precision or None
    how = {"device": options.device or None, "batch_size": options.batch_size}
    model = load_model(wanted.model, engine=engine, precision=precision, **how)  # type: ignore[arg-type]
    print(f"{wanted.name}: {model.engine}", file=sys.stderr, flush=True)
    size = _batch_size(model, options)
    model.run_through(lambda own: SharedEngine(own, batcher, size))
    _warm_up(model, size)
    return model


def _warm_up(model: Model, batch_size: int) -> None:
    """Compute more windows than an engine runs before it compiles, then each size of a usual batch: no request waits.

    Paddle's engine keeps buffers for each size. At last as many requests as there are threads for such a batch: the
    memory that they need together is there before the first one, and does not grow for long afterwards.
    """
    rate_hz = model.sample_rate_hz
    samples = round(model.inference_model.window_s * rate_hz)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, samples).astype(np.float32)
    model.predict(np.tile(noise, WINDOWS_BEFORE_COMPILING + 1), rate_hz)
    most = min(batch_size, BATCH_WINDOWS)
    for size in range(1, most + 1):
        model.predict([noise] * size, rate_hz)
    with ThreadPoolExecutor(THREADS_PER_WINDOW * most) as pool:
        list(pool.map(lambda _: model.predict(noise, rate_hz), range(THREADS_PER_WINDOW * most)))


def _batch_size(model: Model, options: Options) -> int:
    return options.batch_size or model.engine.batch_size


class _Draining(uvicorn.Server):
    """Stops in two steps: new requests get 503 while those under way are answered, then the socket is closed."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready
        self._until = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 uvicorn's own signature
        """Of a signal: the first one drains; another one of the keyboard ends at once."""
        if self._service.is_stopping and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        if not self._service.is_stopping:
            self._until = time.monotonic() + 2 * self._service.limits.timeout_s  # for a body, and for its answer
        self._service.is_stopping = True

    async def on_tick(self, counter: int) -> bool:
        if self._service.is_stopping and (self._service.pending == 0 or time.monotonic() > self._until):
            self.should_exit = True
        done: bool = await super().on_tick(counter)
        return done
