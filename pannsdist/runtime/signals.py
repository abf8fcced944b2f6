"""SIGTERM and SIGINT as stop requests, which the run polls between steps."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Context that records both signals; yields a function that tells whether a stop was requested.

    Call this in the main thread, after importing Paddle (whose own handler would end the process). Further signals
    change nothing. The previous handlers are restored only if the block succeeds and no signal arrived: after an error
    in one process the launcher sends SIGTERM to the others, up to three times, and these must still be able to close
    their files and exit with their own exit codes.
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


def ignore() -> None:
    """Ignore both signals until the process has exited, also after Python's own handlers are gone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
