"""What pytest is told at its start, through the entry point `pytest11`; imports nothing of the checks."""

from __future__ import annotations

from typing import Any

from pannsdist.runtime import cpu


def pytest_configure(config: Any) -> None:
    """Register the mark of the checks that start processes; a test module may import paddle itself."""
    cpu.use_fast_kernels()
    config.addinivalue_line("markers", "pannsdist_slow: starts processes that train; leave out with -m 'not ...'")
