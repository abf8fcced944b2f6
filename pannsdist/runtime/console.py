"""Console output and exit codes of a process."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pannsdist.runtime import launcher, signals
from pannsdist.runtime.errors import EXIT_STOPPED, EXIT_USER_ERROR, PeerLost, Stopped, UserError
from pannsdist.runtime.redaction import without_credentials
from pannsdist.runtime.storage import NO_ROOM

_DELAYED: list[int] = []


def print_main(text: str) -> None:
    """Print on rank 0 only, without credentials. Any process may call this."""
    if launcher.rank() == 0:
        print(without_credentials(text), flush=True)


def note_main(text: str) -> None:
    """Print a note on standard error, beside the results, on rank 0 only. Any process may call this."""
    if launcher.rank() == 0:
        print(f"note: {text}", file=sys.stderr, flush=True)


def quiet_paddle() -> None:
    """Filter warnings that Paddle 3.3.1 prints on every machine and that need no action."""
    warnings.filterwarnings("ignore", message="No ccache found")
    warnings.filterwarnings("ignore", message="Current global rank .* is not in group")
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")


def quiet_compiler() -> None:
    """Suppress warnings of Paddle's C++ side, which tracing a graph prints; errors are still shown.

    Call this before paddle is imported.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")


def delay_sigterm() -> None:
    """Only note SIGTERM until `sigterm_delayed` ends, so that each process reports its own error.

    Within a second of the first exit the launcher sends SIGTERM to the other processes, which may still be importing.
    (Blocking it in this thread is not enough: one of Paddle's threads would receive it.)
    """
    if launcher.size() > 1:
        signal.signal(signal.SIGTERM, lambda number, _: _DELAYED.append(number))


@contextmanager
def sigterm_delayed() -> Iterator[None]:
    """Context in which SIGTERM is noted; afterwards SIGTERM ends the process as usual.

    Raises Stopped at the end of the block if one has arrived. If the block raises, SIGTERM stays without effect, so
    that each process exits with its own exit code.
    """
    delay_sigterm()
    yield
    if _DELAYED:
        raise Stopped("stopped before training began", "the same command starts it again")
    if launcher.size() > 1:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def exit_code(work: Callable[[], None]) -> int:
    """Run `work` and return the exit code: 0 on success, 2 for a user error, 75 for a run that can be resumed.

    A run can be resumed if it was stopped, or if another of its processes was lost. None of these prints a traceback.
    On a broken pipe, as in `... | head`, the code is 141, and after Ctrl-C 130, as for other commands.
    """
    try:
        work()
        sys.stdout.flush()
    except Stopped as stopped:
        signals.ignore()
        print_main(f"{stopped}\n  next: {launcher.command()}")
        return EXIT_STOPPED
    except UserError as error:
        if launcher.size() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_STOPPED if isinstance(error, PeerLost) else EXIT_USER_ERROR
    except BrokenPipeError:
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        said = _of_the_system(error)
        if not said:
            raise
        print(f"error: {said}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("interrupted", file=sys.stderr, flush=True)
        return 128 + signal.SIGINT
    return 0


def _of_the_system(error: OSError) -> str:
    """The message for a name that is too long, or for a full disk behind standard output; empty for other errors."""
    if error.errno == errno.ENAMETOOLONG:
        return f"{error.strerror}: {error.filename}"
    if error.errno not in NO_ROOM or error.filename:
        return ""
    _discard_output()
    return f"the output cannot be written: {error.strerror}"


def _discard_output() -> None:
    """Send what is still to be printed nowhere, or Python would fail again at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
