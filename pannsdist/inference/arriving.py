"""The probabilities of a sound over time while it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pannsdist.audio.windows import Cutter, Window
from pannsdist.inference.detection import WindowScores


class ArrivingTimeline:
    """The windows or frames of a sound that arrives in blocks (S,) at the network's `rate_hz`, in constant memory.

    `score` computes them from windows that were cut; `rest` gives those that it keeps until the last window is known.
    """

    def __init__(
        self,
        rate_hz: int,
        cutter: Cutter,
        score: Callable[[Iterable[Window]], Iterator[WindowScores]],
        rest: Callable[[], Iterable[WindowScores]] = tuple,
    ) -> None:
        self.rate_hz = rate_hz
        self._cutter, self._score, self._rest = cutter, score, rest

    def add(self, block: np.ndarray) -> Iterator[WindowScores]:
        """The windows or frames that a block completes; consume all of them."""
        self._cutter.add(block)
        return self._score(self._cutter.ready())

    def rest(self) -> Iterator[WindowScores]:
        """The remaining ones, after the last block."""
        yield from self._score(self._cutter.rest())
        yield from self._rest()
