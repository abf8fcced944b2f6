"""A batch of labelled waveforms: what the audio floor hands to training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class Batch:
    """Clips that could be read, and what was wrong with the others.

    `ids` (B), `waveforms` (R, S) float32, `targets` (B) int64 class indices or (B, C) float32. R equals B except for
    mixup on the device. Then row i < B becomes `mix_weights[i]` of itself plus the rest of row `partners[i]`
    (`mix_weights` (B) float32, `partners` (B) int64), and the rows from B on are partners only; their clips are
    `further_ids`. Targets are mixed already. `augment_noise` (R, AUGMENT_NOISE_SIZE) float32 in [0, 1) holds the
    random numbers of the augmentations on the device.
    """

    ids: tuple[str, ...]
    waveforms: np.ndarray
    targets: np.ndarray
    bad: tuple[BadClip, ...] = ()
    augment_noise: np.ndarray | None = None
    partners: np.ndarray | None = None
    mix_weights: np.ndarray | None = None
    further_ids: tuple[str, ...] = ()

    @property
    def model_kwargs(self) -> dict[str, np.ndarray]:
        """What a network takes in training beside the waveforms, by the argument's name."""
        named = {"augment_noise": self.augment_noise, "partners": self.partners, "mix_weights": self.mix_weights}
        return {name: array for name, array in named.items() if array is not None}

    def part(self, rows: np.ndarray) -> Batch:
        """The clips at some of the first B rows, with the partners that are mixed into them; of its bad clips none."""
        needed, partners, mix_weights = rows, None, None
        if self.partners is not None and self.mix_weights is not None:
            needed = np.concatenate([rows, np.setdiff1d(self.partners[rows], rows)])
            place = {int(row): number for number, row in enumerate(needed)}
            partners = np.array([place[int(row)] for row in self.partners[rows]], np.int64)
            mix_weights = self.mix_weights[rows]
        names = self.ids + self.further_ids
        ids, further_ids = (tuple(names[row] for row in part) for part in (rows, needed[len(rows) :]))
        augment_noise = None if self.augment_noise is None else self.augment_noise[needed]
        return Batch(
            ids,
            self.waveforms[needed],
            self.targets[rows],
            (),
            augment_noise,
            partners,
            mix_weights,
            further_ids=further_ids,
        )
