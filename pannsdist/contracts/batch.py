"""A batch of labelled waveforms: what the audio floor hands to training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class Batch:
    """Clips that could be read, and what was wrong with the others.

    `ids` (B), `waveforms` (R, S) float32, `targets` (B) int64 class indices, or (B, C) float32. R is B, but for mixup
    on the device: there row i of the first B is mixed with row `partners[i]` (B) int64, of which it keeps `shares[i]`
    (B) float32, and the rows from B on are partners only. `further_ids` are the clips that came in as partners only;
    targets are mixed already. `chances` (R, CHANCES) float32 in [0, 1) decide what is drawn on the device for a row.
    """

    ids: tuple[str, ...]
    waveforms: np.ndarray
    targets: np.ndarray
    bad: tuple[BadClip, ...] = ()
    chances: np.ndarray | None = None
    partners: np.ndarray | None = None
    shares: np.ndarray | None = None
    further_ids: tuple[str, ...] = ()

    @property
    def draws(self) -> dict[str, np.ndarray]:
        """What a network takes in training beside the waveforms, by the argument's name."""
        named = {"chances": self.chances, "partners": self.partners, "shares": self.shares}
        return {name: array for name, array in named.items() if array is not None}

    def part(self, rows: np.ndarray) -> Batch:
        """The clips at some of the first B rows, with the partners that are mixed into them; of its bad clips none."""
        needed, partners, shares = rows, None, None
        if self.partners is not None and self.shares is not None:
            needed = np.concatenate([rows, np.setdiff1d(self.partners[rows], rows)])
            place = {int(row): number for number, row in enumerate(needed)}
            partners = np.array([place[int(row)] for row in self.partners[rows]], np.int64)
            shares = self.shares[rows]
        names = self.ids + self.further_ids
        ids, further_ids = (tuple(names[row] for row in part) for part in (rows, needed[len(rows) :]))
        chances = None if self.chances is None else self.chances[needed]
        return Batch(
            ids, self.waveforms[needed], self.targets[rows], (), chances, partners, shares, further_ids=further_ids
        )
