"""Mixup: which clips of a global batch are mixed, and with which weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.runtime import seeding


@dataclass(frozen=True)
class Mixup:
    """How clips are mixed: alpha above 0, `pairs` panns or free, `domain` features or waveform, `classes` C.

    The weight of a clip is drawn from Beta(alpha, alpha). Source: mixup (Zhang et al. 2018, arXiv 1710.09412).
    panns: clips 2i and 2i+1 of the epoch's order are mixed into one (Kong et al. 2020).
    free: every clip is mixed with another one of the same global batch, whose size stays.
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
        """Clips of the epoch's order that are mixed into one row of the batch."""
        return 2 if self.pairs == "panns" else 1

    def mix_weight(self, seed: int, epoch: int, clip_id: str, occurrence: int) -> float:
        """The weight of a clip when its partner is mixed in; the partner's is the rest to 1."""
        return float(seeding.clip_generator(seed, epoch, clip_id, "mixup", occurrence).beta(self.alpha, self.alpha))

    def soft_targets(self, targets: np.ndarray) -> np.ndarray:
        """Class indices (R,) or targets (R, C) -> (R, C) float32."""
        return np.eye(self.classes, dtype=np.float32)[targets] if targets.ndim == 1 else targets


def mixup_pairs(mixup: Mixup, positions: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(first, second): the pairs of a global batch whose clips stand at `positions` of the epoch's order.

    Free pairs follow a random cycle through the batch, in which each clip is mixed with the next one: never with
    itself, and each is a partner once.
    """
    if mixup.pairs == "panns":
        return positions[0::2], positions[1::2]
    cycle = generator.permutation(len(positions))
    second = np.empty_like(positions)
    second[cycle] = positions[np.roll(cycle, -1)]
    return positions, second
