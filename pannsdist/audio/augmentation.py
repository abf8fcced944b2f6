"""Augmentations of the waveform, one after the other, each with randomness of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.runtime.errors import BrokenPlugin


@dataclass(frozen=True)
class Augmentation:
    """A plugin under the name that the settings give it, and the share of the clips that it is given."""

    name: str
    probability: float
    apply: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def augmented(
    waveform: np.ndarray,
    rate_hz: int,
    augmentations: Sequence[Augmentation],
    generator_for: Callable[[str], np.random.Generator],
) -> np.ndarray:
    """(S,) float32 -> (S,) float32. Raises BrokenPlugin for a plugin that gives anything else.

    `generator_for` gives the clip's randomness under a name, so that what one augmentation draws is the same with and
    without the others.
    """
    for augmentation in augmentations:
        generator = generator_for(augmentation.name)
        if generator.random() >= augmentation.probability:
            continue
        length = len(waveform)
        waveform = augmentation.apply(waveform, rate_hz, generator)
        if waveform.shape != (length,) or waveform.dtype != np.float32 or not np.isfinite(waveform).all():
            gave = f"shape {waveform.shape}, {waveform.dtype}, {np.count_nonzero(~np.isfinite(waveform))} not finite"
            raise BrokenPlugin(f"augmentation '{augmentation.name}' gave {gave}", f"it must give ({length},) float32")
    return waveform
