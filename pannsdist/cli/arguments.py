"""Types of arguments that several subcommands have."""

from __future__ import annotations

import argparse
import re

from pannsdist.runtime import cpu
from pannsdist.runtime.foreign import excerpt

PRECISIONS = ("fp32", "bf16", "int8")
"""Choices of `--precision`; int8 is refused with its reason."""


def from_one(text: str) -> int:
    """A positive integer."""
    if not re.fullmatch("0*[1-9][0-9]{0,3}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def from_zero(text: str) -> int:
    """Zero or a positive integer."""
    return 0 if re.fullmatch("0+", text, re.ASCII) else from_one(text)


def names(text: str) -> tuple[str, ...]:
    """Different names or numbers between commas."""
    found = tuple(text.split(","))
    if not all(re.fullmatch("[A-Za-z0-9_-]+", name, re.ASCII) for name in found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as 0,1,2")
    return found


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The option `--workers` of every command that reads many clips."""
    cores = cpu.cores()
    parser.add_argument("--workers", type=_workers, default=cores, help="worker processes (default: number of cores)")


def _workers(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{excerpt(text)}' is not an integer from 0 to 9999")
    return int(text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option `--device` of every command that runs a model on sounds."""
    parser.add_argument(
        "--device", default="", metavar="NAME", help="cpu, gpu or gpu:N (default: a GPU if Paddle finds one)"
    )
