"""For authors of plugins: what the contract asks, as checks for pytest and for `pannsdist plugins check`.

from pannsdist_birdsong import Birdsong
from pannsdist.devkit import conformance

test_birdsong_keeps_the_contract = conformance(Birdsong)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pannsdist.devkit.checking import Check, Cost, Outcome, Subject, Verdict, checks_of, judge, known_gaps_of
    from pannsdist.devkit.pytest_api import conformance

__all__ = ["Check", "Cost", "Outcome", "Subject", "Verdict", "checks_of", "conformance", "judge", "known_gaps_of"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: pytest loads this package at every start."""
    if name not in __all__:
        raise AttributeError(f"module 'pannsdist.devkit' has no attribute '{name}'")
    import importlib

    module = "pytest_api" if name == "conformance" else "checking"
    return getattr(importlib.import_module(f"pannsdist.devkit.{module}"), name)
