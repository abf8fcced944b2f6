"""The targets of clips that may have several labels. Axes: N clips, R rows of a batch, C classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.contracts.clip_lists import Ragged


@dataclass(frozen=True, eq=False)
class MultiHot:
    """Zeros and ones (N, C) of which only the columns of the ones are kept: as a matrix a million clips of AudioSet's
    527 classes would need two gigabytes, in every process. `targets[rows]` is the matrix of some rows.
    """

    columns: Ragged
    classes: int

    @classmethod
    def of(cls, matrix: np.ndarray) -> MultiHot:
        """The same targets from a matrix (N, C)."""
        rows, columns = np.nonzero(matrix)
        return cls(Ragged.of_lengths(columns, np.bincount(rows, minlength=len(matrix))), matrix.shape[1])

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """The targets of some rows: (R, C) float32."""
        chosen = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows, np.int64)
        columns = self.columns.take(chosen)
        targets = np.zeros((len(chosen), self.classes), np.float32)
        targets[columns.rows, columns.flat] = 1.0
        return targets

    def take(self, rows: np.ndarray) -> MultiHot:
        """The targets of some rows, without a matrix."""
        return MultiHot(self.columns.take(rows), self.classes)

    @property
    def clips_of_class(self) -> np.ndarray:
        """The number of clips of each class: (C,) int64."""
        return np.bincount(self.columns.flat, minlength=self.classes)

    @property
    def rows_by_class(self) -> list[np.ndarray]:
        """The rows of each class, in order; empty for one without clips."""
        order = np.argsort(self.columns.flat, kind="stable")
        return np.split(self.columns.rows[order], np.cumsum(self.clips_of_class)[:-1])
