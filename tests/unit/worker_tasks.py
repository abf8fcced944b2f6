"""What the tests have worker processes do; they import this module, and no Paddle with it."""

import os
from dataclasses import dataclass

import numpy as np

from pannsdist.contracts.batch import Batch

LARGE = 1 << 19
"""Floats of an array that is not copied out: 2 MiB."""


class StubbornError(Exception):
    """An error that does not survive pickling."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def filled(number, empty=np.empty):
    """A batch whose waveforms hold its number; each has another shape."""
    waveforms = empty((2, LARGE + number), np.float32)
    waveforms[:] = number
    return Batch((str(number), "b"), waveforms, np.array([number, 1]))


def fail(_):
    raise StubbornError("this", "that")


def process_id(_):
    return os.getpid()


@dataclass(frozen=True)
class Exploding:
    """A sound of a plugin with a mistake in it."""

    def samples(self):
        return self._explode()

    def _explode(self):
        raise ZeroDivisionError("a mistake in a plugin")


@dataclass(frozen=True)
class Deadly:
    """A sound whose making ends the process."""

    def samples(self):
        os._exit(7)
