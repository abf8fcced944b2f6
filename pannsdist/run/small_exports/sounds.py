"""The sounds that the ranges of activations are measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pannsdist.contracts import Clip
from pannsdist.contracts.clip_lists import taken
from pannsdist.inference.bundle import BundleRecord, build_recorded
from pannsdist.inference.engines.export_check import read_sounds
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.registry import Catalog
from pannsdist.run.planning.data import TRAIN
from pannsdist.runtime.errors import UserError

CLIPS = 64
"""Measured: docs/decisions/0057-small-exports.md."""


def training_clips(record: BundleRecord | None, catalog: Catalog) -> Sequence[Clip]:
    """Clips of the training split of the model's dataset, evenly over its list; none where it is not found."""
    try:
        clips = [] if record is None else build_recorded(record.dataset, "dataset", catalog).plugin.clips(TRAIN)
    except UserError:
        return []
    rows = np.linspace(0, len(clips) - 1, min(CLIPS, len(clips))).round().astype(np.int64)
    return taken(clips, np.unique(rows))


def windows(inference_model: InferenceModel, clips: Sequence[Clip]) -> list[np.ndarray]:
    """The first window (S,) of each clip, no shorter than what the network takes. Raises UserError for a bad clip."""
    rate_hz = inference_model.rate_hz
    window, least = (round(seconds * rate_hz) for seconds in (inference_model.window_s, inference_model.minimum_s))
    return [_padded(sound[:window], least) for sound in read_sounds(inference_model, clips)]


def _padded(sound: np.ndarray, least: int) -> np.ndarray:
    return np.pad(sound, (0, max(0, least - len(sound))))
