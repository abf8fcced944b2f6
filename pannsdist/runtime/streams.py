"""Standard input, output and error of a command, which may be closed (`>&-`), full, or a pipe without a reader."""

from __future__ import annotations

import argparse
import io
import os
import re
import select
import sys
from typing import IO, Any, NoReturn

from pannsdist.runtime import names
from pannsdist.runtime.errors import EXIT_USER_ERROR, CannotWrite

GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
EMPTY_OPTION = re.compile(r"--?[A-Za-z][\w-]*=\s*")
ELSEWHERE = "send the output elsewhere, such as with >FILE; >/dev/null discards it"


class ClosedOutput(io.TextIOBase):
    """Standard output that the shell closed. Printing raises CannotWrite, so that no result is lost unnoticed."""

    def write(self, text: str) -> int:
        """Raise CannotWrite, unless there is nothing to write."""
        if text:
            raise CannotWrite("standard output is closed, so that nothing can be printed", ELSEWHERE)
        return 0


class DroppedOutput(io.TextIOBase):
    """Standard error that the shell closed: messages are dropped, and the exit code alone is left."""

    def write(self, text: str) -> int:
        """Drop the text."""
        return len(text)


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose errors name the next command, and which refuses empty arguments.

    An empty name would mean the current folder, and is what the shell makes of a variable that is not set. Where help
    cannot be printed it raises; argparse itself ignores that, and the exit code is 0.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse; the result's `parser` is that of the subcommand."""
        given = sys.argv[1:] if args is None else args
        for item in given if self._subparsers is None else ():
            if not item.strip() or EMPTY_OPTION.fullmatch(item):
                where = item.partition("=")[0] if item.strip() else "an argument"
                self.error(f"{where} is empty: is a variable of the shell not set?")
        chosen, rest = super().parse_known_args(args, namespace)
        if not hasattr(chosen, "parser"):
            chosen.parser = self
        return chosen, rest

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and the next command, and exit with 2."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USER_ERROR, f"{self.prog}: error: {message}\n  next: {self.prog} --help\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            print(message, end="")
        else:
            super()._print_message(message, file)


def prepare() -> None:
    """Make the three streams usable; the first act of a command.

    A stream that was closed is opened on /dev/null, or the next file to be opened would take its number, and with it
    whatever a library prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if sys.stderr is None:
        sys.stderr = DroppedOutput()
    names.make_output_safe()


def is_lost() -> bool:
    """Whether nobody reads standard output or error any more: a pipe without a reader, a terminal that was closed."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(event & GONE for _, event in poll.poll(0))


def cannot_print(error: OSError) -> CannotWrite:
    """The message for standard output that cannot be written."""
    return CannotWrite(f"standard output cannot be written: {error.strerror or error}", ELSEWHERE)


def complain(text: str) -> None:
    """Print on standard error, unless that cannot be written either: then the exit code alone says what happened."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def settle() -> None:
    """Write what is still to be printed, or drop it where that is impossible: Python would fail again at its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard(stream)


def _discard(stream: IO[str]) -> None:
    """Send what a stream still holds nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
