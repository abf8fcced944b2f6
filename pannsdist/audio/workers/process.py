"""What a worker process does: takes tasks from a socket that all workers share, and puts results into shared memory."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

from pannsdist.audio.workers.packing import Arena, Span, pickled, unpacked
from pannsdist.audio.workers.slots import Slot

PARENT_POLL_S = 0.5
MESSAGE_BYTES = 1024
"""More than a message takes, which names a place in shared memory."""


@dataclass(frozen=True)
class Task:
    """A call that a worker is to make: (function, arguments, needs_memory) is at `span` of a slot.

    Where it needs memory, the function gets `Arena.empty` as its last argument.
    """

    number: int
    slot: int
    size: int
    span: Span


@dataclass(frozen=True)
class Reply:
    """What a call returned or raised is at `span` of the task's slot, which has `size` bytes now."""

    number: int
    slot: int
    size: int
    span: Span
    is_error: bool = False


def serve(start: bytes, parent: int, shared_file: int, tasks_fd: int, replies_fd: int) -> None:
    """Serve tasks until the parent closes the socket, or ends. `start` is the pickle of a function to call first."""
    threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()
    tasks, replies = (socket.socket(fileno=fd) for fd in (tasks_fd, replies_fd))
    slots: dict[int, Slot] = {}
    pickle.loads(start)()  # noqa: S301 - of the parent
    del start
    while message := tasks.recv(MESSAGE_BYTES):
        task: Task = pickle.loads(message)  # noqa: S301 - of the parent
        if task.slot not in slots:
            slots[task.slot] = Slot(shared_file, task.slot)
        slot = slots[task.slot]
        slot.follow(task.size)
        span, is_error = _carried_out(task, slot)
        try:
            replies.send(pickle.dumps(Reply(task.number, task.slot, slot.size, span, is_error)))
        except (BrokenPipeError, ConnectionResetError):
            return


def _carried_out(task: Task, slot: Slot) -> tuple[Span, bool]:
    """Where the result is, or the error."""
    try:
        function, arguments, needs_memory = unpacked(slot.memory(), task.span)
        arena = Arena(slot)
        if needs_memory:
            arguments = (*arguments, arena.empty)
        return arena.pack(function(*arguments)), False
    except BaseException as error:  # noqa: BLE001 - raised again in the parent
        return Arena(slot).pack((_sendable(error), traceback.format_exc())), True


def _sendable(error: BaseException) -> Any:
    """The error, or one that says the same where it does not survive pickling."""
    try:
        pickle.loads(pickled(error)[0])  # noqa: S301 - of this process
    except Exception:  # noqa: BLE001 - whatever a class of a plugin does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _exit_after(parent: int) -> None:
    """End this process when its parent was killed while it reads a file that does not come."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(0)
