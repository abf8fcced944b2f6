"""Scores of sound events for pannsdist, each computed by the library that the field accepts.

Importing this module imports neither pandas nor the libraries.
"""

from pannsdist_sed_scores.collars import EventF1, EventF1Params
from pannsdist_sed_scores.intersections import (
    IntersectionF1,
    IntersectionF1Params,
    Psds1,
    Psds1Params,
    Psds2,
    Psds2Params,
)
from pannsdist_sed_scores.segments import (
    SegmentErrorRate,
    SegmentErrorRateParams,
    SegmentF1,
    SegmentF1Params,
    SegmentMpauc,
    SegmentMpaucParams,
)

__all__ = [
    "EventF1",
    "EventF1Params",
    "IntersectionF1",
    "IntersectionF1Params",
    "Psds1",
    "Psds1Params",
    "Psds2",
    "Psds2Params",
    "SegmentErrorRate",
    "SegmentErrorRateParams",
    "SegmentF1",
    "SegmentF1Params",
    "SegmentMpauc",
    "SegmentMpaucParams",
]
