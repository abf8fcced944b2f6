"""The first import of Paddle in a process that is not ours, such as a notebook."""

from __future__ import annotations

import warnings

from pannsdist.runtime import console, cpu


def import_paddle() -> None:
    """Import Paddle with MKL's fast kernels, unless it was imported before, and without its known warnings.

    Every function of the Python API calls this before it imports a module that computes.
    """
    cpu.use_fast_kernels()
    with warnings.catch_warnings():
        console.quiet_paddle()
        import paddle  # noqa: F401
