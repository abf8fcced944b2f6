"""SIGTERM and SIGINT as stop requests, which the run polls between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Context that records both signals; yields a function that tells whether a stop was requested.

    Call this in the main thread, after importing Paddle (see `sigterm_kept`). Further signals change nothing. The
    previous handlers are restored only if the block succeeds and no signal arrived: after an error in one process the
    launcher sends SIGTERM to the others, up to three times, and these must still be able to close their files and exit
    with their own exit codes.
    """
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in SIGNALS}
    for number in SIGNALS:
        # Otherwise a pending call fails: Paddle 3.3.1's store treats EINTR as a closed connection.
        signal.siginterrupt(number, False)
    yield lambda: bool(received)
    if not received:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextmanager
def handled(numbers: Sequence[int], handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Context in which `handler` gets these signals; afterwards, also after an error, they are what they were.

    In another thread than the main one nothing changes: Python allows it there alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    for number in numbers:
        signal.siginterrupt(number, False)  # as in `stop_on_signals`
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous if previous is not None else signal.SIG_DFL)


@contextmanager
def stop_within_call() -> Iterator[Callable[[], bool]]:
    """As `stop_on_signals`, for a process that goes on afterwards: the handlers are restored in any case."""
    received: list[int] = []
    with handled(SIGNALS, lambda number, _: received.append(number)):
        yield lambda: bool(received)


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Context that may import Paddle, whose library takes SIGTERM for itself: the handler is what it was afterwards.

    A SIGTERM that arrives meanwhile is delivered then, to that handler. In another thread than the main one nothing
    changes: Python sets handlers there alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # of the threads of the import, too
    try:
        yield
    finally:
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None:  # None: not set by Python, and not Python's to set again
            signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Ignore both signals until the process has exited, also after Python's own handlers are gone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
