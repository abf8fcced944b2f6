"""The first import of Paddle in a process that is not ours, such as a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pannsdist.runtime import console, cpu


@contextmanager
def paddle_imported() -> Iterator[None]:
    """Context in which Paddle is imported, with MKL's fast kernels unless it was before, without its known warnings.

    Every function of the Python API enters it before it imports a module that computes. Afterwards the filters of
    warnings are what they were.
    """
    cpu.use_fast_kernels()
    with warnings.catch_warnings():
        console.quiet_paddle()
        warnings.filterwarnings("ignore", message="IProgress not found")  # of tqdm without ipywidgets, in notebooks
        import paddle  # noqa: F401

        yield
