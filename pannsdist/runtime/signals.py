"""SIGTERM and SIGINT ask a run to stop: they are noted, and it is the run that looks and leaves."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def listening() -> Iterator[Callable[[], bool]]:
    """Within the block both signals are only noted; gives whether one has come. A second one changes nothing.

    Main thread, after Paddle is imported (its own handler would end the process). They are again what they were
    only where the block ends well and none has come: a process that leaves with an error lets the launcher send SIGTERM
    to the others, up to three times, and those are to close what they opened and leave with their own exit codes.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in SIGNALS}
    for number in SIGNALS:
        # Else a call under way fails: Paddle 3.3.1's store takes EINTR for the end of the connection.
        signal.siginterrupt(number, False)
    yield lambda: bool(came)
    if not came:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def ignore() -> None:
    """For a process that is about to leave: unlike a handler of Python's this holds to its very end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
