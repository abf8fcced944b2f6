"""Rows of integers of different length, in columns. Axes: N rows, K values of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of integers of different length: row i is `values[starts[i] : ends[i]]` of values (K,); starts, ends (N,).

    Some rows of others share their values, so that to take a batch costs the same from few rows and from millions.
    """

    values: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of_lengths(cls, values: np.ndarray, lengths: np.ndarray) -> Ragged:
        """Rows of these lengths (N,), one after another in `values`."""
        ends = np.cumsum(lengths, dtype=np.int64)
        return cls(values, ends - lengths, ends)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> np.ndarray:
        """The number of values of each row: (N,)."""
        lengths: np.ndarray = self.ends - self.starts
        return lengths

    @property
    def flat(self) -> np.ndarray:
        """The values of all rows, one row after another."""
        lengths = self.lengths
        values: np.ndarray = self.values[: lengths.sum()]
        skipped = self.starts - np.cumsum(lengths) + lengths
        if skipped.any():
            values = self.values[np.repeat(skipped, lengths) + np.arange(lengths.sum())]
        return values

    @property
    def rows(self) -> np.ndarray:
        """The row of each value of `flat`."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def row(self, index: int) -> np.ndarray:
        """The values of one row."""
        return self.values[self.starts[index] : self.ends[index]]

    def take(self, rows: np.ndarray) -> Ragged:
        """Some rows, in the order of `rows`."""
        return Ragged(self.values, self.starts[rows], self.ends[rows])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without the values of other rows."""
        return Ragged.of_lengths, (self.flat, self.lengths)
