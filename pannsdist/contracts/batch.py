"""Batches of labelled waveforms for training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class Batch:
    """Waveforms and targets of the readable clips, and the errors of the unreadable ones.

    `ids` (B), `waveforms` (R, S) float32, `targets` (B) int64 class indices or (B, C) float32. R equals B except for
    mixup on the device: then row i < B becomes `mix_weights[i] * row_i + (1 - mix_weights[i]) * row_partners[i]`
    (`mix_weights` (B) float32, `partners` (B) int64), and rows from B on serve as partners only; their clips are
    `further_ids`. Targets are already mixed. `augment_noise` (R, AUGMENT_NOISE_SIZE) float32 in [0, 1) holds the
    random numbers of the augmentations on the device. Where `is_embedded`, `waveforms` holds embeddings (B, E) instead:
    the inputs of the network's head. With three axes it holds features (R, T, F): what the front end gives for the
    waveforms. Of a network that answers by frame, `targets` are (B, T + 1, C) float32, NaN where nobody labelled, and
    `sound_s` (B) float64 are the seconds of each row that are not padding.
    """

    ids: tuple[str, ...]
    waveforms: np.ndarray
    targets: np.ndarray
    bad: tuple[BadClip, ...] = ()
    augment_noise: np.ndarray | None = None
    partners: np.ndarray | None = None
    mix_weights: np.ndarray | None = None
    further_ids: tuple[str, ...] = ()
    is_embedded: bool = False
    sound_s: np.ndarray | None = None

    @property
    def model_kwargs(self) -> dict[str, np.ndarray]:
        """Keyword arguments of the network in training, besides the waveforms."""
        named = {"augment_noise": self.augment_noise, "partners": self.partners, "mix_weights": self.mix_weights}
        return {name: array for name, array in named.items() if array is not None}

    def part(self, rows: np.ndarray) -> Batch:
        """Sub-batch of some of the first B rows with their mixup partners, without the bad clips."""
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
            further_ids,
            self.is_embedded,
        )
