"""Worker processes that make calls: fresh ones, and not forks of a process that has threads of MPI or CUDA.

A task goes to whichever worker is free: all of them read one socket. Its messages are short, since tasks and results
lie in shared memory. This process has no thread for them.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.audio.workers import boot
from pannsdist.audio.workers.packing import Arena, pickled, unpacked
from pannsdist.audio.workers.process import MESSAGE_BYTES, Reply, Task
from pannsdist.audio.workers.slots import Slot, create_shared_file
from pannsdist.runtime.errors import WorkerDied

COPIED_BYTES = 1 << 20
"""Smaller arrays are copied out, so that whoever keeps the targets of a batch does not keep its waveforms' memory."""
HELD_SLOTS = 4
"""Slots that the arrays of a consumer may occupy. Of one who keeps more batches, the further ones are copied out."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class RemoteTraceback(Exception):
    """The traceback of an error in a worker, as the cause of the error."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class WorkerPool:
    """`count` processes that run until `close`; each calls `prepare` first. Raises UserError where none can start."""

    def __init__(self, count: int, prepare: Callable[[], object]) -> None:
        self._file = create_shared_file()
        self._slots: list[Slot] = []
        self._free: deque[int] = deque()
        self._lent: set[int] = set()
        self._count, self._backlog = 0, deque[Task]()
        self._replies: dict[int, Reply | None] = {}
        self._tasks, self._workers_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._tasks.setblocking(False)
        self._workers: dict[socket.socket, subprocess.Popen[bytes]] = {}
        self._is_broken = False
        ends = (self._tasks, self._workers_end)
        self._finish = weakref.finalize(self, _finish, os.getpid(), self._workers, ends, self._file)
        with _signals_blocked():
            self._start(count, pickled(prepare)[0])

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...], needs_memory: bool = False) -> int:
        """The number of a new task; see Task. Raises WorkerDied."""
        self._refuse_broken()
        slot = self._slots[self._free.popleft()] if self._free else self._new_slot()
        span = Arena(slot).pack((function, arguments, needs_memory))
        self._count += 1
        self._replies[self._count] = None
        self._backlog.append(Task(self._count, slot.number, slot.size, span))
        self._send()
        return self._count

    def result(self, number: int) -> Any:
        """What a task returned; waits for it. Raises what the task raised, and WorkerDied.

        Arrays in it lie in the shared memory, which is used again when no array refers to it any more.
        """
        while (reply := self._replies[number]) is None:
            self._refuse_broken()
            self._receive()
        del self._replies[number]
        slot = self._slots[reply.slot]
        slot.follow(reply.size)
        if not reply.is_error:
            return self._taken(slot, reply)
        error, text = unpacked(slot.memory(), reply.span)
        self._free.append(reply.slot)
        raise error from RemoteTraceback(text)

    def cancel(self, numbers: set[int]) -> None:
        """Give up tasks, also of a pool that is closed: those that no worker has taken are taken back."""
        if not numbers or not self._workers:
            return
        unread = deque[Task]()
        with suppress(BlockingIOError):
            while True:
                unread.append(pickle.loads(self._workers_end.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT)))  # noqa: S301
        unread.extend(self._backlog)
        self._backlog = deque(task for task in unread if task.number not in numbers)
        taken_back = {task.number: task.slot for task in unread if task.number in numbers}
        for number in numbers:
            reply = self._replies.pop(number, None)
            slot = taken_back.get(number, reply.slot if reply else None)
            if slot is not None:
                self._free.append(slot)
        self._send()

    def close(self) -> None:
        """End the workers, also in the middle of a task: nobody waits for it any more. Arrays of results stay.

        A pool that nobody closed is closed with its last reference, and at the end of the interpreter.
        """
        self._finish()

    def _start(self, count: int, prepare: bytes) -> None:
        file = create_shared_file()
        with os.fdopen(file, "wb") as start:
            start.write(pickle.dumps((sys.path, prepare)))
            start.flush()
            for _ in range(count):
                own, replies = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with replies:
                    shared = (self._file, self._workers_end.fileno(), replies.fileno())
                    words = (sys.executable, str(Path(boot.__file__)), file, os.getpid(), *shared)
                    self._workers[own] = subprocess.Popen(  # noqa: S603 - this Python
                        [str(word) for word in words],
                        stdin=subprocess.DEVNULL,
                        pass_fds=(file, *shared),
                        env={**os.environ, **ENVIRONMENT},
                    )

    def _new_slot(self) -> Slot:
        self._slots.append(Slot(self._file, len(self._slots)))
        return self._slots[-1]

    def _send(self) -> None:
        with suppress(BlockingIOError):
            while self._backlog:
                self._tasks.send(pickle.dumps(self._backlog[0]))
                self._backlog.popleft()

    def _receive(self) -> None:
        """Wait for at least one reply, and note all that are there."""
        self._send()
        poller = select.poll()
        ends = {end.fileno(): end for end in self._workers}
        for number in ends:
            poller.register(number, select.POLLIN)
        if self._backlog:
            poller.register(self._tasks, select.POLLOUT)
        for number, _ in poller.poll():
            if number in ends:
                self._note(ends[number])
        self._send()

    def _note(self, end: socket.socket) -> None:
        try:
            message = end.recv(MESSAGE_BYTES)
        except ConnectionResetError:
            message = b""
        if not message:
            self._is_broken = True
            self._refuse_broken()
        reply: Reply = pickle.loads(message)  # noqa: S301 - of a worker
        if reply.number in self._replies:
            self._replies[reply.number] = reply
        else:  # cancelled
            self._free.append(reply.slot)

    def _refuse_broken(self) -> None:
        if self._is_broken:
            wrong = "a worker process that reads clips has ended without an error, as when the memory is used up"
            right = "with fewer data.workers less memory is needed; data.workers=0 reads in the process itself, and\n"
            right += "shows whether a clip or a plugin is the cause"
            raise WorkerDied(wrong, right, "free -h; dmesg | tail")

    def _taken(self, slot: Slot, reply: Reply) -> Any:
        """The result, whose large arrays stay in the slot unless too many slots are held."""
        memory, stays = slot.memory(), len(self._lent) < HELD_SLOTS
        self._lent.add(slot.number)
        weakref.finalize(memory, self._take_back, slot.number).atexit = False

        def kept(array: np.ndarray) -> Any:
            return array if stays and len(array) >= COPIED_BYTES else bytearray(array)

        return unpacked(memory, reply.span, kept)

    def _take_back(self, slot: int) -> None:
        """Once no array refers to the slot any more; in whichever thread."""
        self._lent.discard(slot)
        self._free.append(slot)


def _finish(
    owner: int, workers: dict[socket.socket, subprocess.Popen[bytes]], ends: tuple[socket.socket, ...], file: int
) -> None:
    """Kill the workers and wait for them; close what this process had open for them. Nothing in a fork of the owner."""
    if os.getpid() != owner:
        return
    for worker in workers.values():
        worker.kill()
    for replies, worker in workers.items():
        worker.wait()
        replies.close()
    workers.clear()
    for end in ends:
        end.close()
    os.close(file)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes started within the block ignore SIGINT and SIGTERM; this one receives them after it.

    Ctrl-C, and SIGTERM of a batch system, go to every process of a run, but training needs its batches until it has
    saved. Ignoring them in the worker itself would be too late: it first imports for a moment.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
