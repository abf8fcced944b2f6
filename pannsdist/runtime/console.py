"""What a process says, and the exit code that it leaves with."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pannsdist.runtime import launcher, signals
from pannsdist.runtime.errors import EXIT_STOPPED, EXIT_USER_ERROR, Stopped, UserError


def say(text: str) -> None:
    """Print in rank 0; the other processes say the same, so they keep quiet."""
    if launcher.rank() == 0:
        print(text, flush=True)


def quiet_paddle() -> None:
    """Keep back what Paddle 3.3.1 warns of on every machine, and nobody can act on."""
    warnings.filterwarnings("ignore", message="No ccache found")
    warnings.filterwarnings("ignore", message="Current global rank .* is not in group")
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")


def quiet_compiler() -> None:
    """Keep back the warnings of Paddle's C++ side, which making a graph brings; its errors stay.

    Call it before paddle is imported.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")


def have_patience() -> None:
    """Let this process come to its own verdict, although the launcher ends all when the first one has.

    Within a second of the first exit the launcher sends SIGTERM to the others, which may be importing still. It is
    ignored from here on, up to the end of `patience`. (To block it in this thread would not do: one of Paddle's threads
    would take it.)
    """
    if launcher.size() > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def patience() -> Iterator[None]:
    """A block in which the process comes to its verdict. SIGTERM ends the process again after it, as is usual.

    When it ends with an error SIGTERM stays ignored, so that each process leaves with its own exit code.
    """
    have_patience()
    yield
    if launcher.size() > 1:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def exit_code(work: Callable[[], None]) -> int:
    """Do the work: 0 when it is done, 2 for a user's mistake, 75 for a run that was asked to stop and can go on.

    None of these prints a traceback. Where nobody reads on, as in `... | head`, it ends quietly with 141, as other
    commands do.
    """
    try:
        work()
        sys.stdout.flush()
    except Stopped as stopped:
        signals.ignore()
        say(f"{stopped}\n  next: {launcher.command()}")
        return EXIT_STOPPED
    except UserError as error:
        if launcher.size() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0
