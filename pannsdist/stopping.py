"""SIGTERM and SIGINT ask a run to stop: they are noted, and it is the run that looks and leaves."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pannsdist.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def listening() -> Iterator[Callable[[], bool]]:
    """Within the block both signals are only noted; gives whether one has come. A second one changes nothing.

    Main thread, after Paddle is imported (its own handler would end the process). When the block ends with `Stopped`
    the signals stay noted and nothing more, since the launcher sends SIGTERM up to three times; `ignore` is next.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in SIGNALS}
    try:
        yield lambda: bool(came)
    except Stopped:
        raise
    except BaseException:
        _restore(before)
        raise
    _restore(before)


def ignore() -> None:
    """For a process that is about to leave: unlike a handler of Python's this holds to its very end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _restore(before: Mapping[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)
