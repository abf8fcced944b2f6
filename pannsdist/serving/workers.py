"""Several processes that share one listening socket: each loads its models, and one that dies is started again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from pannsdist.runtime import console, cpu, heap, paddle_import, storage
from pannsdist.runtime.errors import UserError
from pannsdist.serving.options import METRICS_FOLDER, Options


def run_workers(options: Options, listening: socket.socket, count: int, ready: Callable[[], None]) -> None:
    """Run so many processes until SIGTERM or SIGINT, and wait for them. Raises UserError where they do not start."""
    with storage.temporary_folder() as folder:
        os.environ[METRICS_FOLDER] = str(folder)
        _Supervisor(options, listening, count, ready).run()


class _Worker:
    """A process, and the pipe by which it says that it is ready. `place` is its number among so many."""

    def __init__(self, options: Options, listening: socket.socket, place: tuple[int, int]) -> None:
        context: Any = multiprocessing.get_context("spawn")
        self.said, theirs = context.Pipe(duplex=False)
        self.process: Any = context.Process(target=_work, args=(options, listening, theirs, place))
        self.process.start()
        theirs.close()
        self.place, self.is_ready = place, False

    def look(self) -> bool:
        """Whether it still runs, after noting what it said."""
        if not self.is_ready and self.said.poll():
            try:
                self.is_ready = bool(self.said.recv())
            except EOFError:  # it has ended before
                self.process.join()
        return bool(self.process.is_alive())


class _Supervisor:
    def __init__(self, options: Options, listening: socket.socket, count: int, ready: Callable[[], None]) -> None:
        self._options, self._listening = options, listening
        self._ready, self._was_ready, self._is_stopping = ready, False, False
        self._workers: list[_Worker] = []
        self._count = count
        self._failed: UserError | None = None

    def run(self) -> None:
        """Until all processes have ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for place in range(self._count):
            self._start(place)
        while self._workers:
            unsaid = [worker.said for worker in self._workers if not worker.is_ready]
            wait([*unsaid, *(worker.process.sentinel for worker in self._workers)])
            for worker in [worker for worker in self._workers if not worker.look()]:
                self._replace(worker)
            if not self._was_ready and self._workers and all(worker.is_ready for worker in self._workers):
                self._was_ready = True
                self._ready()
        if self._failed is not None:
            raise self._failed

    def _start(self, number: int) -> None:
        worker = _Worker(self._options, self._listening, (number, self._count))
        self._workers.append(worker)
        if self._is_stopping:  # since before it was in the list
            worker.process.terminate()

    def _replace(self, worker: _Worker) -> None:
        from prometheus_client import multiprocess

        worker.process.join()
        self._workers.remove(worker)
        multiprocess.mark_process_dead(worker.process.pid)
        if self._is_stopping:
            return
        said = f"a worker ended with {worker.process.exitcode}"
        if worker.is_ready:
            print(f"{said}; another one starts", file=sys.stderr, flush=True)
            self._start(worker.place[0])
        elif self._was_ready and self._workers:
            print(f"{said} before it was ready; {len(self._workers)} go on", file=sys.stderr, flush=True)
        else:
            self._failed = UserError(f"{said} before it was ready", "its own output is above")
            self._stop(signal.SIGTERM, None)

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._is_stopping = True
        for worker in self._workers:
            worker.process.terminate()


def _work(options: Options, listening: socket.socket, said: Connection, place: tuple[int, int]) -> None:
    raise SystemExit(console.exit_code(lambda: _serve(options, listening, said, place)))


def _serve(options: Options, listening: socket.socket, said: Connection, place: tuple[int, int]) -> None:
    """What the command does in a process of its own, on this one's share of the cores."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cores, (number, count) = sorted(os.sched_getaffinity(0)), place
    os.sched_setaffinity(0, cores[number::count] or [cores[number % len(cores)]])
    cpu.wait_passively()
    heap.use_one_arena()
    cpu.use_fast_kernels()
    heap.keep_freed_memory()
    console.quiet_paddle()
    console.quiet_compiler()
    paddle_import.import_paddle()
    from pannsdist.serving.server import serve

    serve(options, listening, lambda: said.send(True))


def _end_with_parent() -> None:
    """A worker whose supervisor was killed drains, too."""
    parent: Any = multiprocessing.parent_process()
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
