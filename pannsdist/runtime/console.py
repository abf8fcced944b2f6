"""Console output and exit codes of a process."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pannsdist.runtime import exit_codes, launcher, signals, streams
from pannsdist.runtime.errors import EXIT_STOPPED, EXIT_USER_ERROR, CannotWrite, PeerLost, Stopped, UserError
from pannsdist.runtime.failed_writes import NO_ROOM
from pannsdist.runtime.redaction import without_credentials

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


def exit_code(work: Callable[[], int | bool | None]) -> int:
    """Run a whole command, its arguments included, and return the exit code.

    `work` returns None, whether everything succeeded, or an exit code: 0 on success, 2 for a user error, 75 for a run
    that can be resumed, since it was stopped, or since another of its processes was lost. None of these prints a
    traceback. On a broken pipe, as in `... | head`, the code is 141, and after Ctrl-C 130, as for other commands; where
    standard output is closed or full, it is 2. SystemExit is raised again.
    """
    streams.prepare()
    try:
        return _code(work)
    finally:
        streams.settle()


def _code(work: Callable[[], int | bool | None]) -> int:
    try:
        return _flushed(work)
    except Stopped as stopped:
        signals.ignore()
        exit_codes.note_error(stopped)
        with suppress(OSError, CannotWrite):
            print_main(f"{stopped}\n  next: {launcher.command()}")
        return EXIT_STOPPED
    except UserError as error:
        if launcher.size() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _fail(error)
        return EXIT_STOPPED if isinstance(error, PeerLost) else EXIT_USER_ERROR
    except OSError as error:
        if error.errno == errno.EPIPE and streams.is_lost():
            return 128 + signal.SIGPIPE
        _fail(_of_the_system(error))
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        streams.complain("interrupted")
        return 128 + signal.SIGINT


def _fail(error: UserError) -> None:
    """Print the error that ends this process, and note it for the command that started the processes."""
    exit_codes.note_error(error)
    streams.complain(f"error: {error}")


def _flushed(work: Callable[[], int | bool | None]) -> int:
    """The exit code of `work` once all that it printed is written."""
    try:
        result = work()
    except SystemExit:  # of argparse, which has printed its help or a message
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    if isinstance(result, bool):
        return 0 if result else EXIT_USER_ERROR
    return result or 0


def _of_the_system(error: OSError) -> UserError:
    """The message for a name that is too long, or for standard output that cannot be written; raises other errors."""
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"{error.strerror}: {error.filename}", "give a shorter name")
    if error.filename or not (error.errno in NO_ROOM or streams.is_lost()):
        raise error
    return streams.cannot_print(error)
