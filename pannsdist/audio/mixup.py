"""Mixup: which clips of a global batch are mixed, and with what share.

Axes: B clips that come out of a step, R rows that are read for them, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.runtime import seeding


@dataclass(frozen=True)
class Mixup:
    """How clips are mixed: alpha above 0, `pairs` panns or free, `domain` features or waveform, `classes` C.

    A clip's share is drawn from Beta(alpha, alpha). Source: mixup (Zhang et al. 2018, arXiv 1710.09412).
    panns: the clips at the places 2i and 2i+1 of the epoch's order become one (Kong et al. 2020).
    free: every clip keeps its place and is mixed with another of the same global batch.
    """

    alpha: float
    pairs: str
    domain: str
    classes: int

    def __str__(self) -> str:
        pairs = "two clips become one" if self.pairs == "panns" else "each with another"
        return f"mixup of the {self.domain}, alpha {self.alpha:g}, {pairs}"

    @property
    def clips_of_output(self) -> int:
        """Places of the epoch's order that one clip of a step uses up."""
        return 2 if self.pairs == "panns" else 1

    def mix_weight(self, seed: int, epoch: int, clip_id: str, occurrence: int) -> float:
        """What a clip keeps of itself when its partner is mixed in."""
        return float(seeding.clip_generator(seed, epoch, clip_id, "mixup", occurrence).beta(self.alpha, self.alpha))

    def soft(self, targets: np.ndarray) -> np.ndarray:
        """Class indices (R,) become (R, C) float32; what is so already stays."""
        return np.eye(self.classes, dtype=np.float32)[targets] if targets.ndim == 1 else targets


def partners_of(mixup: Mixup, places: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(first, second): the pairs of a global batch, of whose clips `places` are given in the epoch's order.

    In free pairs the clips stand in a random circle, where each is mixed with the next: never with itself, and each
    is a partner once.
    """
    if mixup.pairs == "panns":
        return places[0::2], places[1::2]
    circle = generator.permutation(len(places))
    second = np.empty_like(places)
    second[circle] = places[np.roll(circle, -1)]
    return places, second
