"""The libraries, imported when a score is computed, with their warnings kept off the console.

`sed_eval`: A. Mesaros, T. Heittola, T. Virtanen, "Metrics for Polyphonic Sound Event Detection", Applied Sciences 6(6),
2016. `sed_scores_eval`: J. Ebbers, R. Haeb-Umbach, R. Serizel, "Threshold Independent Evaluation of Sound Event
Detection Scores", ICASSP 2022.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pannsdist.contracts import UserError


@contextmanager
def quietly() -> Iterator[None]:
    """Without warnings of Python and numpy, such as of means over classes without a score. Errors are raised."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def library(name: str) -> Any:
    """A module of one of the libraries. Raises UserError if it cannot be imported."""
    with quietly():
        try:
            return importlib.import_module(name)
        except ImportError as error:
            advice = "pip install --force-reinstall pannsdist-sed-scores"
            if error.name == "pkg_resources":
                advice = "pip install 'setuptools<82'"
            raise UserError(f"{name} cannot be imported: {error}", "install what it needs", advice) from error
