"""What a process says, and the exit code that it leaves with."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pannsdist import launched
from pannsdist.errors import EXIT_USER_ERROR, UserError


def say(text: str) -> None:
    """Print in rank 0; the other processes say the same, so they keep quiet."""
    if launched.rank() == 0:
        print(text, flush=True)


def quiet_paddle() -> None:
    """Keep back what Paddle 3.3.1 warns of on every machine, and nobody can act on."""
    warnings.filterwarnings("ignore", message="No ccache found")
    warnings.filterwarnings("ignore", message="Current global rank .* is not in group")
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")


@contextmanager
def patience() -> Iterator[None]:
    """Let every process come to its own verdict, although the launcher ends all when the first one has.

    Within a second of the first exit the launcher sends SIGTERM to the others. It is held back here, and stays so when
    the block ends with an error, so that each process leaves with its own exit code.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def exit_code(work: Callable[[], None]) -> int:
    """Do the work: 0 when it is done, 2 for a user's mistake, which is printed without a traceback."""
    try:
        work()
    except UserError as error:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    return 0
