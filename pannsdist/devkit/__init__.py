"""Conformance checks for plugin authors, run through pytest or `pannsdist plugins check`.

from pannsdist_birdsong import Birdsong
from pannsdist.devkit import conformance

test_birdsong_keeps_the_contract = conformance(Birdsong)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pannsdist.devkit.checking import Check, Cost, Outcome, Subject, Verdict, checks_of, known_gaps_of, run_check
    from pannsdist.devkit.pytest_api import conformance

__all__ = ["Check", "Cost", "Outcome", "Subject", "Verdict", "checks_of", "conformance", "known_gaps_of", "run_check"]


def __getattr__(name: str) -> Any:
    """Import the public names lazily, because pytest loads this package at every start."""
    if name not in __all__:
        raise AttributeError(f"module 'pannsdist.devkit' has no attribute '{name}'")
    import importlib

    module = "pytest_api" if name == "conformance" else "checking"
    return getattr(importlib.import_module(f"pannsdist.devkit.{module}"), name)
