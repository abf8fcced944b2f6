"""The pytest plugin, registered through the entry point `pytest11`; does not import the checks."""

from __future__ import annotations

from typing import Any

from pannsdist.runtime import cpu


def pytest_configure(config: Any) -> None:
    """Register the marker `pannsdist_slow`, and select fast CPU kernels before a test module imports paddle."""
    cpu.use_fast_kernels()
    config.addinivalue_line(
        "markers", "pannsdist_slow: launches training processes; deselect with -m 'not pannsdist_slow'"
    )
