"""Scores of sound events for pannsdist, each computed by the library that the field accepts.

Importing this module imports neither pandas nor the libraries.
"""

from pannsdist_sed_scores.collars import EventF1, EventF1Params
from pannsdist_sed_scores.psds import Psds1, Psds1Params, Psds2, Psds2Params

__all__ = ["EventF1", "EventF1Params", "Psds1", "Psds1Params", "Psds2", "Psds2Params"]
