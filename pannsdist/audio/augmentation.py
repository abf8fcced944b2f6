"""Waveform augmentations, applied in order, each with its own random generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.runtime.errors import BrokenPlugin


@dataclass(frozen=True)
class Augmentation:
    """An augmentation plugin, its name in the settings, and the probability of applying it to a clip."""

    name: str
    probability: float
    apply: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def augment(
    waveform: np.ndarray,
    rate_hz: int,
    augmentations: Sequence[Augmentation],
    generator_for: Callable[[str], np.random.Generator],
) -> np.ndarray:
    """(S,) float32 -> (S,) float32. Raises BrokenPlugin for a plugin that returns anything else.

    `generator_for` gives the clip's generator for the augmentation of a name, so that adding or removing one
    augmentation leaves the random numbers of the others as they were.
    """
    for augmentation in augmentations:
        generator = generator_for(augmentation.name)
        if generator.random() >= augmentation.probability:
            continue
        length = len(waveform)
        waveform = augmentation.apply(waveform, rate_hz, generator)
        if waveform.shape != (length,) or waveform.dtype != np.float32 or not np.isfinite(waveform).all():
            got = f"shape {waveform.shape}, {waveform.dtype}, {np.count_nonzero(~np.isfinite(waveform))} not finite"
            raise BrokenPlugin(
                f"augmentation '{augmentation.name}' returned {got}", f"it must return ({length},) float32"
            )
    return waveform
