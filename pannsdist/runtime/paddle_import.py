"""The first import of Paddle: in a process of a command, and in one that is not ours, such as a notebook."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pannsdist.runtime import console, cpu, signals


def import_paddle() -> None:
    """Import Paddle in the process of a command, with `cpu.use_fast_kernels` called before. Call it before a module
    that computes is imported.

    Looking for garbage took a tenth of the import, and as long again until the first batch. So it is not done
    meanwhile, and what the import leaves, most objects of a process and none of them garbage, is never looked at again.
    Does nothing where Paddle is imported: those objects are somebody else's.
    """
    if "paddle" in sys.modules:
        return
    gc.disable()
    try:
        _import()
    finally:
        gc.enable()
    gc.freeze()


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
        _import()
        yield


def _import() -> None:
    with signals.sigterm_kept():
        import paddle  # noqa: F401
