"""Batches of clips of similar length: the order of an epoch, and how long each batch is.

All of it is a function of (seed, epoch, lengths), so every process has the same order and pads a global batch to the
same length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.runtime import seeding

WINDOW_STEPS = 16
"""Consecutive batches of the shuffled order whose clips are sorted by length among each other.

More would pad less, and leave less of the shuffling: clips of similar length would meet again and again."""
CROP_STEPS = 32
"""Batches are so many different lengths at most, for which kernels are chosen and compiled only once each."""


@dataclass(frozen=True)
class LengthGroups:
    """What a clip needs of a batch: `samples` (N,) int64, from the shortest input of the network to the crop."""

    samples: np.ndarray

    def order(self, indices: np.ndarray, step_clips: int, seed: int, epoch: int) -> np.ndarray:
        """The order of an epoch (N,) with its clips sorted by length within windows, and its batches shuffled again.

        A batch is `step_clips` consecutive clips. The last clips, which fill no batch, stay last: they are chosen by
        the shuffling and not by their length.
        """
        steps = len(indices) // step_clips
        full, rest = np.split(indices, [steps * step_clips])
        windows = np.split(full, range(WINDOW_STEPS * step_clips, len(full), WINDOW_STEPS * step_clips))
        by_length = np.concatenate([window[np.argsort(self.samples[window], kind="stable")] for window in windows])
        batches = seeding.epoch_generator(seed, epoch, "batches by length").permutation(steps)
        return np.concatenate([by_length.reshape(steps, step_clips)[batches].ravel(), rest])

    def batch_samples(self, indices: np.ndarray) -> int:
        """The length of a global batch of these clips: that of its longest one."""
        return int(self.samples[indices].max())


def length_groups(seconds: np.ndarray, rate_hz: int, crop_samples: int, minimum_samples: int) -> LengthGroups:
    """The groups of clips of `seconds` (N,); a NaN, a length that is not known, counts as a whole crop.

    Lengths are rounded up to a 32nd of the crop.
    """
    step = -(-crop_samples // CROP_STEPS)
    known = np.where(np.isnan(seconds), np.inf, seconds)
    steps = np.ceil(np.minimum(known * rate_hz, crop_samples) / step - 1e-6)
    return LengthGroups(np.clip(steps * step, minimum_samples, crop_samples).astype(np.int64))
